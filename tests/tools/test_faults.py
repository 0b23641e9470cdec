import os

import pytest

PYTHON = os.environ.get("VRFT_PL_VLLM_PYTHON")


@pytest.mark.nightly
@pytest.mark.parametrize(
    ("fault", "line", "seconds", "code"),
    [
        pytest.param("killed", "vrft_pl: Lost rank 1: killed by signal 9. Exiting with 3.", 20, 3, id="killed"),
        pytest.param("stopped", "vrft_pl: Lost rank 1: silent for 5 s. Exiting with 3.", 30, 3, id="asleep"),
        pytest.param("hangs", "vrft_pl: No progress for 20 s. The others wait for rank 1", 60, 3, id="hangs"),
        pytest.param("slow", "Files of this run", 120, 0, id="slow"),
        pytest.param("code", "vrft_pl: Expected every rank to have the same code of vrft_pl", 120, 1, id="code"),
        pytest.param("order", "vrft_pl: Expected every rank to have the same order of rows", 120, 1, id="order"),
        pytest.param("versions", "vrft_pl: Expected every rank to have the same transformers", 120, 1, id="versions"),
    ],
)
def test_a_real_run_that_is_broken_ends_with_one_line_that_names_the_rank(tool, tmp_path, fault, line, seconds, code):
    faults = tool("faults")
    last, took, ended = faults.run(faults.FAULTS[fault], tmp_path)
    assert last.startswith(line)
    assert took < seconds
    assert ended == code


@pytest.mark.nightly
@pytest.mark.skipif(PYTHON is None, reason="needs a vLLM: VRFT_PL_VLLM_PYTHON names the interpreter beside it")
@pytest.mark.parametrize(
    ("fault", "line"),
    [
        pytest.param("killed", "Expected a server of vLLM that answers, but none did for 20 s", id="killed"),
        pytest.param("asleep", "Expected a server of vLLM that answers, but none did for 20 s", id="asleep"),
        pytest.param("memory", "ended with code 1: 'ValueError: Available memory", id="memory"),
    ],
)
def test_a_run_whose_server_stays_away_ends_with_one_line(tool, tmp_path, fault, line):
    last, took, ended = tool("server_faults").run(fault, PYTHON, tmp_path)
    assert line in last
    assert ended == 1
    assert took < 200
