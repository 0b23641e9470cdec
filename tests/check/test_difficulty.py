import json

from checkpoints import loaded
from training import Share, counting, grpo

from vrft_pl.check import CheckOptions, TrainerSection, check_run
from vrft_pl.data import CountingScenes, DifficultyBand
from vrft_pl.rollout import SamplingParams
from vrft_pl.runs import RunFolder

CPU = {"accelerator": "cpu"}
SKIP = ("boxes", "labels", "tokens", "gold", "constant", "signal", "pictures", "parameters", "memory", "speed")


def test_the_rates_of_all_training_rows_are_written_and_read_again(tmp_path):
    path, params = tmp_path / "rates.jsonl", SamplingParams(4)
    module = grpo(None, loaded("tiny"), [Share(below=60)], params=params, eval_params=params, eval_samples=0)
    options = CheckOptions(skip=SKIP, write_difficulty=str(path))
    report = check_run(module, counting(size=6), TrainerSection.of(CPU), options, RunFolder(tmp_path))
    (finding,) = report.steps["difficulty"]
    assert "6 rows of" in finding.what
    rates = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["completions"] for row in rates] == [module.group_size] * 6
    band = DifficultyBand(CountingScenes(size=6, image_size=32), str(path), 0.0, 1.0)
    assert len(band) == 6
    assert {row["id"]: row["rate"] for row in rates} == {name: own.rate for name, own in band.rates.items()}
    assert rates_again(module, tmp_path) == [row["rate"] for row in rates]


def rates_again(module, tmp_path):
    path = tmp_path / "again.jsonl"
    options = CheckOptions(skip=SKIP, write_difficulty=str(path))
    check_run(module, counting(size=6), TrainerSection.of(CPU), options, RunFolder(tmp_path))
    return [json.loads(line)["rate"] for line in path.read_text().splitlines()]


def test_a_run_without_a_reward_that_reads_answers_has_no_rates(tmp_path):
    class Blind(Share):
        reads_answers = False

    params = SamplingParams(4)
    module = grpo(None, loaded("tiny"), [Blind()], params=params, eval_params=params)
    options = CheckOptions(skip=SKIP, write_difficulty=str(tmp_path / "rates.jsonl"))
    report = check_run(module, counting(size=2), TrainerSection.of(CPU), options, RunFolder(tmp_path))
    assert [f.level for f in report.steps["difficulty"]] == ["error"]
    assert not (tmp_path / "rates.jsonl").exists()
