"""The model beside what was measured: our runs on two CPU cores, and figures that others have published."""

from __future__ import annotations

from dataclasses import replace

from bench.case import MERGE, SIZES

from scale.cards import CARDS, Assumptions, Card
from scale.job import Job
from scale.terms import decode_seconds, prefill_seconds, push_seconds, reference_seconds, update_seconds

RATE = 171e9
"""Operations a second of a large product on the two cores; experiments/step_time."""
CPU = Card(RATE, 8e9, 20e9, 1e9, 1e9, 1, 0.634)
"""The two cores. `mfu` is fitted to the update of `v64_g8`, without recomputation; nothing else is."""
CPU_SHARES = Assumptions(prefill_mfu=0.687, bandwidth_share=1.0, token_overhead=14.2e-3)
"""`prefill_mfu` is fitted to the reference of `v64_g8`, `token_overhead` to its rollout."""
MEASURED = {
    (64, 8): (1.86, 0.97, 3.17),
    (256, 8): (2.15, 1.33, 4.37),
    (256, 16): (3.12, 2.05, 6.72),
    (64, 2): (1.24, 0.44, 1.23),
    (64, 4): (1.42, 0.58, 1.99),
    (16, 8): (1.94, 0.96, 3.27),
}
"""Visual tokens and completions of a case: seconds of rollout, reference and update; experiments/step_time."""
PUSHED = {0.7e6: 0.11, 14.9e6: 0.18, 177.4e6: 1.36, 851.1e6: 2.61}
"""Parameters in bfloat16: seconds to write them into shared memory and to load them; experiments/vllm_rollouts."""
TITAN = "torchtitan, docs/performance.md"


def bench_job(visual: int, group: int) -> Job:
    """The step of `tools/bench_grpo.py`: a Qwen2-VL of 25 M parameters, 4 prompts, 64 tokens each."""
    size = SIZES["25m"]
    head = size.hidden // size.heads
    layer = size.hidden * (2 * size.hidden + 2 * size.kv_heads * head + 3 * size.intermediate)
    return Job(
        layers=size.layers * layer,
        head=size.hidden * size.vocabulary,
        tower=size.vision_depth * 12 * size.vision_width**2,
        cache=4 * size.layers * 2 * size.kv_heads * head,
        prompts=4,
        group=group,
        prompt=visual + 55,
        patches=visual * MERGE**2,
        completion=64,
        longest=64,
        reference=True,
    )


def our_rows() -> list[tuple[str, float, float]]:
    """What was measured on the two cores, by phase: its name, seconds measured, seconds of the model."""
    rows = []
    for (visual, group), measured in MEASURED.items():
        job = bench_job(visual, group)
        kept = replace(CPU, mfu=CPU.mfu * 4 / 3)  # nothing is computed again in these runs
        modelled = (
            prefill_seconds(job, CPU, 1, CPU_SHARES) + decode_seconds(job, CPU, 1, 1, 1, CPU_SHARES),
            reference_seconds(job, CPU, 1, CPU_SHARES),
            update_seconds(job, kept, 1),
        )
        names = ("rollout", "reference", "update")
        rows += [(f"v{visual}_g{group} {n}", s, m) for n, s, m in zip(names, measured, modelled, strict=True)]
    return rows


def push_rows() -> list[tuple[str, float, float]]:
    """Pushes on the two cores, of which nothing is fitted: their bytes alone count, not what each push takes anyhow."""
    jobs = {n: replace(bench_job(64, 8), layers=n, head=0, tower=0) for n in PUSHED}
    return [(f"push of {n / 1e6:.1f} M", PUSHED[n], push_seconds(jobs[n], CPU, CPU_SHARES, far=False)) for n in jobs]


def published_rows() -> list[tuple[str, float, float]]:
    """Tokens a second and card that torchtitan trains, and those of the model: 6 operations a weight and token."""
    runs = [
        ("Llama 3 8B, 64 A100, FSDP2", "A100-80", 8.03e9, 6, 2904.0),
        ("Llama 3 70B, 64 A100, FSDP2, activations computed again", "A100-80", 70.6e9, 8, 331.0),
        ("Llama 3.1 8B, 8 H100, FSDP2", "H100", 8.03e9, 6, 5762.0),
        ("Llama 3.1 8B, 8 H100, FSDP2, compiled", "H100", 8.03e9, 6, 6667.0),
    ]
    return [(name, tps, CARDS[card].flops * CARDS[card].mfu / (per * n)) for name, card, n, per, tps in runs]


def table(rows: list[tuple[str, float, float]], unit: str) -> str:
    """Model against measurement."""
    lines = [f"| what | measured, {unit} | model | error |", "|---|---|---|---|"]
    return "\n".join(
        lines + [f"| {name} | {seen:.3g} | {made:.3g} | {made / seen - 1:+.0%} |" for name, seen, made in rows]
    )
