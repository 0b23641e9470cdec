"""Faults are planted in data and configs; `vrft_pl check` names them and exits with 1."""

import json
import random
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from check.faults import Constant, ConstantNumber, Illiterate
from checkpoints import loaded
from lightning.pytorch.strategies import FSDPStrategy
from PIL import Image
from training import counting, grpo, weights

from vrft_pl.__main__ import main
from vrft_pl.check import CheckOptions, TrainerSection, check_run
from vrft_pl.data import COCODetection, Counting, CountingScenes, Detection, ReasonJSON, Structure
from vrft_pl.metrics import Accuracy
from vrft_pl.modules import SFTModule
from vrft_pl.policy.checkpoint import TINY
from vrft_pl.rewards import BoxIoU, ChoiceMatch, Format, NumberMatch, Reward
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import RunFolder
from vrft_pl.types import InputError

ROOT = Path(__file__).parents[2]
BOXES_ALONE = ["--check.skip", "[tokens, gold, signal, pictures, memory, speed]"]
FAST = ["--run.wandb", "off", "--check.skip", "[speed, memory]", "--check.prompts", "4"]


@pytest.fixture
def check(tmp_path, capsys, no_argv):
    """Run a check; return its exit code, its report and what it printed."""

    def run(config, *options, fast=True):
        code = 0
        try:
            main(["check", "--config", str(ROOT / config), *(FAST if fast else FAST[:2]), *options, *folder(tmp_path)])
        except SystemExit as stop:
            code = stop.code
        return code, json.loads((tmp_path / "run/check.json").read_text()), capsys.readouterr()

    return run


def direct(tmp_path, module=None, task=None, skip=(), fast=True, **options):
    """Check without the command line."""
    skip = (*skip, *(("memory", "speed") if fast else ()))
    long = SamplingParams(32)
    module = module or grpo(None, loaded("tiny"), [NumberMatch()], params=long, eval_params=long)
    section, options = TrainerSection.of({"accelerator": "cpu", "max_steps": 3}), {"prompts": 2, **options}
    return check_run(module, task, section, CheckOptions(skip=skip, **options), RunFolder(tmp_path))


def folder(tmp_path):
    return ["--run.folder", str(tmp_path / "run")]


def found(report, step, level="error"):
    """What a step found, with its rows."""
    return " ".join(
        " ".join([finding["what"], *finding["rows"]])
        for finding in report["steps"].get(step, [])
        if finding["level"] == level
    )


def data(tmp_path, rows, family="Grounding", **kwargs):
    """Options that train and validate on rows of a file."""
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    source = {"class_path": "vrft_pl.data.ReasonJSON", "init_args": {"path": str(tmp_path / "rows.json")}}
    value = {"class_path": f"vrft_pl.data.{family}", "init_args": {"train": source, "val": {"id": source}, **kwargs}}
    return ["--data", json.dumps(value)]


def picture(tmp_path, width=96, height=64, name="a.png"):
    Image.new("RGB", (width, height), "grey").save(tmp_path / name)
    return name


def boxes(width, height, count=24, seed=0):
    """True xyxy boxes anywhere in a picture, in pixels."""
    rng = random.Random(seed)
    spans = [sorted(rng.sample(range(limit + 1), 2)) for _ in range(count) for limit in (width, height)]
    return [[x[0], y[0], x[1], y[1]] for x, y in zip(spans[::2], spans[1::2], strict=True)]


def rows_of(image, answers):
    return [{"id": i, "image": image, "problem": "Locate it.", "answer": a} for i, a in enumerate(answers)]


def numbers(image, answers=(1, 2, 3, 4)):
    return [{"id": i, "image": image, "problem": "How many?", "answer": a, "cot": "1"} for i, a in enumerate(answers)]


def test_xywh_for_xyxy_is_named(check, tmp_path):
    swapped = [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes(96, 64)]
    code, report, _ = check(
        "configs/grounding/grpo.yaml", *data(tmp_path, rows_of(picture(tmp_path), swapped)), *BOXES_ALONE
    )
    assert code == 1
    assert "100% fit as [x, y, width, height] in pixels. Convert the boxes." in found(report, "boxes")


def test_xyxy_in_a_coco_file_is_named(tmp_path):
    images = [{"id": i, "file_name": picture(tmp_path, name=f"{i}.png"), "width": 96, "height": 64} for i in range(24)]
    annotations = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": box, "area": 9, "iscrowd": 0}
        for i, box in enumerate(boxes(96, 64))
    ]
    coco = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "dog"}]}
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    rows = COCODetection(str(tmp_path / "coco.json"), str(tmp_path))
    report = direct(tmp_path, task=Detection(train=rows), skip=("tokens", "gold", "signal", "pictures"))
    assert "100% fit as [x1, y1, x2, y2] in a file of [x, y, width, height]" in report.steps["boxes"][0].what


def test_another_space_is_named(check, tmp_path):
    permille = [[round(v * 1000 / side) for v, side in zip(box, (96, 64) * 2, strict=True)] for box in boxes(96, 64)]
    options = data(tmp_path, rows_of(picture(tmp_path), permille), annotation_space="pixels")
    code, report, _ = check("configs/grounding/grpo.yaml", *options, *BOXES_ALONE)
    assert code == 1
    assert "Set `annotation_space: permille`" in found(report, "boxes")


def test_class_that_is_not_in_the_list_is_named(check, tmp_path):
    rows = [{"image": picture(tmp_path), "problem": "Which?", "answer": name} for name in ("red", "blue", "gren")]
    options = [*data(tmp_path, rows, "Classification", classes=["red", "green", "blue"])]
    rewards = json.dumps([{"class_path": "vrft_pl.rewards.LabelMatch"}])
    code, report, _ = check("configs/quickstart.yaml", *options, "--model.init_args.rewards", rewards)
    assert code == 1
    assert "'gren'" in found(report, "data")


def test_missing_image_image_beyond_the_context_and_repeated_rows_are_named(check, tmp_path):
    rows = [*numbers(picture(tmp_path)), *numbers("gone.png", (5,))]
    rows += [{**numbers(picture(tmp_path, 1024, 1024, "large.png"), (6,))[0], "id": "large"}]
    rows += numbers("a.png", (3,))
    options = [*data(tmp_path, rows, "Counting"), "--model.policy.max_pixels", str(2**22)]
    code, report, printed = check("configs/quickstart.yaml", *options)
    assert code == 1
    assert "gone.png, but there is no such file" in found(report, "data")
    assert "1 of 7 rows of train are bad" in " ".join(printed.out.split())
    assert printed.err.splitlines()[-1].startswith("vrft_pl: check found 3 errors")
    assert "2 rows do not fit into the context of 2048 tokens" in found(report, "tokens")  # in train and in val
    assert "(id large): " in found(report, "tokens")
    assert "pictures of 1024 x 1024 pixels" in found(report, "tokens")
    assert "'0': 3 rows" in found(report, "data", "warning")
    assert "7 held-out rows are also training rows" in found(report, "data", "warning")


def test_bad_rows_that_are_left_out_are_named_and_no_error(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps([*numbers(picture(tmp_path)), *numbers("gone.png", (5,))]))
    task = Counting(ReasonJSON(str(tmp_path / "rows.json")), on_bad_row="skip")
    report = direct(tmp_path, task=task)
    assert report.count("error") == 0
    finding, *_ = (f for f in report.steps["data"] if f.level == "warning")
    assert "gone.png, but there is no such file" in finding.rows[0]


def test_every_row_bad_is_an_error_even_where_they_are_left_out(tmp_path):
    (tmp_path / "rows.json").write_text(json.dumps(numbers("gone.png", (5,))))
    task = Counting(ReasonJSON(str(tmp_path / "rows.json")), on_bad_row="skip")
    report = direct(tmp_path, task=task)
    assert "there is nothing left to use" in report.steps["data"][0].what
    assert report.count("error") == 1


def test_right_answers_beyond_max_tokens_are_named(tmp_path):
    module = grpo(None, loaded("tiny"), [NumberMatch()], params=SamplingParams(4), eval_params=SamplingParams(40))
    report = direct(tmp_path, module, Counting(CountingScenes(size=4), style="think"))
    (finding,) = (f for f in report.steps["tokens"] if f.level == "error")
    assert "4 right answers are longer than `max_tokens` 4 of training" in finding.what
    assert "are cut" not in report.steps["signal"][0].what
    assert "Raise `max_tokens`" in report.steps["signal"][0].what
    assert report.steps["signal"][0].level == "warning"


def test_rows_that_no_reward_judges_are_an_error(tmp_path):
    module = grpo(None, loaded("tiny"), [BoxIoU(), Format()])
    report = direct(tmp_path, module, counting(4), skip=("signal", "tokens"))
    (finding,) = (f for f in report.steps["gold"] if f.level == "error")
    assert "4 of 4 rows have a ground truth that no reward judges." in finding.what


@pytest.mark.parametrize(("kind", "errors"), [("sft", ["tokens", "speed"]), ("grpo", [])])
def test_missing_thoughts_are_an_error_for_sft_alone(kind, errors, tmp_path):
    rows = [{key: value for key, value in row.items() if key != "cot"} for row in numbers(picture(tmp_path))]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    module = SFTModule(loaded("tiny"), metrics=[NumberMatch()]) if kind == "sft" else None
    report = direct(tmp_path, module, Counting(ReasonJSON(str(tmp_path / "rows.json"))), skip=("signal",), fast=False)
    assert [step for step, found in report.steps.items() for f in found if f.level == "error"] == errors
    if errors:
        assert "expected a chain of thought" in report.steps["tokens"][0].rows[0]


@pytest.mark.parametrize("kind", ["sft", "grpo"])
def test_control_tokens_in_thoughts_are_an_error_for_sft_alone(kind, tmp_path):
    rows = [{**row, "cot": "One <|im_end|>"} for row in numbers(picture(tmp_path))]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    judges, short = [NumberMatch()], SamplingParams(1)  # so that every answer is cut
    policy = loaded("tiny")
    sft = SFTModule(policy, metrics=judges, eval_params=short)
    module = sft if kind == "sft" else grpo(None, policy, judges, params=short)
    report = direct(tmp_path, module, Counting(ReasonJSON(str(tmp_path / "rows.json"))))
    errors = [f for f in report.steps["tokens"] if f.level == "error" and "can't be used for training" in f.what]
    assert len(errors) == (kind == "sft")
    assert all("without control tokens, but it holds '<|im_end|>'" in row for f in errors for row in f.rows)
    cut, *rest = report.steps["signal"]
    assert cut.level == "warning"
    assert "can't be told: " in cut.what
    assert any(finding.what.startswith("NumberMatch: mean") for finding in rest)


def test_faults_of_rewards_are_named(check, tmp_path):
    faulty = ["check.faults.Illiterate", "check.faults.Picky", "check.faults.Constant", "vrft_pl.rewards.BoxIoU"]
    rewards = [{"class_path": path} for path in [*faulty, "vrft_pl.rewards.NumberMatch", "vrft_pl.rewards.Format"]]
    options = [
        *data(tmp_path, numbers(picture(tmp_path)), "Counting"),
        "--model.init_args.rewards",
        json.dumps(rewards),
    ]
    code, report, _ = check("configs/quickstart.yaml", *options)
    assert code == 1
    wrong = found(report, "gold")
    assert "8 right answers do not earn everything from `Illiterate`" in wrong  # four rows, in train and val
    assert "can't be read (no_answer)" in wrong
    assert "4 right answers do not earn everything from `Picky`" in wrong
    assert "earns 0.250" in wrong
    assert "Reward `Constant` is 0.5 for all samples, right, wrong and empty" in wrong
    assert "`BoxIoU` judges none of the rows" in found(report, "gold", "warning")
    assert "NumberMatch" not in wrong
    assert "Format" not in wrong


def test_rewards_inside_metrics_are_checked(tmp_path):
    module = SFTModule(loaded("tiny"), metrics=[Accuracy(Illiterate()), Format()])
    report = direct(tmp_path, module, counting(4))
    wrong = [finding.what for finding in report.steps["gold"] if finding.level == "error"]
    assert "4 right answers do not earn everything from `Illiterate`: the policy could not either." in wrong
    (unread,) = (finding for finding in report.steps["signal"] if "`Illiterate` can read none of the" in finding.what)
    assert unread.level == "note"  # supervised training is what is advised


def mixed(tmp_path, choices, values):
    """Questions with options, then questions for a number."""
    row = {"image": picture(tmp_path), "problem": "How many?\nA. 1\nB. 2"}
    rows = [{**row, "answer": "AB"[i % 2]} for i in range(choices)]
    rows += [{**row, "problem": "How many?", "answer": 1 + i % 2} for i in range(values)]
    (tmp_path / "rows.json").write_text(json.dumps([{"id": i, **row} for i, row in enumerate(rows)]))
    return Structure(ReasonJSON(str(tmp_path / "rows.json")), style="answer")


def test_rewards_are_probed_on_rows_that_they_judge(tmp_path):
    module = grpo(None, loaded("tiny"), [ChoiceMatch(), NumberMatch()])
    report = direct(tmp_path, module, mixed(tmp_path, 64, 2), skip=("signal", "pictures"))
    assert [finding.level for finding in report.steps["gold"]] == ["note"]
    assert "All 66 right answers earn everything: ChoiceMatch, NumberMatch." in report.steps["gold"][0].what


def test_scores_of_samples_that_a_reward_does_not_judge_hide_no_constant(tmp_path):
    module = grpo(None, loaded("tiny"), [ChoiceMatch(), NumberMatch(), ConstantNumber()])
    report = direct(tmp_path, module, mixed(tmp_path, 2, 2), skip=("pictures",), prompts=4)
    assert "ConstantNumber: mean 0.500" in " ".join(finding.what for finding in report.steps["signal"])
    (finding,) = report.steps["gold"]
    assert finding.level == "error"
    assert "Reward `ConstantNumber` is 0.5 for all samples, right, wrong and empty" in finding.what


class Length(Reward):
    """Looks at no ground truth, though it could fail to read an answer."""

    def grade_one(self, text, sample, frame):
        return min(len(text), 100) / 100


class Near(Reward):
    """Compares with the ground truth, though it never fails to read."""

    reads_answers = False

    def grade_one(self, text, sample, frame):
        return 1 / (1 + abs(len(text) - 10 * sample.solution.value))


def signals(tmp_path, rewards, task=None, **options):
    """Warnings and notes on the signal of rewards; completions that are this hot differ in length within groups."""
    module = grpo(None, loaded("tiny"), rewards, params=SamplingParams(32, temperature=3.0), group_size=8)
    report = direct(tmp_path, module, task or counting(8), skip=("gold", "pictures"), **options)
    found = [(finding.level, finding.what) for finding in report.steps["signal"]]
    return [what for level, what in found if level == "warning"], [what for level, what in found if level == "note"]


def test_a_signal_in_rewards_that_look_at_no_truth_is_a_warning(tmp_path):
    warnings, notes = signals(tmp_path, [Length(), Constant()], prompts=4)
    assert not any("GRPO has a signal" in note for note in notes)
    assert (
        "Only Length (100% of groups) differ within groups, and none of these looks at the ground truth" in warnings[-1]
    )


def test_a_signal_in_a_reward_that_looks_at_the_truth_needs_no_warning(tmp_path):
    warnings, notes = signals(tmp_path, [Near(), Length()], prompts=4)
    assert "in Near (" in notes[-1]
    assert "Length (100% of groups) looks at no ground truth and is no signal" in notes[-1]
    assert not any("none of these looks at the ground truth" in warning for warning in warnings)


class Numbered(CountingScenes):
    """The answer to each question is the number of its row."""

    def __getitem__(self, index):
        return replace(super().__getitem__(index), answer=index)


class Columned(Numbered):
    """The number of its row is another column, and all answers are alike."""

    def __getitem__(self, index):
        return replace(super().__getitem__(index), answer=1, extra={"row": index})


class NearColumn(Near):
    """Compares with another column than the answer."""

    def grade_one(self, text, sample, frame):
        return 1 / (1 + abs(len(text) - 10 * sample.extra["row"]))


def test_a_reward_that_reads_other_columns_looks_at_the_truth(tmp_path):
    task = counting(8)
    task.train_source = Columned(size=8, image_size=32)
    _, notes = signals(tmp_path, [NearColumn()], task, prompts=4)
    assert "GRPO has a signal, in NearColumn" in notes[-1]


class Lucky(Near):
    """Differs in the groups of one sample alone."""

    def grade_one(self, text, sample, frame):
        return super().grade_one(text, sample, frame) if sample.solution.value == 0 else 0.0


def test_what_differs_in_form_makes_no_strong_signal_of_a_weak_one(tmp_path):
    """Nearly every group differs in its length, and one of eight in the answer."""
    task = counting(8)
    task.train_source = Numbered(size=8, image_size=32)
    warnings, notes = signals(tmp_path, [Lucky(), Length()], task, prompts=8)
    assert not any("GRPO has a signal" in note for note in notes)
    assert "0% of 8 groups have equal rewards" in warnings[-1]
    assert "GRPO has a weak signal, 12%, in Lucky (12% of groups); Length (100% of groups) looks at no" in warnings[-1]


def test_of_one_sample_it_is_told_by_whether_a_reward_reads_answers(tmp_path):
    warnings, _ = signals(tmp_path, [Near()], prompts=1)
    assert any("none of these looks at the ground truth" in warning for warning in warnings)
    warnings, _ = signals(tmp_path, [Length()], prompts=1)
    assert not any("none of these looks at the ground truth" in warning for warning in warnings)


def test_strategy_that_the_sampler_refuses_is_an_error(check):
    strategy = ["--trainer.strategy", "fsdp", "--trainer.accelerator", "gpu", "--trainer.devices", "2"]
    code, report, _ = check("configs/quickstart.yaml", *strategy)
    assert code == 1
    assert "a strategy that LocalSampler supports, but got `fsdp`, which shards the weights" in found(report, "trainer")


@pytest.mark.parametrize("command", ["check", "fit"])
def test_trainer_that_lightning_refuses_ends_check_as_it_ends_fit(command, tmp_path, capsys, no_argv):
    config = ["--config", str(ROOT / "configs/quickstart.yaml"), "--trainer.accelerator", "cpu", *folder(tmp_path)]
    with pytest.raises(SystemExit) as stop:
        main([command, *config, "--run.wandb", "off", "--trainer.strategy", "fsdp"])
    assert stop.value.code == 2
    assert "`fsdp` requires a GPU accelerator" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("module", "task", "options", "refused"),
    [
        ("grpo", counting(2), {}, True),
        ("sft", counting(2), {}, False),
        ("sft", counting(2, val={"id": CountingScenes(size=2)}), {}, True),
        ("sft", counting(2, val={"id": CountingScenes(size=2)}), {"limit_val_batches": 0}, False),
    ],
)
def test_weights_may_be_sharded_where_nothing_is_sampled(module, task, options, refused, tmp_path):
    made = grpo(None, loaded("tiny")) if module == "grpo" else SFTModule(loaded("tiny"))
    section = TrainerSection.of({"accelerator": "gpu", "devices": 2, "strategy": "fsdp", **options})
    steps = ("tokens", "gold", "signal", "pictures", "parameters", "memory", "speed")
    report = check_run(made, task, section, CheckOptions(skip=steps), RunFolder(tmp_path))
    errors = [finding.what for finding in report.steps.get("trainer", []) if finding.level == "error"]
    assert bool(errors) == refused
    trainer = SimpleNamespace(strategy=FSDPStrategy(), datamodule=task, limit_val_batches=1.0)
    vars(trainer).update(options)
    made.trainer = trainer
    told = "supports, but got FSDPStrategy, which shards the weights. Use `ddp` or"
    with pytest.raises(InputError, match=told) if refused else nullcontext():
        made.setup("fit")


@pytest.fixture
def endless(tmp_path):
    """The embedded policy with another end of its turn in every file that names one."""
    target = tmp_path / "endless"
    shutil.copytree(TINY, target)
    for name in ("tokenizer_config.json", "chat_template.jinja"):
        text = (target / name).read_text()
        (target / name).write_text(text.replace("<|im_end|>", "<|vision_end|>"))
    config = json.loads((target / "generation_config.json").read_text())
    (target / "generation_config.json").write_text(json.dumps({**config, "eos_token_id": [4]}))
    return str(target)


def test_end_token_that_never_comes_is_named(check, endless):
    code, report, _ = check("configs/quickstart.yaml", "--model.policy.checkpoint", endless)
    assert code == 1
    assert "completions were cut at `max_tokens` 32" in found(report, "signal")
    assert "none of the end tokens (4 '<|vision_end|>')" in found(report, "signal")
    assert "2 '<|im_end|>' is the likeliest there" in found(report, "signal")


def test_clean_config_passes(check, tmp_path):
    code, report, printed = check("configs/quickstart.yaml", "--check.prompts", "8", fast=False)
    assert code == 0
    assert (report["errors"], report["warnings"]) == (0, 0)
    assert list(report["steps"]) == [
        *("data", "tokens", "signal", "gold", "constant", "pictures", "parameters", "memory", "speed")
    ]
    assert "GRPO has a signal" in found(report, "signal", "note")
    assert "Trained: 697,472 of 697,472" in found(report, "parameters", "note")
    assert "100 steps take" in found(report, "speed", "note")
    assert "Check found nothing wrong." in printed.out
    assert len(list((tmp_path / "run").glob("check-*.png"))) == 3


@pytest.mark.parametrize("kind", ["grpo", "sft"])
@pytest.mark.parametrize("precision", ["32-true", "bf16-true"])
def test_policy_is_bit_for_bit_what_it_was(kind, precision, tmp_path):
    judges = [NumberMatch(), Format()]
    policy = loaded("tiny")
    module = grpo(None, policy, judges) if kind == "grpo" else SFTModule(policy, metrics=judges)
    before, buffers = weights(module), {name: b.clone() for name, b in policy.named_buffers()}
    state, modes = torch.get_rng_state(), {name: m.training for name, m in module.named_modules()}
    section = TrainerSection.of({"accelerator": "cpu", "precision": precision, "max_steps": 3})
    report = check_run(module, counting(8), section, CheckOptions(prompts=2), RunFolder(tmp_path))
    assert "One optimizer step takes" in report.steps["speed"][0].what
    after = weights(module)
    assert {name: value.dtype for name, value in after.items()} == {name: value.dtype for name, value in before.items()}
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(torch.equal(b, buffers[name]) and b.dtype == buffers[name].dtype for name, b in policy.named_buffers())
    assert all(p.grad is None for p in module.parameters())
    assert {name: m.training for name, m in module.named_modules()} == modes
    assert torch.equal(torch.get_rng_state(), state)


def test_half_an_emoji_in_a_row_is_reported_and_keeps_no_report_from_being_written(check, tmp_path):
    rows = [{**row, "id": "\ud83d", "answer": "many"} for row in numbers(picture(tmp_path))]
    code, report, _ = check("configs/quickstart.yaml", *data(tmp_path, rows, "Counting"), *BOXES_ALONE)
    assert code == 1
    assert "\ud83d" in found(report, "data")


def test_run_for_gpus_is_checked_without_them(check):
    if torch.cuda.is_available():
        pytest.skip("needs a machine without GPU")
    options = ["--config", str(ROOT / "configs/hardware/deepspeed_zero2.yaml"), "--check.device_memory", "80"]
    code, report, _ = check("configs/quickstart.yaml", *options, "--check.skip", "[speed]")
    assert code == 0
    assert "8 GPUs that this machine lacks" in found(report, "trainer", "warning")
    assert "8 x GPU, deepspeed_stage_2, bf16-true" in found(report, "memory", "note")


def test_impossible_option_is_one_line(capsys, tmp_path, no_argv):
    with pytest.raises(SystemExit) as stop:
        main(["check", "--config", str(ROOT / "configs/quickstart.yaml"), "--check.prompts", "0", *folder(tmp_path)])
    assert stop.value.code == 2
    assert "Expected `check.prompts` to be at least 1, but got 0." in capsys.readouterr().err


@pytest.mark.parametrize("option", [{"rows": 0}, {"prompts": 0}, {"pictures": -1}, {"device_memory": 0}])
def test_impossible_options_are_refused(option):
    with pytest.raises(ValueError, match=f"Expected `check.{next(iter(option))}` to be"):
        CheckOptions(**option)
