"""Every collective and every question about ranks and sharded weights.

A collective is called by all ranks or by none: whether it is called never depends on what one rank alone has.
"""

from vrft_pl.distributed.fsdp import FSDP2
from vrft_pl.distributed.passes import passes_alone, repeats_backward
from vrft_pl.distributed.preflight import Facts, device_refusal, launch_refusals, meet
from vrft_pl.distributed.ranks import (
    DataShare,
    any_rank,
    data_share,
    gather,
    gather_states,
    in_order,
    mean_over_ranks,
    own_state,
    rank,
    world_size,
)
from vrft_pl.distributed.slurm import queue_again, requeue_signal
from vrft_pl.distributed.store import Place, open_store
from vrft_pl.distributed.watchdog import EXIT_CODE, Watchdog
from vrft_pl.distributed.weights import (
    Shards,
    anywhere,
    can_be_whole,
    is_sharded,
    is_spread,
    keep_optimizer,
    made_whole,
    read_shards,
    shards_weights,
    spread,
    strategy_class,
    total_norm,
    whole_size,
    whole_weights,
)
from vrft_pl.distributed.whole import forget_engine, is_whole, whole

__all__ = [
    "EXIT_CODE",
    "FSDP2",
    "DataShare",
    "Facts",
    "Place",
    "Shards",
    "Watchdog",
    "any_rank",
    "anywhere",
    "can_be_whole",
    "data_share",
    "device_refusal",
    "forget_engine",
    "gather",
    "gather_states",
    "in_order",
    "is_sharded",
    "launch_refusals",
    "is_spread",
    "is_whole",
    "keep_optimizer",
    "made_whole",
    "mean_over_ranks",
    "meet",
    "open_store",
    "own_state",
    "passes_alone",
    "queue_again",
    "rank",
    "read_shards",
    "repeats_backward",
    "requeue_signal",
    "shards_weights",
    "spread",
    "strategy_class",
    "total_norm",
    "whole",
    "whole_size",
    "whole_weights",
    "world_size",
]
