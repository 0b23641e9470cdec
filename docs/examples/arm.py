"""An arm of an ablation: bare answers first, reinforced with thoughts after."""

from vrft_pl.ablation import Arm, Stage

TWICE = Arm("ANS-SFT, then reinforcement.", (Stage("sft", "answer", share=0.3), Stage("rft", share=0.7)))
