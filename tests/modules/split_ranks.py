"""Two processes of which one has no memory for a backward pass: ``python split_ranks.py CHECKPOINT FOLDER``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from lightning.pytorch.strategies import DDPStrategy
from training import counting, fit, grpo, weights

from vrft_pl.distributed import gather, rank


def trained(checkpoint, folder, full, accumulate):
    """Weights after a run of two steps, in the last of which rank 1 has memory for one group only."""
    module, asked, failed = grpo(checkpoint), [], []
    plain = module.surrogate

    def surrogate(batch):
        asked.append(len(batch))
        return plain(batch)

    def middle(layer, gradient):
        last = module.trainer.fit_loop.epoch_loop.batch_idx == 2 * accumulate - 1
        if full and asked and asked[-1] > 1 and last and rank() == 1:
            failed.append(module.trainer.global_step)
            raise torch.OutOfMemoryError("CUDA out of memory.")

    module.surrogate = surrogate
    module.policy.hf_model.model.language_model.layers[0].register_full_backward_pre_hook(middle)
    data = counting(size=16 * accumulate, batch_size=4)
    options = {"devices": 2, "strategy": DDPStrategy(bucket_cap_mb=0.01), "default_root_dir": folder}
    fit(module, data, accumulate_grad_batches=accumulate, **options)
    assert gather(bool(failed)) == [False, full]
    return weights(module)


if __name__ == "__main__":
    torch.set_num_threads(1)
    checkpoint, folder = sys.argv[1:]
    for accumulate in (1, 2):
        whole, split = (trained(checkpoint, folder, full, accumulate) for full in (False, True))
        for name, value in whole.items():
            torch.testing.assert_close(split[name], value, rtol=1e-6, atol=1e-6)
        sums = gather(sum(float(w.double().sum()) for w in split.values()))
        assert sums[0] == sums[1]
    (Path(folder) / f"seen{rank()}").touch()
