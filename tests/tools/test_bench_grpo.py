import json
from pathlib import Path

import pytest
import torch
from forking import forked
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2VLForConditionalGeneration, Qwen2VLProcessor

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def read_case(tool):
    return lambda name: tool("bench_grpo").read_case(name, "cpu", "float32", 0.04)


@pytest.fixture
def report(tool):
    return tool("bench.report")


NAMES = ["v64_g8", "v256_g16", "v1_g2", "v64_g8_t128", "v64_g8_p2", "v64_g8_m1", "v64_g8_2b", "v4_g2_t4_p2_m1_2b"]


@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_case_is_read_back(read_case, name):
    assert read_case(name).name == name


def test_each_part_of_a_name_has_its_meaning(read_case):
    case = read_case("v4_g2_t5_p6_m3_2b")
    assert (case.visual, case.group, case.completion, case.prompts, case.micro, case.size) == (4, 2, 5, 6, 3, "2b")
    assert (case.accumulate, case.device, case.dtype, case.kl) == (2, "cpu", "float32", 0.04)
    usual = read_case("v64_g8")
    assert (usual.completion, usual.prompts, usual.micro, usual.size) == (64, 4, 0, "25m")
    assert usual.accumulate == 1


def test_what_is_usual_is_left_out_of_a_name(read_case):
    assert read_case("v64_g8_t64_p4_m0_25m").name == "v64_g8"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("64_g8", "Expected a case such as .*, but got '64_g8'. Sizes are", id="no-letter"),
        pytest.param("v64", "Expected a case such as .*, but got 'v64'", id="no-group"),
        pytest.param("v64_g", "Expected a case such as .*, but got 'v64_g'", id="no-number"),
        pytest.param("v64_g8_7b", r"Expected a case such as .*, but got 'v64_g8_7b'. Sizes are .*2b", id="size"),
        pytest.param("v64_g8_p2_t4", "Expected a case such as .*, but got 'v64_g8_p2_t4'", id="order"),
        pytest.param("v64_g8_t4_t5", "Expected a case such as .*, but got 'v64_g8_t4_t5'", id="twice"),
        pytest.param("v64_g-8", "Expected a case such as .*, but got 'v64_g-8'", id="negative"),
        pytest.param("v64_g8 ", "Expected a case such as .*, but got 'v64_g8 '", id="space"),
        pytest.param("", "Expected a case such as .*, but got ''", id="empty"),
        pytest.param("v63_g8", "Expected `visual` to be a square number of tokens, but got 63", id="no-square"),
        pytest.param("v0_g8", "Expected `visual` to be a square number of tokens, but got 0", id="no-picture"),
        pytest.param("v64_g8_m3", "Expected 4 prompts to be a multiple of the micro-batch, but got 3", id="micro"),
    ],
)
def test_wrong_names_are_refused(read_case, name, message):
    with pytest.raises(ValueError, match=message):
        read_case(name)


@pytest.mark.parametrize("name", ["v64_g0", "v64_g8_t0", "v64_g8_p0"])
def test_cases_that_nothing_can_be_measured_on_are_refused(read_case, name):
    with pytest.raises(ValueError, match="Expected"):
        read_case(name)


def test_a_wrong_name_ends_the_program_before_anything_is_measured(tool, monkeypatch, capsys):
    bench = tool("bench_grpo")
    monkeypatch.setattr(bench, "matrix_rate", lambda *_: pytest.fail("measured"))
    monkeypatch.setattr("sys.argv", ["bench_grpo.py", "--cases", "v64_g8", "v63_g8"])
    with pytest.raises(SystemExit) as stop:
        bench.main()
    assert stop.value.code == 2
    assert "error: Expected `visual` to be a square number of tokens, but got 63." in capsys.readouterr().err


def test_a_case_survives_its_file(read_case, tool, tmp_path):
    case = read_case("v4_g2_t5_p6_m3_2b")
    case.write(tmp_path / "case.json")
    assert tool("bench.case").Case.read(tmp_path / "case.json") == case


@pytest.fixture
def prompt(tool, tmp_path):
    """Builds a case's model and the inputs of one prompt with one completion behind it, its last token left out."""

    def build(case):
        tool("bench.case").build_inputs(case, tmp_path)
        row = json.loads((tmp_path / "rows.json").read_text())[0]
        processor = Qwen2VLProcessor.from_pretrained(tmp_path / "checkpoint")
        text = {"type": "text", "text": f"{row['problem']} Answer with a number only."}
        chat = [{"role": "user", "content": [{"type": "image"}, text]}]
        text = processor.apply_chat_template(chat, add_generation_prompt=True)
        picture = Image.open(tmp_path / row["image"])
        inputs = processor(text=[text], images=[picture], return_tensors="pt")
        width, tail = inputs["input_ids"].shape[1], torch.full((1, case.completion - 1), 50)
        inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], dim=1)
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        inputs["mm_token_type_ids"] = torch.cat([inputs["mm_token_type_ids"], torch.zeros_like(tail)], dim=1)
        return Qwen2VLForConditionalGeneration.from_pretrained(tmp_path / "checkpoint"), inputs, width

    return build


@pytest.mark.parametrize("visual", [4, 64])
def test_the_floor_is_what_a_forward_pass_counts_but_for_pairs_that_are_not_seen(tool, prompt, visual):
    """One prompt, one completion.

    PyTorch counts the square of text attention, of which the floor needs the causal half only. Attention's backward
    pass recomputes the scores, which are a product more. That apart, the counts are equal.
    """
    case_module, floor = tool("bench.case"), tool("bench.floor")
    case = case_module.Case(visual, 1, completion=8, prompts=1)
    size = case_module.SIZES[case.size]
    model, inputs, width = prompt(case)
    assert width == visual + case.text
    with FlopCounterMode(display=False) as forward:
        logits = model(**inputs, logits_to_keep=case.completion).logits
    with FlopCounterMode(display=False) as backward:
        logits.sum().backward()
    length, patches = width + case.completion - 1, visual * 4
    square = 2 * size.hidden * size.layers * length**2
    half = 2 * size.hidden * size.layers * length * (length + 1) // 2
    pictures = 2 * size.vision_width * size.vision_depth * patches**2
    got = floor.floor_flops(case, width)
    assert got["rollout"] == got["reference"] == forward.get_total_flops() - 2 * (square - half)
    exact = forward.get_total_flops() + backward.get_total_flops() - 6 * (square - half) - square - pictures
    assert got["update"] == exact
    assert forward.get_total_flops() == pytest.approx(got["rollout"], rel=0.03)
    assert forward.get_total_flops() + backward.get_total_flops() == pytest.approx(got["update"], rel=0.05)


def test_the_floor_of_a_group_computes_its_prompt_once(tool):
    case, floor_flops = tool("bench.case").Case, tool("bench.floor").floor_flops
    one, two, three = (floor_flops(case(64, group), 119)["rollout"] for group in (1, 2, 3))
    assert three - two == two - one < one / 2
    assert floor_flops(case(64, 8, prompts=8), 119)["update"] == 2 * floor_flops(case(64, 8), 119)["update"]


def test_the_floor_has_no_reference_without_a_kl_term(tool):
    case = tool("bench.case").Case(64, 8, kl=0.0)
    assert set(tool("bench.floor").floor_flops(case, 119)) == {"rollout", "update"}


def run(*seconds, peak=2**30, tokens=(100, 60)):
    """What one process wrote."""
    steps = [{"step": s, "rollout": s / 2, "reward": s / 100, "update": s / 4} for s in seconds]
    return {"steps": steps, "peak_bytes": peak, "completion_tokens": tokens[0], "prompt_tokens": tokens[1]}


def test_a_summary_by_hand(report):
    assert report.summary([run(2.0, 4.0), run(8.0, peak=2**31)]) == {
        "seconds": {"median": 4.0, "min": 2.0, "max": 8.0},
        "phases": {"rollout": 2.0, "reward": 0.04, "reference": 0.0, "update": 1.0},
        "peak_bytes": 2**31,
        "tokens_per_second": 25.0,
        "prompt_tokens": 60,
        "completion_tokens": 100,
    }


def test_a_comparison_by_hand(report):
    """Pairs are 6/2, 4/4 and 10/5; the ratio of the medians would be 1.5."""
    ours = [run(2.0), run(4.0, peak=2**29), run(5.0, peak=2**31)]
    peer = [run(6.0), run(3.0, 5.0), run(10.0)]
    assert report.compare(ours, peer) == {
        "time_ratio": 2.0,
        "time_ratios": [3.0, 1.0, 2.0],
        "memory_ratio": 1.0,
        "memory_ratios": [1.0, 0.5, 2.0],
    }


@pytest.mark.parametrize("tokens", [(101, 60), (100, 61)], ids=["completion", "prompt"])
def test_sides_that_did_different_work_are_not_compared(report, tokens):
    with pytest.raises(ValueError, match="Expected both sides to work on the same number of tokens, but got"):
        report.compare([run(1.0)], [run(1.0, tokens=tokens)])


def test_each_process_has_a_partner(report):
    with pytest.raises(ValueError, match="shorter"):
        report.compare([run(1.0), run(1.0)], [run(1.0)])


def test_a_table_by_hand(report):
    ours, peer = [run(2.0), run(4.0)], [run(6.0), run(4.0, peak=2**31)]
    both = {"case": "v64_g8", "ours": report.summary(ours), "peer": report.summary(peer)}
    floor = {"floor_seconds": 1.5, "floor_distance": 2.0}
    alone = {"case": "v64_g2", "ours": report.summary(ours), **floor}
    cases = [both | report.compare(ours, peer) | floor, alone]
    result = {"machine": "a machine", "rate": 5e10, "peer": "TRL 1.10", "pairs": 2, "steps": 1, "cases": cases}
    lines = report.markdown(result).splitlines()
    assert lines[0] == "a machine; 50 GFLOP/s; median (min-max) of 2 processes a side in turn, 1 steps each."
    assert lines[4:] == [
        "| v64_g8 | vrft_pl | 3.00 (2.00-4.00) | 1.50 | 0.00 | 0.75 | 1.00 GiB | 33 | **2.00** (3.00, 1.00) "
        "| **0.75** | 2.00x of 1.50 s |",
        "| v64_g8 | TRL 1.10 | 5.00 (4.00-6.00) | 2.50 | 0.00 | 1.25 | 2.00 GiB | 20 |  |  |  |",
        "| v64_g2 | vrft_pl | 3.00 (2.00-4.00) | 1.50 | 0.00 | 0.75 | 1.00 GiB | 33 |  |  | 2.00x of 1.50 s |",
    ]
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_a_clock_leaves_warm_up_out_and_the_rest_to_the_update(tool, monkeypatch, tmp_path):
    clock = tool("bench.measure").Clock("cpu", warmup=1)
    times = iter([0.0, 10.0, 11.0, 12.0, 15.0, 22.0, 23.0, 27.0, 28.0])
    monkeypatch.setattr(clock, "now", lambda: next(times))
    clock.start()
    clock.step()
    with clock.phase("rollout"):
        pass
    clock.add("reward", 2.0)
    clock.step()
    clock.step()
    clock.save(tmp_path / "clock.json", 7, 5)
    got = json.loads((tmp_path / "clock.json").read_text())
    second, third = {"step": 11.0, "rollout": 3.0, "reward": 2.0, "update": 6.0}, {"step": 4.0, "update": 4.0}
    assert got["steps"] == [second, third]
    assert (got["completion_tokens"], got["prompt_tokens"]) == (7, 5)
    assert got["peak_bytes"] > 2**20


def test_both_sides_are_rewarded_between_zero_and_one(tool):
    score = tool("bench.measure").score
    assert (score(""), score("a"), score("ab")) == (0.0, 0.0, 1 / 96)
    assert all(0 <= score(chr(i)) <= 1 for i in range(300))


def test_a_process_that_fails_says_why(tool, tmp_path, monkeypatch):
    bench, worker = tool("bench_grpo"), tmp_path / "worker.py"
    worker.write_text("import sys\nsys.exit(f'no {sys.argv[1:]}')")
    monkeypatch.setitem(bench.WORKERS, "ours", str(worker))
    with pytest.raises(RuntimeError, match=r"(?s)worker.py .* ended with 1:.*no \[.*'3', '2', .*ours.json'\]"):
        bench.run_side("ours", tmp_path, 3, 2)


def test_sides_take_turns(tool, read_case, monkeypatch):
    bench, turns = tool("bench_grpo"), []
    monkeypatch.setattr(bench, "build_inputs", lambda *_: None)
    monkeypatch.setattr(bench, "run_side", lambda side, *_: turns.append(side) or run(3.0 if side == "trl" else 1.5))
    result = bench.run_case(read_case("v4_g2"), "trl", 2, 1, 0, 1e9)
    assert turns == ["ours", "trl", "ours", "trl"]
    assert (result["time_ratio"], result["peer"]["seconds"]["median"]) == (2.0, 3.0)
    assert result["floor_seconds"] == sum(result["floor_flops"].values()) / 1e9
    assert result["floor_distance"] == 1.5 / result["floor_seconds"]


@pytest.mark.nightly
def test_a_run_writes_everything_it_measured(tmp_path):
    output = tmp_path / "bench.json"
    command = ["--peer", "none", "--cases", "v4_g2_t4_p2_m1", "--pairs", "1", "--steps", "1", "--warmup", "1"]
    process = forked(TOOLS / "bench_grpo.py", *command, "--json", output)
    assert process.returncode == 0, process.stderr[-2000:]
    result = json.loads(output.read_text())
    assert set(result) == {"machine", "rate", "peer", "pairs", "steps", "cases"}
    assert (result["peer"], result["pairs"], result["steps"]) == ("none", 1, 1)
    case = result["cases"][0]
    assert set(case) == {"case", "ours", "floor_flops", "floor_seconds", "floor_distance"}
    assert case["case"] == "v4_g2_t4_p2_m1"
    assert set(case["floor_flops"]) == {"rollout", "reference", "update"}
    assert case["floor_seconds"] == pytest.approx(sum(case["floor_flops"].values()) / result["rate"])
    ours = case["ours"]
    keys = {"seconds", "phases", "peak_bytes", "tokens_per_second", "prompt_tokens", "completion_tokens"}
    assert set(ours) == keys
    assert (ours["prompt_tokens"], ours["completion_tokens"]) == (4 + 55, 2 * 2 * 4)
    assert set(ours["phases"]) == {"rollout", "reward", "reference", "update"}
    assert sum(ours["phases"].values()) == pytest.approx(ours["seconds"]["median"])
    assert ours["phases"].pop("reward") == 0  # judged while the reference runs
    assert min(ours["phases"].values()) > 0
    assert ours["tokens_per_second"] == pytest.approx(16 / ours["seconds"]["median"])
    assert case["floor_distance"] == pytest.approx(ours["seconds"]["median"] / case["floor_seconds"])
    assert case["floor_distance"] > 1
    assert "| v4_g2_t4_p2_m1 | vrft_pl |" in process.stdout
    assert "v4_g2_t4_p2_m1, pair 1 of 1, ours:" in process.stderr
