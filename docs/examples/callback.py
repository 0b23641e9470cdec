"""Train on the groups that differ most."""

from vrft_pl.callbacks import RolloutCallback


class MostDisputed(RolloutCallback):
    """Keeps the half of a window's groups whose rewards differ most."""

    def on_rollout_end(self, trainer, module, experience):
        spread = experience.rewards.view(len(experience), -1).std(dim=1)
        kept = spread.topk(max(1, len(experience) // 2)).indices.sort().values
        return experience.select(kept.tolist())
