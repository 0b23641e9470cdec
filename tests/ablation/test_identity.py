import shutil

from vrft_pl.ablation.identity import checkpoint_digest, digest
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


def test_a_card_is_no_part_of_a_checkpoint(tmp_path):
    shutil.copytree(TINY, tmp_path / "copy")
    (tmp_path / "copy" / "README.md").write_text("# Another card")
    assert checkpoint_digest(str(tmp_path / "copy")) == checkpoint_digest("tiny")


def test_a_byte_in_the_middle_of_large_weights_tells(tmp_path):
    for name, byte in (("a", b"a"), ("b", b"b")):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "model.safetensors").open("wb") as file:
            file.truncate(1 << 27)
            file.seek((1 << 26) + 12345)
            file.write(byte)
    assert checkpoint_digest(str(tmp_path / "a")) != checkpoint_digest(str(tmp_path / "b"))
