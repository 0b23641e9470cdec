"""A judge that is asked over HTTP: what it is told, how it is asked, and what of it is believed."""

from vrft_pl.rewards.judge.endpoint import Endpoint, NoReply, Reply
from vrft_pl.rewards.judge.question import TEMPLATE, JudgePrompt, escaped
from vrft_pl.rewards.judge.reward import JudgeReward

__all__ = ["TEMPLATE", "Endpoint", "JudgePrompt", "JudgeReward", "NoReply", "Reply", "escaped"]
