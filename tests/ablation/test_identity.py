import shutil

from vrft_pl.ablation.identity import BLOCK, checkpoint_digest, digest
from vrft_pl.policy.checkpoint import TINY


def test_a_digest_is_of_values_and_not_of_their_order():
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 1, "b": 3})


def test_a_checkpoint_is_known_by_its_weights_and_not_by_where_it_lies(tmp_path):
    shutil.copytree(TINY, tmp_path / "copy")
    assert checkpoint_digest(str(tmp_path / "copy")) == checkpoint_digest("tiny")
    shutil.copytree(TINY, tmp_path / "trained")
    with (tmp_path / "trained" / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        last = file.read(1)[0]
        file.seek(-1, 2)
        file.write(bytes([last ^ 1]))
    assert checkpoint_digest(str(tmp_path / "trained")) != checkpoint_digest("tiny")


def test_one_of_the_hub_is_known_by_its_name():
    assert checkpoint_digest("Qwen/Qwen3-VL-2B-Instruct") is None


def test_large_weights_are_told_apart_without_reading_all_of_them(tmp_path):
    for name, byte in (("a", b"a"), ("b", b"b")):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "model.safetensors").open("wb") as file:
            file.truncate(BLOCK * 200)
            file.seek(BLOCK * 100)
            file.write(byte * BLOCK * 4)
    assert checkpoint_digest(str(tmp_path / "a")) != checkpoint_digest(str(tmp_path / "b"))
