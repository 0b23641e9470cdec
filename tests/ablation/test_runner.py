import json
import math
import multiprocessing
import shutil
from collections import Counter

import pytest
import yaml
from ablation.builders import RATE, SCENES, Counted, Probing, ablation, recipe
from reports import NESTED

from vrft_pl.ablation import (
    Busy,
    Cell,
    ContrastSpec,
    Match,
    RightCompletions,
    Runner,
    SearchOptions,
    Section,
    Stage,
    Store,
    Suite,
    collect,
)
from vrft_pl.ablation.identity import checkpoint_digest
from vrft_pl.data import CountingScenes
from vrft_pl.policy.checkpoint import TINY
from vrft_pl.runs.ablation import AblationResults
from vrft_pl.types import InputError


def runner(folder, commands=None, told=lambda line: None, keep_checkpoints=False, **kwargs):
    (folder / "recipes").mkdir(exist_ok=True)
    made = ablation(folder / "recipes", **kwargs)
    return Runner(made, Store(folder / "runs"), commands or Counted(), told, keep_checkpoints)


def config(folder, name):
    """The config of a run, by the start of its name."""
    found = [path for path in (folder / "runs" / "configs").glob("*.yaml") if path.name.startswith(name)]
    return [yaml.safe_load(path.read_text()) for path in sorted(found)]


def test_every_cell_is_carried_out_once_and_a_base_is_judged_once_for_all(tmp_path):
    commands = Counted()
    runner(tmp_path, commands).run()
    assert (commands.count("fit"), commands.count("test")) == (6, 7)
    again = Counted()
    runner(tmp_path, again).run()
    assert again.calls == []


def test_a_metric_that_no_cell_has_ends_the_ablation_after_its_first_cell(tmp_path):
    commands = Counted()
    tried = runner(tmp_path, commands, contrasts=[ContrastSpec("RFT", "SFT", "snow/NumberMach")])
    with pytest.raises(InputError, match=r"Expected a contrast to name one of .*'snow/NumberMach'"):
        tried.run()
    assert (commands.count("fit"), commands.count("test")) == (0, 1)
    assert tried.state(tried.cells[0]) == "done"


def test_all_arms_see_the_rows_that_were_drawn_for_their_seed(tmp_path):
    tried = runner(tmp_path)
    tried.run()
    hashes = {cell: tried.store.read(f"{cell.name}.json")["rows_hash"] for cell in tried.cells}
    by_seed = {seed: {h for cell, h in hashes.items() if cell.seed == seed} for seed in (0, 1, 2)}
    assert all(len(found) == 1 for found in by_seed.values())
    assert len(set.union(*by_seed.values())) == 3
    rows = {c["data"]["init_args"]["train"]["init_args"]["path"] for c in config(tmp_path, "sft-seed1")}
    assert rows == {c["data"]["init_args"]["train"]["init_args"]["path"] for c in config(tmp_path, "rft-seed1")}


def test_one_draw_serves_all_seeds_where_that_is_asked_for(tmp_path):
    tried = runner(tmp_path, same_rows=True)
    assert tried.training.pool.drawn(8, 0) == tried.training.pool.drawn(8, 2)


def test_a_smaller_set_is_part_of_a_larger_one(tmp_path):
    tried = runner(tmp_path, rows=[4, 16])
    ids = [
        {json.loads(line)["id"] for line in tried.training.pool.drawn(n, 1).path.read_text().splitlines()}
        for n in (4, 16)
    ]
    assert [len(found) for found in ids] == [4, 16]
    assert ids[0] < ids[1]


def test_a_stage_starts_from_the_one_before_and_shares_the_budget(tmp_path):
    tried = runner(tmp_path, arms={"both": "cot_sft_rft"}, seeds=[0])
    tried.run()
    (first,), (second,) = config(tmp_path, "sft-seed0"), config(tmp_path, "rft-seed0")
    stages = tried.store.read(f"{tried.cells[0].name}.json")["stages"]
    assert first["model"]["init_args"]["policy"]["init_args"]["checkpoint"] == "tiny"
    assert second["model"]["init_args"]["policy"]["init_args"]["checkpoint"].endswith(f"{stages[0]}/export")
    assert [c["trainer"]["max_steps"] for c in (first, second)] == [5, 5]  # 40 samples by 4 prompts a step, halved
    assert tried.store.read(f"{tried.cells[0].name}.json")["cost"]["samples"] == 40


def test_two_arms_with_the_same_first_stage_train_it_once(tmp_path):
    twice = [Stage("sft", share=0.5), Stage("rft", share=0.5)]
    commands = Counted()
    runner(tmp_path, commands, arms={"both": "cot_sft_rft", "mine": twice}, seeds=[0]).run()
    assert commands.count("fit") == 2


@pytest.mark.parametrize(
    ("match", "steps"),
    [
        pytest.param(Match("samples", 40), (10, 10), id="samples"),
        pytest.param(Match("steps", 12), (12, 12), id="steps"),
        pytest.param(Match("seconds", 30), (15, 15), id="seconds"),
        pytest.param(Match("generated_tokens", 500, steps=9), (9, 5), id="tokens"),
    ],
)
def test_arms_are_matched_by_what_is_asked_for(tmp_path, match, steps):
    runner(tmp_path, match=match, seeds=[0], arms={"SFT": "cot_sft", "RFT": "rft"}).run()
    cells = [json.loads((tmp_path / f"runs/cells/{arm}-rows8-seed0.json").read_text()) for arm in ("SFT", "RFT")]
    assert tuple(cell["cost"]["optimizer_steps"] for cell in cells) == steps


def test_what_a_search_finds_costs_as_much_as_what_it_does_not(tmp_path):
    class Groups(Counted):
        """Twice the group is twice the tokens of a step."""

        def fit(self, config, folder):
            super().fit(config, folder)
            size = yaml.safe_load(config.read_text())["model"]["init_args"].get("group_size", 4)
            summary = folder.summary()
            summary["cost"]["generated_tokens"] *= size
            folder.write("summary.json", summary)

    space = {"model.init_args.group_size": [2, 8]}
    arms, match = {"RFT": "rft"}, Match("generated_tokens", 8000)
    recipes = {"rft": recipe(tmp_path, "rft", "GRPOModule", search=space)}
    search = SearchOptions("snow/NumberMatch", trials=2, seeds=[1000])
    tried = runner(tmp_path, Groups(), arms=arms, match=match, recipes=recipes, search=search, seeds=[0])
    tried.run()
    for name in (tmp_path / "runs" / "stages").iterdir():
        cost = json.loads((name / "summary.json").read_text())["cost"]
        assert cost["generated_tokens"] == 8000 or cost["optimizer_steps"] == match.pilot


def test_a_stage_without_the_cost_that_is_matched_fails_and_says_so(tmp_path):
    tried = runner(tmp_path, match=Match("generated_tokens", 500), seeds=[0])
    tried.run()
    failed = tried.store.read("cells/SFT-rows8-seed0.json")
    assert failed["state"] == "failed"
    assert "Give `match.steps`" in failed["error"]
    assert tried.store.read("cells/RFT-rows8-seed0.json")["state"] == "done"


def test_a_cell_that_fails_is_told_and_tried_again_next_time(tmp_path):
    lines = []
    tried = runner(tmp_path, Counted(breaks=("GRPO",)), lines.append, seeds=[0])
    tried.run()
    assert [tried.state(cell) for cell in tried.cells] == ["done", "done", "failed"]
    assert "RFT, 8 rows, seed 0 failed: CUDA out of memory" in lines
    mended = runner(tmp_path, seeds=[0])
    mended.run()
    assert [mended.state(cell) for cell in mended.cells] == ["done"] * 3


def test_a_changed_config_trains_anew_what_depends_on_it_and_nothing_else(tmp_path):
    runner(tmp_path).run()
    commands = Counted()
    recipes = {"sft": recipe(tmp_path, "s", "SFTModule"), "rft": recipe(tmp_path, "r", "GRPOModule", set={RATE: 2e-4})}
    tried = runner(tmp_path, commands, recipes=recipes)
    tried.run()
    assert {name.rpartition("-")[0] for call, name in commands.calls if call == "fit"} == {
        f"rft-seed{i}" for i in range(3)
    }
    assert commands.count("test") == 3


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"policy": Section(class_path="vrft_pl.policy.VLM", init_args={"checkpoint": "other"})}, id="policy"
        ),
        pytest.param({"metrics": [Section(class_path="vrft_pl.rewards.Format")]}, id="metrics"),
        pytest.param({"rows_seed": 5}, id="rows"),
        pytest.param({"eval_params": Section(temperature=0.0, max_tokens=9)}, id="params"),
    ],
)
def test_whatever_decides_a_score_is_part_of_the_name_of_its_run(tmp_path, changes):
    runner(tmp_path, seeds=[0]).run()
    commands = Counted()
    runner(tmp_path, commands, seeds=[0], **changes).run()
    # the base sees no rows
    assert commands.count("test") == (2 if "rows_seed" in changes else 3)
    # how it is judged is nothing to training
    assert commands.count("fit") == (0 if set(changes) & {"metrics", "eval_params"} else 2)


def test_a_pool_whose_rows_changed_is_trained_on_anew(tmp_path):
    runner(tmp_path, seeds=[0]).run()
    commands = Counted()
    commands.source = lambda config: CountingScenes(domain="night", size=100)
    runner(tmp_path, commands, seeds=[0]).run()
    assert (commands.count("fit"), commands.count("test")) == (2, 2)


def test_a_pool_that_draws_by_another_seed_gives_other_rows(tmp_path):
    drawn = [runner(tmp_path, rows_seed=seed).training.pool.drawn(8, 0) for seed in (0, 1, 0)]
    assert drawn[0] == drawn[2]
    assert drawn[0].path != drawn[1].path
    assert drawn[0].hash != drawn[1].hash


def test_more_rows_than_there_are_fail_in_one_line(tmp_path):
    tried = runner(tmp_path, rows=[8, 101], seeds=[0])
    tried.run()
    assert [tried.kept(cell)["state"] for cell in tried.cells] == ["done"] * 3 + ["failed"] * 3
    error = tried.kept(tried.cells[3])["error"]
    assert error.startswith("Expected the pool to have rows of size 101: ")
    assert "\n" not in error


def test_a_base_whose_weights_changed_is_trained_anew(tmp_path):
    shutil.copytree(TINY, tmp_path / "policy")
    policy = Section(class_path="vrft_pl.policy.VLM", init_args={"checkpoint": str(tmp_path / "policy")})
    runner(tmp_path, policy=policy, seeds=[0]).run()
    with (tmp_path / "policy" / "model.safetensors").open("ab") as file:
        file.write(b" ")
    checkpoint_digest.cache_clear()
    commands = Counted()
    runner(tmp_path, commands, policy=policy, seeds=[0]).run()
    assert (commands.count("fit"), commands.count("test")) == (2, 3)


def test_a_probe_is_taken_off_the_tokens_of_its_stage_and_its_choice_decides_the_steps(tmp_path):
    commands = Probing(tokens=300)
    match = Match("generated_tokens", 1000, steps=50)
    stages = [Stage("rft", rows=RightCompletions())]
    tried = runner(tmp_path, commands, match=match, seeds=[0], rows=[10], arms={"RFT": stages})
    tried.run()
    # 100 tokens a step of 4 rows, so 700 tokens are 28 rows: of the 6 that were chosen 14 steps of 4 and 2
    assert tried.kept(tried.cells[0])["cost"]["optimizer_steps"] == 9
    poor = runner(tmp_path, Probing(tokens=2000), match=match, seeds=[1], rows=[10], arms={"RFT": stages})
    poor.run()
    assert "to be more than choosing its rows takes, 2000, but its share is 1000" in poor.kept(poor.cells[0])["error"]


def test_rows_that_were_chosen_get_as_many_samples_as_all_of_them(tmp_path):
    arms = {"SFT": "cot_sft", "rejection": "rejection_sft"}
    commands = Probing(tokens=1)
    tried = runner(tmp_path, commands, seeds=[0], rows=[10], arms=arms, match=Match(amount=60))
    tried.run()
    (all_rows,) = (c for c in config(tmp_path, "sft-seed0") if "RightCompletions" not in str(c["data"]))
    (chosen,) = (c for c in config(tmp_path, "sft-seed0") if "RightCompletions" in str(c["data"]))
    assert all_rows["trainer"]["max_steps"] == 18  # 4, 4 and 2 rows, six times
    assert chosen["trainer"]["max_steps"] == 20  # 4 and 2 of six rows, ten times


def test_a_changed_config_leaves_no_cell_and_no_trial_of_the_one_before_in_the_results(tmp_path):
    search = SearchOptions("snow/NumberMatch", trials=2, seeds=[1000])
    recipes = {
        "sft": recipe(tmp_path, "sft", "SFTModule", search={RATE: [1e-4, 2e-4]}),
        "rft": recipe(tmp_path, "rft", "GRPOModule"),
    }
    runner(tmp_path, recipes=recipes, search=search, seeds=[0]).run()
    changed = runner(tmp_path, recipes=recipes, search=search, seeds=[0], match=Match(amount=80))
    found = collect(changed)
    assert {cell.state for cell in found.cells} == {"waiting"}
    assert found.search == ()
    without = runner(tmp_path, recipes=recipes, search=search, seeds=[0], arms={"RFT": "rft"})
    assert [trial.arm for trial in collect(without).search] == []
    assert {cell.state for cell in collect(without).cells} == {"done"}


@pytest.mark.parametrize("content", [NESTED, b"[1, 2]", b"{"], ids=["nested", "list", "cut"])
def test_a_file_of_a_cell_that_another_program_wrote_is_named(tmp_path, content):
    tried = runner(tmp_path, seeds=[0])
    path = tmp_path / "runs" / f"{tried.cells[0].name}.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"Expected .* in {path}, but it"):
        collect(tried)


@pytest.mark.parametrize("content", [b"- 1", b"a: [", b"\xff"], ids=["list", "cut", "bytes"])
def test_a_config_of_an_ablation_that_another_program_wrote_is_named(tmp_path, content):
    store = Store(tmp_path)
    (tmp_path / store.ABLATION).write_bytes(content)
    with pytest.raises(InputError, match=r"Expected .* in .*ablation\.yaml, but it"):
        store.read_yaml(store.ABLATION)


@pytest.mark.parametrize(("per_value", "trials"), [(False, 2), (True, 4)])
def test_an_arm_of_two_stages_gets_more_trials_only_where_they_are_for_each_value(tmp_path, per_value, trials):
    rates = {RATE: [1e-4, 2e-4, 4e-4]}
    recipes = {
        "sft": recipe(tmp_path, "sft", "SFTModule", search=rates),
        "rft": recipe(tmp_path, "rft", "GRPOModule", search=rates),
    }
    search = SearchOptions("snow/NumberMatch", trials=2, per_value=per_value)
    arms = {"SFT": "cot_sft", "both": "cot_sft_rft"}
    tried = runner(tmp_path, recipes=recipes, search=search, seeds=[0], arms=arms)
    tried.run()
    assert Counter(trial.arm for trial in collect(tried).search) == {"SFT": 2, "both": trials}


def test_a_constant_answer_is_of_the_rows_trained_on_and_in_a_suite_of_its_own_rows(tmp_path):
    data = {"class_path": "vrft_pl.data.Counting", "init_args": {"test": {"base": SCENES}}}
    own = {**data, "init_args": {**data["init_args"], "train": SCENES}}
    metrics = [Section(class_path="vrft_pl.rewards.NumberMatch")]
    suites = {"with": Suite(Section(own), metrics), "without": Suite(Section(data), metrics)}
    runner(tmp_path, suites=suites, seeds=[0], arms={"base": "base", "SFT": "ans_sft"}).run()
    trains = {
        name: [found["data"]["init_args"].get("train") for found in config(tmp_path, f"{name}-")]
        for name in ("target", *suites)
    }
    assert trains["with"] == [SCENES] * 2
    assert trains["without"] == [None] * 2
    assert {train and train["class_path"] for train in trains["target"]} == {None, "vrft_pl.data.Listed"}


def test_a_trial_without_a_number_is_named(tmp_path):
    class Lost(Counted):
        def score(self, read):
            return math.nan

    recipes = {
        "sft": recipe(tmp_path, "sft", "SFTModule", search={RATE: [1e-4]}),
        "rft": recipe(tmp_path, "r", "GRPOModule"),
    }
    search = SearchOptions("snow/NumberMatch")
    tried = runner(tmp_path, Lost(), recipes=recipes, search=search, seeds=[0])
    tried.run()
    assert "Expected `search.metric` to be a number, but it is nan for" in tried.kept(tried.cells[1])["error"]


@pytest.mark.parametrize("what", ["config", "results"])
def test_many_writers_of_one_file_leave_it_whole(tmp_path, what):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(tmp_path, what)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4


def write_often(folder, what):
    for i in range(60):
        if what == "config":
            Store(folder).write_yaml("configs/check.yaml", {"i": i})
        else:
            Store(folder).write_results(AblationResults("tried", (), (), ()))


def test_names_that_would_share_a_file_are_refused(tmp_path):
    with pytest.raises(InputError, match="names of arms that differ in letters and digits"):
        runner(tmp_path, arms={"SFT+RFT": "cot_sft_rft", "SFT RFT": "rft"})
    with pytest.raises(InputError, match="names of arms that differ in letters and digits"):
        runner(tmp_path, arms={"sft": "cot_sft_rft", "SFT": "rft"})


def test_the_search_gives_every_arm_as_many_trials_and_its_own_best(tmp_path):
    grid = {RATE: [1e-4, 2e-4, 4e-4]}
    recipes = {
        "sft": recipe(tmp_path, "sft", "SFTModule", search=grid),
        "rft": recipe(tmp_path, "rft", "GRPOModule", search={RATE: [1e-4, 1.5e-4]}),
    }
    options = SearchOptions("snow/NumberMatch", trials=5, seeds=[1000, 1001])
    tried = runner(tmp_path, recipes=recipes, search=options)
    tried.run()
    for arm in ("SFT", "RFT"):
        kept = tried.store.read(f"search/{arm}-rows8.json")
        assert len(kept["trials"]) == 5
        assert all(len(trial["scores"]) == 2 for trial in kept["trials"])
        chosen = next(trial for trial in kept["trials"] if trial["chosen"])
        assert chosen["mean"] == max(trial["mean"] for trial in kept["trials"])
        assert tried.store.read(f"cells/{arm}-rows8-seed0.json")["values"] == chosen["values"]
        assert abs(chosen["values"][f"0.{RATE}"] - 3e-4) < 5e-5
    trained = config(tmp_path, "sft-seed1000")
    assert all(c["data"]["init_args"]["val"] == {"snow": SCENES} for c in trained)
    assert not any("test" in c["data"]["init_args"] for c in config(tmp_path, "sft"))


def test_what_is_refused_beyond_the_grid_is_no_trial_and_ends_nothing(tmp_path):
    class Bounded(Counted):
        def fit(self, config, folder):
            if yaml.safe_load(config.read_text())["model"]["init_args"]["optimizer"]["init_args"]["lr"] > 2e-4:
                raise InputError("Expected a rate of at most 2e-4.")
            super().fit(config, folder)

    def tried(grid, folder):
        recipes = {"sft": recipe(tmp_path, "sft", "SFTModule", search={RATE: grid})}
        search = SearchOptions("snow/NumberMatch", trials=3, seeds=[1000])
        folder.mkdir()
        return runner(folder, Bounded(), recipes=recipes, search=search, seeds=[0], arms={"SFT": "cot_sft"})

    beyond = tried([5e-5, 1e-4, 1.5e-4], tmp_path / "beyond")
    beyond.run()
    assert beyond.kept(beyond.cells[0])["state"] == "done"
    trials = beyond.store.read("search/SFT-rows8.json")["trials"]
    assert len([trial for trial in trials if trial["mean"] is not None]) == 3
    assert [trial["values"][f"0.{RATE}"] for trial in trials if trial["mean"] is None] == [2.25e-4]
    assert collect(beyond).search[-1].mean is None or collect(beyond).search
    within = tried([3e-4], tmp_path / "within")
    within.run()
    assert within.kept(within.cells[0])["error"] == "Expected a rate of at most 2e-4."


def test_a_metric_that_the_search_does_not_find_is_named(tmp_path):
    recipes = {
        "sft": recipe(tmp_path, "sft", "SFTModule", search={RATE: [1e-4]}),
        "rft": recipe(tmp_path, "r", "GRPOModule"),
    }
    tried = runner(tmp_path, recipes=recipes, search=SearchOptions("snow/Typo"), seeds=[0])
    tried.run()
    error = tried.store.read("cells/SFT-rows8-seed0.json")["error"]
    assert error == "Expected `search.metric` to be one of snow/NumberMatch, but got 'snow/Typo'."


def test_a_misspelt_key_is_found_before_anything_is_trained(tmp_path):
    tried = runner(tmp_path, arms={"wrong": [Stage("sft", set={"trainer.konfig": 1})]})
    assert list(tried.check()) == ["arm `wrong`, stage 1: Key 'konfig' is not expected"]
    assert list(runner(tmp_path).check()) == []


def test_a_pool_that_is_not_there_is_found_before_anything_is_trained(tmp_path):
    def lost(config):
        raise InputError("Expected rows at pool.jsonl, but there is no such file.")

    commands = Counted()
    commands.source = lost
    assert list(runner(tmp_path, commands).check_inputs()) == [
        "Expected rows at pool.jsonl, but there is no such file."
    ]


def test_a_policy_that_is_not_there_is_found_before_anything_is_trained(tmp_path):
    policy = Section(class_path="vrft_pl.policy.VLM", init_args={"checkpoint": "./nowhere"})
    (error,) = runner(tmp_path, policy=policy).check_inputs()
    assert error.startswith("Expected a checkpoint folder at `./nowhere`")
    assert list(runner(tmp_path).check_inputs()) == []


def test_what_another_worker_is_at_is_left_to_it(tmp_path):
    tried, other = runner(tmp_path), runner(tmp_path)
    cell = tried.cells[0]
    with other.store.only(cell.name):
        assert tried.state(cell) == "running"
        assert not tried.attempt(cell)
        with pytest.raises(Busy), tried.store.only(cell.name):
            pass
    assert tried.state(cell) == "waiting"
    assert tried.attempt(cell)


@pytest.mark.parametrize("moment", range(1, 14))
def test_an_ablation_that_is_broken_off_anywhere_ends_with_the_same_table(tmp_path, moment):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    for folder in (whole, broken):
        folder.mkdir()
    runner(whole).run()
    with pytest.raises(KeyboardInterrupt):
        runner(broken, Counted(die_at=moment)).run()
    runner(broken).run()
    assert table(runner(whole)) == table(runner(broken))


def table(tried):
    results = collect(tried)
    return (
        [(c.arm, c.seed, c.state, c.scores, c.cost, c.rows_hash) for c in results.cells],
        results.contrasts,
        results.verdict,
    )


def work(folder, log):
    runner(folder, Counted(log)).run()


def test_two_workers_at_once_never_do_anything_twice(tmp_path):
    log, fork = tmp_path / "log", multiprocessing.get_context("fork")
    workers = [fork.Process(target=work, args=(tmp_path, log)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(log.read_text().splitlines()) == 13
    assert set(Counter(log.read_text().splitlines()).values()) == {1}
    tried = runner(tmp_path)
    assert {tried.state(cell) for cell in tried.cells} == {"done"}


def test_checkpoints_of_finished_runs_are_dropped_unless_they_are_wanted(tmp_path):
    class Saving(Counted):
        def fit(self, config, folder):
            super().fit(config, folder)
            folder.checkpoints.mkdir(parents=True)

    for keep in (False, True):
        folder = tmp_path / str(keep)
        folder.mkdir()
        tried = runner(folder, Saving(), keep_checkpoints=keep, seeds=[0])
        tried.run()
        stages = list((folder / "runs" / "stages").iterdir())
        assert [(path / "checkpoints").exists() for path in stages] == [keep] * 2


def test_a_name_is_a_name_of_a_file_everywhere():
    assert Cell("CoT-SFT, then RFT / 2", 0.25, 3).name == "cells/CoT-SFT_then_RFT_2-rows0.25-seed3"
