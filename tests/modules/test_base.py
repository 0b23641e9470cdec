from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoints import loaded
from evaluation import SHORT, Alternating, Looking, evaluate, evaluator, scenes, uneven
from forking import forked
from lightning import Callback
from torch.optim import SGD
from torch.utils.data import DataLoader
from training import Share, counting, fit, grpo, sgd

from vrft_pl.callbacks import PredictionWriter
from vrft_pl.data import Counting, Grounding, GroundingScenes, Mixture
from vrft_pl.metrics import Accuracy, COCOAveragePrecision
from vrft_pl.modules import PolicyModule, SFTModule, WarmupDecay
from vrft_pl.rewards import BoxIoU, Format, Judge, NumberMatch


def by_hand(module, samples, params=SHORT):
    completions = module.generate(samples, 1, params, 0)
    return Share().score(completions, samples).mean().item()


@pytest.mark.parametrize("stage", ["validate", "test"])
def test_each_split_is_logged_under_its_own_name(qwen3_vl, stage):
    module = PolicyModule(loaded(qwen3_vl), metrics=[Share(), NumberMatch()], eval_params=SHORT)
    task = Counting(val={"id": scenes(), "ood.snow": scenes(5, "snow")}, style="answer", eval_batch_size=2)
    got = evaluate(module, task, stage)
    key = {"validate": "val", "test": "test"}[stage]
    names = [f"{kind}{name}" for kind in ("", "parse_failures/") for name in ("Share", "NumberMatch")]
    assert set(got) == {f"{key}/{part}/{name}" for part in ("id", "ood.snow") for name in names}
    for part, dataset in task.datasets(key).items():
        expected = by_hand(module, [dataset[i] for i in range(len(dataset))])
        assert got[f"{key}/{part}/Share"] == pytest.approx(expected, abs=1e-6)


def test_two_evaluations_are_independent(qwen3_vl):
    module = PolicyModule(loaded(qwen3_vl), metrics=[Share()], eval_params=SHORT)
    task = counting(val={"id": scenes()})
    first = evaluate(module, task)
    assert evaluate(module, task) == first
    with torch.no_grad():
        for parameter in module.policy.parameters():
            parameter.add_(0.1)
    samples = [task.datasets("val")["id"][i] for i in range(3)]
    assert evaluate(module, task)["val/id/Share"] == pytest.approx(by_hand(module, samples), abs=1e-6)


def test_a_metric_judges_only_the_solutions_it_can(qwen3_vl):
    tasks = {"count": Counting(val={"id": scenes()}), "ground": Grounding(val={"id": GroundingScenes(size=2)})}
    module = PolicyModule(loaded(qwen3_vl), metrics=[NumberMatch(), BoxIoU()], eval_params=SHORT)
    assert set(evaluate(module, Mixture(tasks))) == {
        f"val/{part}/{kind}{name}"
        for part, name in (("count_id", "NumberMatch"), ("ground_id", "BoxIoU"))
        for kind in ("", "parse_failures/")
    }


def test_a_metric_may_log_several_numbers(qwen3_vl):
    metrics = [Accuracy(NumberMatch()), COCOAveragePrecision(), Format(), BoxIoU()]
    module = PolicyModule(loaded(qwen3_vl), metrics=metrics, eval_params=SHORT, sampler=Looking())
    task = Alternating(val={"id": scenes(8)}, style="answer", eval_batch_size=3)
    got = {name.removeprefix("val/id/"): value for name, value in evaluate(module, task).items()}
    accuracy = {"Accuracy", *(f"Accuracy/{name}" for name in ("low", "high", "tag/id"))}
    precision = {"AP", *(f"AP/{name}" for name in ("AP50", "AP75", "APs", "class/dog", "dropped"))}
    assert set(got) == accuracy | precision | {"parse_failures/Accuracy", "parse_failures/AP", "Format"}
    samples = [task.datasets("val")["id"][i] for i in range(8)]
    completions = module.generate(samples, 1, SHORT, 0)
    for metric in metrics[:2]:
        metric.update(completions, samples)
        expected = {name: value.item() for name, value in metric.values().items()}
        assert {name: got[name] for name in expected} == pytest.approx(expected)
    assert 0 < got["Accuracy"] < 1
    assert 0 < got["AP"] < 1


class Tagged(Counting):
    """The first row of every three is hard, the second easy, and the last row odd."""

    def sample(self, record, split):
        number = int(record.id.rsplit(" ", 1)[-1])
        tags = {0: ("hard",), 1: ("easy",), 2: ()}[number % 3] + (("odd",) if number == 6 else ())
        return super().sample(replace(record, tags=tags), split)


def test_rows_with_tags_of_their_own_are_judged_apart_as_well(qwen3_vl):
    metrics = [Share(), Accuracy(NumberMatch())]
    module = PolicyModule(loaded(qwen3_vl), metrics=metrics, eval_params=SHORT, sampler=Looking())
    task = Tagged(val={"ood.a": scenes(7), "b": scenes(1)}, style="answer", eval_batch_size=2)
    got = evaluate(module, task)
    samples = [task.datasets("val")["ood.a"][i] for i in range(7)]
    for tag, rows in (("hard", [0, 3, 6]), ("easy", [1, 4]), ("odd", [6])):
        expected = by_hand(module, [samples[i] for i in rows])
        assert got[f"val/ood.a/tag/{tag}/Share"] == pytest.approx(expected, abs=1e-6)
        assert f"val/ood.a/tag/{tag}/Accuracy" in got
    assert not [name for name in got if "/tag/ood" in name.replace("Accuracy/tag/ood", "")]
    assert {name.split("/")[3] for name in got if name.startswith("val/b/tag/")} == {"hard"}


def test_a_held_out_part_may_be_named_train(qwen3_vl):
    module = PolicyModule(loaded(qwen3_vl), metrics=[Share()], eval_params=SHORT, sampler=Looking())
    got = evaluate(module, Tagged(val={"train": scenes(3)}, style="answer"))
    assert {name.split("/")[3] for name in got if name.startswith("val/train/tag/")} == {"hard", "easy"}


class Seen(Judge):
    """Counts the completions since it was last reset."""

    def __init__(self):
        super().__init__()
        self.add_state("count", default=torch.tensor(0), dist_reduce_fx="sum")

    def update(self, completions, samples):
        self.count = self.count + len(completions)

    def values(self):
        return {"Seen": self.count}


class Validations(Callback):
    """Keeps what each validation says."""

    def __init__(self):
        self.logged = []

    def on_validation_end(self, trainer, module):
        if not trainer.sanity_checking:
            self.logged.append(float(trainer.callback_metrics["val/id/Seen"]))


def test_a_metric_forgets_an_evaluation_before_the_next(qwen3_vl):
    seen = Validations()
    module = grpo(qwen3_vl, metrics=[Seen()], eval_params=SHORT)
    task = counting(size=2, val={"id": scenes(3)}, eval_batch_size=2)
    fit(module, task, num_sanity_val_steps=2, max_epochs=3, callbacks=[seen])
    assert seen.logged == [3.0] * 3
    assert evaluate(module, task) == {"val/id/Seen": 3.0}


def test_parts_whose_names_differ_by_a_dot_are_told_apart(qwen3_vl):
    module = PolicyModule(loaded(qwen3_vl), metrics=[Seen()], eval_params=SHORT)
    got = evaluate(module, counting(val={"ood.a": scenes(2), "ood_a": scenes(3)}))
    assert got == {"val/ood.a/Seen": 2.0, "val/ood_a/Seen": 3.0}


def test_parts_of_other_data_are_numbered(qwen3_vl):
    module = PolicyModule(loaded(qwen3_vl), metrics=[Share()], eval_params=SHORT)
    parts = counting(val={"a": scenes(2), "b": scenes(3, "snow")}).datasets("val")
    loaders = [DataLoader(part, batch_size=2, collate_fn=list) for part in parts.values()]
    rows = evaluator().validate(module, loaders, verbose=False)
    got = {name: value for part in rows for name, value in part.items()}
    for number, part in enumerate(parts.values()):
        expected = by_hand(module, [part[i] for i in range(len(part))])
        assert got[f"val/{number}/Share"] == pytest.approx(expected, abs=1e-6)


def test_two_processes_evaluate_as_one_does(qwen3_vl, tmp_path):
    """Of an odd number of rows; each rank holds the only rows that one of the metrics can judge."""
    script = Path(__file__).parent.with_name("ddp_step.py")
    done = forked(script, "eval", qwen3_vl, tmp_path, ranks=2)
    assert done.returncode == 0, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"eval{rank}.pt") for rank in range(2))
    writer = PredictionWriter()
    alone = evaluate(*uneven(qwen3_vl), callbacks=[writer], default_root_dir=tmp_path / "alone")
    files = [path for path in (tmp_path / "alone").rglob("*") if path.is_file()]
    names = sorted(str(path.relative_to(tmp_path / "alone")) for path in files)
    assert names[:2] + names[-1:] == ["coco_results_few.json", "coco_results_many.json", "predictions.jsonl"]
    assert len([name for name in names if name.startswith("pictures/")]) == len(names) - 3 == 3 + 9
    assert all((tmp_path / name).read_bytes() == (tmp_path / "alone" / name).read_bytes() for name in names)
    assert first == second == pytest.approx(alone, abs=1e-6)
    assert {"val/few/AP", "val/many/Accuracy", "val/many/sampled/AP", "val/few/tag/third/Accuracy"} <= set(alone)
    assert 0 < alone["val/many/AP"] < 1
    assert 0 < alone["val/many/Accuracy"] < 1


def test_sampled_completions_are_scored_beside_the_greedy_one(qwen3_vl):
    module = PolicyModule(loaded(qwen3_vl), metrics=[Share()], eval_params=SHORT, eval_samples=3)
    got = evaluate(module, counting(val={"id": scenes()}))
    assert set(got) == {f"val/id/{draw}{kind}Share" for draw in ("", "sampled/") for kind in ("", "parse_failures/")}
    assert got == evaluate(module, counting(val={"id": scenes()}))


def test_evaluating_before_training_and_while_it_runs(qwen3_vl):
    module = grpo(qwen3_vl, eval_params=SHORT)
    task = counting(val={"id": scenes()})
    evaluate(module, task)
    trainer = fit(module, task, num_sanity_val_steps=1)
    samples = [task.datasets("val")["id"][i] for i in range(3)]
    assert float(trainer.callback_metrics["val/id/Share"]) == pytest.approx(by_hand(module, samples), abs=1e-6)
    assert not any(m.training for m in module.policy.hf_model.modules())  # it is trained as it samples


def test_evaluation_changes_nothing_of_training(qwen3_vl):
    ends = []
    for val in (None, {"id": scenes()}):
        module = grpo(qwen3_vl, eval_params=SHORT)
        fit(module, counting(size=6, val=val), val_check_interval=1, max_epochs=2)
        ends.append([p.detach().clone() for p in module.policy.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_callbacks_are_told_what_was_predicted(qwen3_vl):
    module = PolicyModule(loaded(qwen3_vl), eval_params=SHORT)
    task = counting(val={"id": scenes()})
    (told,) = evaluator().predict(module, datamodule=task)
    samples = [task.datasets("test")["id"][i] for i in range(3)]
    texts = module.generate(samples, 1, SHORT, 0).texts
    assert (told["completions"].texts, told["grades"]) == (texts, {})


def test_the_optimizer_gets_trainable_parameters_only(qwen3_vl):
    module = SFTModule(loaded(qwen3_vl, freeze=("vision",)), optimizer=sgd)
    (group,) = module.configure_optimizers().param_groups
    assert len(group["params"]) == sum(p.requires_grad for p in module.policy.parameters())
    assert all(p.requires_grad for p in group["params"])


def test_the_schedule_gets_the_length_of_the_run_in_optimizer_steps(qwen3_vl):
    module = SFTModule(loaded(qwen3_vl), optimizer=sgd, scheduler=lambda o: WarmupDecay(o, warmup_steps=1))
    trainer = fit(module, counting(size=8, batch_size=2), accumulate_grad_batches=2, max_epochs=3)
    schedule = trainer.lr_scheduler_configs[0].scheduler
    assert (schedule.total_steps, schedule.last_epoch) == (6, 6)
    assert schedule.get_last_lr() == [pytest.approx(0)]


@pytest.mark.parametrize(
    ("kwargs", "factors"),
    [
        pytest.param({"decay": "linear"}, [1, 0.75, 0.5, 0.25, 0, 0], id="linear"),
        pytest.param({"decay": "cosine"}, [1, 0.853553, 0.5, 0.146447, 0, 0], id="cosine"),
        pytest.param({"decay": "constant"}, [1] * 6, id="constant"),
        pytest.param({"decay": "linear", "final": 0.2}, [1, 0.8, 0.6, 0.4, 0.2, 0.2], id="floor"),
        pytest.param({"decay": "linear", "warmup_steps": 2}, [1 / 3, 2 / 3, 1, 0.5, 0, 0], id="warm-up"),
    ],
)
def test_the_schedule_by_hand(kwargs, factors):
    schedule = WarmupDecay(SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), total_steps=4, **kwargs)
    assert [schedule.factor(step) for step in range(6)] == pytest.approx(factors, abs=1e-6)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        pytest.param({"warmup_steps": -1}, "`warmup_steps` to be 0 or more, but got -1", id="warmup"),
        pytest.param({"final": 1.5}, r"`final` to be a share in \[0, 1\], but got 1.5", id="final"),
    ],
)
def test_the_schedule_has_ranges(kwargs, message):
    with pytest.raises(ValueError, match=message):
        WarmupDecay(SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0), **kwargs)


def test_held_out_completions_are_greedy_and_of_step_0_without_a_trainer(qwen3_vl, samples):
    seen = []

    class Told(Looking):
        def generate(self, *args, **kwargs):
            seen.append(self.step)
            return super().generate(*args, **kwargs)

        def update(self, policy, step):
            self.step = step

    module = PolicyModule(loaded(qwen3_vl), sampler=Told())
    assert module.eval_params.temperature == 0
    module.generate(samples[:1], 1, SHORT, 0)
    assert seen == [0]
