import sys
from dataclasses import replace

import pytest


@pytest.fixture
def scale(tool):
    return lambda name: tool(f"scale.{name}")


@pytest.fixture
def job(scale):
    return scale("job").Job(
        layers=7e9, head=5e8, tower=7e8, cache=57344.0, prompts=512, group=8, prompt=600, patches=2048,
        completion=500, longest=1000,
    )  # fmt: skip


@pytest.fixture
def card(scale):
    return scale("cards").Card(
        flops=1e15, memory=80e9, bandwidth=3e12, link=4e11, network=5e10, per_node=8, mfu=0.5
    )  # fmt: skip


@pytest.fixture
def given(scale):
    return scale("cards").Assumptions(
        prefill_mfu=0.5, bandwidth_share=0.5, link_share=0.5, overlapped=0.0, token_overhead=0.001, reshard=2.0
    )  # fmt: skip


def test_operations_by_hand(job):
    read, written = 512 * 600, 512 * 8 * 500
    forward = 2 * (7e9 * (read + written) + 5e8 * written + 7e8 * 512 * 2048)
    assert job.forward_flops == pytest.approx(forward)
    assert job.prefill_flops == pytest.approx(2 * 512 * (7e9 * 600 + 7e8 * 2048))
    assert job.update_flops == pytest.approx(4 * forward)
    assert replace(job, training="lora").update_flops == pytest.approx(3 * forward)
    assert job.parameters == 7e9 + 7e8 + 1e9


def test_terms_by_hand(scale, job, card, given):
    terms = scale("terms")
    assert terms.prefill_seconds(job, card, 4, given) == pytest.approx(job.prefill_flops / 4 / 5e14)
    assert terms.update_seconds(job, card, 4) == pytest.approx(job.update_flops / 4 / 5e14)
    assert terms.reference_seconds(job, card, 4, given) == 0
    known = replace(job, reference=True)
    assert terms.reference_seconds(known, card, 4, given) == pytest.approx(job.forward_flops / 4 / 5e14)
    assert terms.optimizer_seconds(card, 4, given, 8e9) == pytest.approx(28 * 2e9 / 1.5e12)
    assert terms.ring_seconds(8e9, card, 8, given) == pytest.approx(7e9 / 2e11)
    assert terms.ring_seconds(8e9, card, 16, given) == pytest.approx(7.5e9 / 2.5e10)
    assert terms.push_seconds(job, card, given, far=True) == pytest.approx(2 * 8.7e9 / 2.5e10)


def test_decoding_is_bound_by_bandwidth_or_by_operations(scale, job, card, given):
    decode = scale("terms").decode_seconds
    few = replace(job, prompts=1, group=2)
    reading = (2 * 7.5e9 + 2 * 0.5 * 57344 * 850) / 1.5e12
    assert decode(few, card, 1, 1, 1, given) == pytest.approx(1000 * (reading + 0.001))
    many, cheap = replace(job, prompts=4096, cache=0.0), 4096 * 8 * 0.5
    assert decode(many, card, 1, 1, 1, given) == pytest.approx(1000 * (2 * 7.5e9 * cheap / 5e14 + 0.001))


def test_strategies_hold_what_they_hold_by_hand(scale, job, card):
    strategies = scale("strategies").STRATEGIES
    n = job.parameters
    held = {name: strategy.staying(job, card, 16) / n for name, strategy in strategies.items()}
    assert list(held.values()) == pytest.approx([16, 2 + 14 / 16, 2, 1])
    assert strategies["ddp"].staying(replace(job, training="lora"), card, 16) == pytest.approx(n * (2 + 14 * 0.02))
    assert strategies["ddp"].staying(replace(job, reference=True), card, 16) == pytest.approx(18 * n)


@pytest.mark.parametrize(
    "harder", [{"prompts": 1024}, {"group": 16}, {"prompt": 1200}, {"completion": 900}, {"longest": 2000}], ids=str
)
def test_more_work_takes_longer_and_more_cards_less(harder, scale, job, card, given):
    best = lambda job, cards: scale("plan").plans(job, card, cards, 1, given)[0].seconds  # noqa: E731
    assert best(replace(job, **harder), 64) > best(job, 64)
    assert best(job, 64) > best(job, 256)


def test_what_does_not_fit_is_never_recommended(scale, job, card, given):
    found = scale("plan").plans(job, card, 64, 1, given)
    assert found[0].fits
    assert {plan.limit for plan in found if not plan.fits} == {"memory"}
    assert not any(plan.fits for plan in found if plan.strategy == "ddp")
    assert all(plan.fits for plan in scale("plan").plans(replace(job, training="lora"), card, 2, 1, given))
    huge = replace(job, layers=7e11)
    assert not any(plan.fits for plan in scale("plan").plans(huge, card, 8, 1, given))


def test_cards_apart_wait_for_the_slower_side_and_in_turns_for_both(scale):
    terms = dict.fromkeys(("prefill", "reference", "optimizer", "communication"), 0.0)
    terms |= {"decode": 5.0, "update": 3.0, "push": 1.0}
    plan = scale("plan").Plan("ddp", 4, 4, False, 1, terms, 1.0, True)
    assert (plan.seconds, plan.limit) == (6.0, "decode")
    assert (replace(plan, taking_turns=True).seconds, replace(plan, fits=False).limit) == (9.0, "memory")
    assert replace(plan, terms=terms | {"update": 7.0}).limit == "update"


def test_a_large_model_has_engines_of_several_cards_and_caches_come_in_waves(scale, job, card):
    plan = scale("plan")
    assert [plan.tensor_parallel(replace(job, layers=n), card) for n in (7e9, 3e10, 7e10)] == [1, 2, 4]
    assert plan.cache_waves(job, card, 64, 1) == 1
    room = 0.85 * 80e9 - 2 * 8.7e9
    assert plan.cache_waves(job, card, 4, 1) == -(-1024 * 57344 * (75 + 1000) // room)


def test_the_model_is_near_what_was_measured(scale):
    """Three constants are fitted to one case; the other five are predictions."""
    rows = scale("calibration").our_rows()
    assert len(rows) == 18
    fitted = [made / seen for name, seen, made in rows if name.startswith("v64_g8 ")]
    assert fitted == pytest.approx([1.0] * 3, abs=0.02)
    assert all(0.7 < made / seen < 1.3 for _, seen, made in rows)


def test_known_models_are_read_and_plans_are_printed(tool, capsys, monkeypatch):
    job = tool("plan_scale").read_job(
        "Qwen3-VL-4B", prompts=1, group=2, prompt=3, patches=4, completion=5, longest=6, training="full", reference=True
    )
    assert job.head == 151936 * 2560
    assert job.layers == pytest.approx(36 * (2560 * (4096 + 2048 + 3 * 9728) + 4096 * 2560), rel=1e-3)
    assert job.cache == 2 * 36 * 2 * 8 * 128
    monkeypatch.setattr(sys, "argv", ["plan_scale", "--cards", "64", "--prompts", "256", "--most", "3"])
    tool("plan_scale").main()
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 5
    assert len({line.count("|") for line in table}) == 1


def test_a_push_is_modelled_by_its_bytes(scale):
    """Two a parameter, at the share of the link."""
    rows = scale("calibration").push_rows()
    assert [row[1] for row in rows] == [0.11, 0.18, 1.36, 2.61]
    assert rows[-1][2] == pytest.approx(2 * 851.1e6 / (1e9 * 0.7))
