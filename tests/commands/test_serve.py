import signal
import stat

import pytest

from vrft_pl.__main__ import main
from vrft_pl.commands.serve import cause, with_limits
from vrft_pl.policy import VLM
from vrft_pl.policy.probes import PICTURED


def serve(*args):
    with pytest.raises(SystemExit) as stop:
        main(["serve", "--checkpoint", "tiny", *args])
    return stop.value.code


def python(folder, script):
    """Stands for an interpreter with vLLM."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return str(file)


def test_others_reach_a_server_with_a_token_only(capsys):
    assert serve("--host", "0.0.0.0") == 2
    said = capsys.readouterr().err
    assert "Expected `token_file` with `host: 0.0.0.0`, which others reach" in said
    assert said.count("\n") == 1


def test_at_least_one_server_is_started(capsys):
    assert serve("--count", "0") == 2
    assert "Expected `count` to be at least 1 server, but got 0." in capsys.readouterr().err


def test_an_interpreter_is_there(capsys, tmp_path):
    assert serve("--python", str(tmp_path / "none")) == 1
    assert "Expected `python` to be an interpreter with vLLM, but got" in capsys.readouterr().err


def test_of_several_errors_the_first_is_the_cause():
    worker = "(Worker pid=1) ERROR 11-30 04:30:47 [executor.py:1063] "
    printed = ["(APIServer pid=3) WARNING 11-30 [utils.py:2] no limit: ValueError: no more of it"]
    printed += [f"{worker}    raise ValueError(", f"{worker}torch.OutOfMemoryError: 8 GiB are too many [x] y"]
    printed += ["Traceback (most recent call last):", "RuntimeError: Engine core failed.", "  warnings.warn('leaked')"]
    assert cause("\n".join(printed)) == "torch.OutOfMemoryError: 8 GiB are too many [x] y"
    assert cause("\n".join(printed[3:])) == "RuntimeError: Engine core failed."
    assert cause("\n".join(printed[:1])) == printed[0]


def test_a_server_that_ends_by_itself_is_one_line_with_what_it_said_last(capsys, tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    assert (
        serve("--port", "1", "--python", python(tmp_path, "echo loading; echo No module named vllm >&2; exit 3")) == 1
    )
    said = capsys.readouterr().err
    assert "Expected http://127.0.0.1:1 to go on, but vLLM ended with code 3: 'No module named vllm'" in said
    assert said.count("\n") == 1
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_server_that_never_answers_is_ended(capsys, tmp_path):
    script = python(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    assert serve("--port", "1", "--patience", "0.1", "--python", script) == 1
    assert "Expected http://127.0.0.1:1 to answer in time, but it does not." in capsys.readouterr().err
    pid = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        __import__("os").kill(pid, 0)


def test_a_served_checkpoint_has_the_policys_limits_of_pixels(tmp_path):
    """The policy's other files are linked: weights and notes are those of the checkpoint."""
    served = VLM(with_limits("tiny", 1024, 2048, tmp_path)).load()
    ours = VLM("tiny", min_pixels=1024, max_pixels=2048).load()
    plain = VLM("tiny").load()
    lengths = [[prompt.num_tokens for prompt in policy.encode(PICTURED)] for policy in (served, ours, plain)]
    assert lengths[0] == lengths[1] != lengths[2]
    assert (tmp_path / "model.safetensors").is_symlink()
