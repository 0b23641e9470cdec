import numpy as np
import pytest
from ablation.builders import Counted, ablation
from ablation.test_runner import runner
from rich.console import Console
from scipy import stats

from vrft_pl.ablation import ContrastSpec, changed_keys, collect, print_results
from vrft_pl.ablation.progress import progress_table

PRIMARY = [ContrastSpec("RFT", "SFT", "snow/NumberMatch"), ContrastSpec("RFT", "base", "target/night/NumberMatch")]


class Noisy(Counted):
    """Reinforcement is better by .1, and by a little that differs from seed to seed."""

    def score(self, read):
        noise = {0: 0.0, 1: 0.02, 2: -0.01, 3: 0.005, 4: 0.0}[read["seed_everything"]]
        return super().score(read) + (noise if "GRPO" in read["model"]["class_path"] else 0.0)


@pytest.fixture
def results(tmp_path):
    tried = runner(tmp_path, Noisy(), seeds=[0, 1, 2, 3, 4], contrasts=PRIMARY)
    tried.run()
    return collect(tried)


def test_a_contrast_is_students_t_on_the_differences_of_seeds(results):
    found = results.contrasts[0]
    assert (found.arm, found.against, found.metric, found.primary) == ("RFT", "SFT", "target/snow/NumberMatch", True)
    assert found.pairs == pytest.approx([0.1, 0.12, 0.09, 0.105, 0.1])
    low, high = stats.t.interval(0.95, 4, np.mean(found.pairs), stats.sem(found.pairs))
    assert (found.difference, found.low, found.high) == pytest.approx((0.103, low, high))
    assert found.p == pytest.approx(stats.ttest_1samp(found.pairs, 0).pvalue)
    assert found.bootstrap[0] < 0.103 < found.bootstrap[1]


def test_primary_contrasts_come_first_with_holms_correction_and_the_others_are_exploratory(results):
    first, second, *others = results.contrasts
    assert [c.primary for c in (first, second)] == [True, True]
    assert not any(c.primary for c in others)
    larger, smaller = max(first.p, second.p), min(first.p, second.p)
    assert sorted(c.p_adjusted for c in (first, second)) == pytest.approx(
        sorted([2 * smaller, max(larger, 2 * smaller)])
    )
    assert all(c.p_adjusted is None and "xploratory" in c.sentence for c in others)
    assert {(c.arm, c.against) for c in others} == {("RFT", "SFT"), ("RFT", "base"), ("SFT", "base")}


def test_numbers_say_what_they_stand_for(results):
    roles = {metric.key: metric.role for metric in results.metrics}
    assert roles == {"target/snow/NumberMatch": "in_domain", "target/night/NumberMatch": "out_of_domain"}


def test_the_constant_answer_stands_beside_the_scores(results, tmp_path, capsys):
    assert [metric.constant for metric in results.metrics] == [0.25, None]
    print_results(results, tmp_path)
    assert "best constant" in capsys.readouterr().out


def test_under_three_seeds_there_is_no_verdict(tmp_path):
    tried = runner(tmp_path, Noisy(), seeds=[0, 1], contrasts=PRIMARY)
    tried.run()
    results = collect(tried)
    assert results.contrasts[0].low is results.contrasts[0].p is None
    assert "seeds" in " ".join(results.verdict)
    assert not any("higher" in line or "better" in line for line in results.verdict)


def test_cells_that_are_not_done_are_left_out_of_contrasts_and_named(tmp_path):
    tried = runner(tmp_path, Noisy(breaks=("GRPO",)), contrasts=PRIMARY)
    tried.run()
    results = collect(tried)
    assert [c.state for c in results.cells if c.arm == "RFT"] == ["failed"] * 3
    assert results.cells[2].error == "CUDA out of memory"
    assert results.contrasts[0].pairs == ()


def test_nothing_done_is_no_crash(tmp_path):
    results = collect(runner(tmp_path, contrasts=PRIMARY))
    assert {c.state for c in results.cells} == {"waiting"}
    assert results.contrasts == results.curves == ()


def test_curves_are_over_the_sizes_of_the_training_set(tmp_path):
    tried = runner(tmp_path, Noisy(), rows=[4, 16], contrasts=PRIMARY)
    tried.run()
    results = collect(tried)
    curve = next(c for c in results.curves if (c.arm, c.metric) == ("RFT", "target/snow/NumberMatch"))
    assert curve.rows == (4, 16)
    assert all(low < mean < high for low, mean, high in zip(curve.low, curve.mean, curve.high, strict=True))
    assert curve.area == pytest.approx(np.mean(curve.mean))
    assert {c.rows for c in results.contrasts if c.primary} == {16}


def test_the_table_shows_mean_spread_and_cost(results, tmp_path, capsys):
    print_results(results, tmp_path)
    said = capsys.readouterr().out
    assert "0.591" in said  # RFT: .5 + .1 - .02 + .008 of the seeds + .003 of noise
    assert all(line in said for line in results.verdict)


def test_keys_that_changed_are_found_however_deep():
    earlier = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert changed_keys(earlier, {"a": {"b": 2, "c": [1]}, "d": 3, "e": 4}) == ["a.b", "a.c", "e"]
    assert changed_keys(earlier, earlier) == []


def test_a_contrast_names_the_largest_size_unless_it_says(tmp_path):
    made = ablation(tmp_path, rows=[4, 16], contrasts=[ContrastSpec("RFT", "SFT", "snow/NumberMatch", 4)])
    assert made.contrasts[0].rows == 4


def test_square_brackets_in_names_are_printed_as_they_are(tmp_path, capsys):
    arms = {"[bold]SFT[/]": "cot_sft", "RFT [/x]": "rft"}
    tried = runner(tmp_path, arms=arms, name="[red]tried", contrasts=[])
    tried.run()
    print_results(collect(tried), tmp_path / "[runs]")
    Console().print(progress_table(tried, 0.0))
    said = capsys.readouterr().out
    assert [said.count(text) for text in (*arms, "[red]tried", "[runs]")] == [3, 3, 2, 2]
