"""Two processes of which one gets a loss that is not finite: ``python guarded_ranks.py CHECKPOINT FOLDER``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from training import counting, fit, grpo, weights

from vrft_pl.callbacks import NonFiniteGuard, RolloutCallback
from vrft_pl.distributed import gather


class Poison(RolloutCallback):
    def __init__(self):
        self.after = []

    def on_before_backward(self, trainer, module, loss):
        if trainer.global_step == 1 and trainer.global_rank == 1:
            loss.data.mul_(float("nan"))

    def on_train_batch_end(self, trainer, module, *args):
        self.after.append(weights(module))


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


if __name__ == "__main__":
    torch.set_num_threads(1)
    checkpoint, folder = sys.argv[1:]
    module, poison, guard = grpo(checkpoint), Poison(), NonFiniteGuard()
    data = counting(size=6, batch_size=1)
    trainer = fit(module, data, callbacks=[poison, guard], devices=2, strategy="ddp", default_root_dir=folder)
    before, left_out, after = poison.after
    assert same(before, left_out)
    assert not same(left_out, after)
    assert guard.skipped == 1
    assert len(set(gather(sum(float(w.double().sum()) for w in after.values())))) == 1
    (Path(folder) / f"seen{trainer.global_rank}").touch()
