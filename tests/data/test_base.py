from __future__ import annotations

import json
import zlib
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from PIL import Image

from vrft_pl.data import Counting, CountingScenes, Mixture, ReasonJSON
from vrft_pl.data.images import FileImage
from vrft_pl.data.resumable import ResumableLoader
from vrft_pl.types import InputError


class Wraps(torch.nn.Module):
    def wrap_train_loader(self, loader):
        return ["wrapped", loader]


@pytest.fixture
def rows(tmp_path):
    """Five rows: good, a wrong answer, a missing picture, a damaged picture, good."""
    noise = Image.effect_noise((40, 40), 50)
    noise.save(tmp_path / "good.png")
    (tmp_path / "damaged.png").write_bytes((tmp_path / "good.png").read_bytes()[:600])
    cells = [("good.png", 1), ("good.png", "many"), ("none.png", 2), ("damaged.png", 3), ("good.png", 4)]
    content = [{"problem": "How many?", "image": image, "answer": answer} for image, answer in cells]
    (tmp_path / "rows.json").write_text(json.dumps(content))
    return ReasonJSON(str(tmp_path / "rows.json"))


def values(dataset):
    return [dataset[i].solution.value for i in range(len(dataset))]


def test_the_first_bad_row_stops_the_run(rows):
    with pytest.raises(InputError, match="rows.json, row 1: expected the answer to be a number, but got 'many'"):
        Counting(train=rows).setup("fit")


def test_a_missing_picture_stops_the_run_before_it_trains(rows):
    rows.rows = rows.rows[2:]
    with pytest.raises(InputError, match="rows.json, row 0: expected a picture at .*none.png"):
        Counting(train=rows).setup("fit")


def test_bad_rows_are_skipped_counted_and_named_if_asked_for(rows):
    task = Counting(train=rows, val={"id": rows}, on_bad_row="skip")
    with pytest.warns(UserWarning, match="Skipped 3 of 5 rows of train/train. First: .*row 1: expected the answer"):
        train = task.datasets("train")["train"]
    assert values(train) == [1, 4]
    assert [message.split(":")[0].split(", ")[1] for message in task.skipped["train/train"]] == [
        "row 1",
        "row 2",
        "row 3",
    ]
    with pytest.warns(UserWarning, match="rows of val/id"):
        task.setup("validate")
    assert set(task.skipped) == {"train/train", "val/id"}


def test_the_first_rank_alone_tells_of_skipped_rows(rows, monkeypatch, recwarn):
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    task = Counting(train=rows, on_bad_row="skip")
    assert len(task.datasets("train")["train"]) == 2
    assert not [warning for warning in recwarn if "Skipped" in str(warning.message)]


def test_a_source_without_a_good_row_stops_the_run(rows):
    rows.rows = rows.rows[1:4]
    with (
        pytest.warns(UserWarning, match="Skipped 3 of 3"),
        pytest.raises(
            InputError, match="at least one good row in val/id, but all 3 are bad: .*row 0: expected the answer"
        ),
    ):
        Counting(val={"id": rows}, on_bad_row="skip").setup("validate")


def test_each_part_of_a_split_keeps_its_name_order_and_domain():
    task = Counting(train=CountingScenes(size=3), val={n: CountingScenes(size=2) for n in ("id", "ood_snow", "hard")})
    assert list(task.datasets("val")) == ["id", "ood_snow", "hard"]
    assert len(task.val_dataloader()) == 3
    samples = [task.datasets("val")[name][0] for name in ("id", "ood_snow", "hard")]
    assert [(s.split, s.domain, s.tags) for s in samples] == [
        ("id", "id", ()),
        ("ood_snow", "ood", ()),
        ("hard", "id", ()),
    ]
    assert samples[1].groups == ("ood_snow", "ood")
    assert task.datasets("train")["train"][0].split == "train"


def test_every_part_is_listed_once_with_the_rows_that_are_read():
    val = {"id": CountingScenes(size=2)}
    plain = Counting(CountingScenes(size=3), val, seed=7)
    tested = Counting(val=val, test={"far": CountingScenes("snow", size=2)})
    mixture = Mixture({"plain": plain, "tested": tested}, seed=7)
    assert [part.key for part in plain.every_part()] == ["train/train", "val/id"]
    assert [str(part) for part in plain.every_part()] == ["train", "val/id"]
    keys = ["plain_train/train", "plain_val/id", "tested_val/id", "tested_test/far"]
    assert [part.key for part in mixture.every_part()] == keys
    for part in mixture.every_part():
        read = mixture.datasets(part.split)[part.title][0]
        assert (part.read(part.source[0]).id, part.name) == (read.id, read.split)


def test_test_rows_are_those_of_validation_unless_given():
    val = {"id": CountingScenes(size=2)}
    assert list(Counting(val=val).datasets("test")) == ["id"]
    assert list(Counting(val=val, test={"far": CountingScenes("snow", size=2)}).datasets("test")) == ["far"]
    assert Counting(val=val, test={}).test_dataloader() == []


def test_rows_are_read_once():
    task = Counting(val={"id": CountingScenes(size=2)})
    assert task.datasets("val") is task.datasets("val")


@pytest.mark.parametrize(("stage", "splits"), [("fit", {"train", "val"}), ("validate", {"val"}), ("test", {"test"})])
def test_a_stage_reads_the_splits_it_needs(stage, splits, monkeypatch):
    task, read = Counting(train=CountingScenes(size=2), val={"id": CountingScenes(size=2)}), set()
    monkeypatch.setattr(task, "datasets", read.add)
    task.setup(stage)
    assert read == splits


def test_training_rows_follow_the_seed_and_held_out_rows_do_not():
    source = CountingScenes(size=4)
    zero, one = (Counting(train=source, val={"id": source}, seed=seed) for seed in (0, 1))

    def ids(task, split):
        return [sample.images for part in task.datasets(split).values() for sample in map(part.__getitem__, range(4))]

    assert ids(zero, "train") != ids(one, "train")
    assert ids(zero, "train") == ids(Counting(train=source), "train")
    assert ids(zero, "val") == ids(one, "val")
    assert zero.datasets("val")["id"].source.seed == zlib.crc32(b"val/id")


def order(seed):
    task = Counting(train=CountingScenes(size=16), seed=seed, batch_size=5)
    loader = task.train_dataloader()
    return [[int(s.id.split()[-1]) for s in batch] for batch in loader]


def order_of_two_ranks(seed):
    task, read = Counting(train=CountingScenes(size=16), seed=seed, batch_size=8), []
    for rank in range(2):
        share = {"num_replicas": 2, "rank": rank}
        task.trainer = SimpleNamespace(
            strategy=SimpleNamespace(distributed_sampler_kwargs=share), lightning_module=None
        )
        (batch,) = task.train_dataloader()
        read.append([int(sample.id.split()[-1]) for sample in batch])
    return read


def test_ranks_share_the_rows_in_an_order_that_follows_the_seed():
    first = order_of_two_ranks(3)
    assert sorted(sum(first, [])) == list(range(16))
    assert order_of_two_ranks(3) == first
    assert order_of_two_ranks(4) != first


def test_training_rows_are_shuffled_by_the_seed_in_batches_of_samples():
    first = order(3)
    assert [len(batch) for batch in first] == [5, 5, 5, 1]
    assert sorted(sum(first, [])) == list(range(16)) != sum(first, [])
    assert order(3) == first != order(4)


def resumable(num_workers):
    task = Counting(CountingScenes(size=8, image_size=32), batch_size=2, num_workers=num_workers)
    return ResumableLoader(task.train_dataloader())


def ids(batches):
    return [sample.id for batch in batches for sample in batch]


def test_workers_do_not_change_the_order_of_any_epoch():
    alone, helped = resumable(0), resumable(1)
    epochs = [ids(alone) for _ in range(3)]
    assert [ids(helped) for _ in range(3)] == epochs
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_run_resumed_in_a_later_epoch_reads_what_is_left(num_workers):
    whole, resumed = resumable(num_workers), resumable(num_workers)
    list(whole)
    batches = iter(whole)
    read = ids([next(batches)])
    resumed.load_state_dict(whole.state_dict())
    rest = ids(batches)
    assert ids(resumed) == rest
    assert len({*read, *rest}) == 8


def test_held_out_rows_keep_their_order():
    task = Counting(val={"id": CountingScenes(size=5)}, eval_batch_size=3)
    (loader,) = task.val_dataloader()
    assert [[int(s.id.split()[-1]) for s in batch.value] for batch in loader] == [[0, 1, 2], [3, 4]]


def test_style_and_system_prompt_reach_every_sample():
    task = Counting(val={"id": CountingScenes(size=1)}, style="caption", system="Be brief.")
    sample = task.datasets("val")["id"][0]
    assert (sample.style, sample.system) == ("caption", "Be brief.")


@pytest.mark.parametrize("name", ["batch_size", "eval_batch_size"])
def test_a_batch_holds_a_prompt(name):
    with pytest.raises(ValueError, match=f"Expected `{name}` to be at least 1 prompt, but got 0"):
        Counting(**{name: 0})


def test_training_needs_a_source():
    with pytest.raises(InputError, match="Expected `data.init_args.train` to name a source of rows to train on"):
        Counting(val={"id": CountingScenes(size=1)}).train_dataloader()


def test_a_mixture_trains_on_all_rows_and_evaluates_each_task(rows):
    rows.rows = [rows.rows[0], rows.rows[4]]
    scenes = Counting(train=CountingScenes(size=6), val={"id": CountingScenes(size=2)}, style="answer", seed=9)
    files = Counting(train=rows, val={"id": rows, "hard": rows}, style="caption")
    mixture = Mixture({"scenes": scenes, "files": files}, seed=4, batch_size=8)
    mixture.setup("fit")
    assert list(mixture.datasets("val")) == ["scenes_id", "files_id", "files_hard"]
    (batch,) = mixture.train_dataloader()
    assert sorted(sample.style for sample in batch) == ["answer"] * 6 + ["caption"] * 2
    assert [sample.style for sample in batch] != sorted(sample.style for sample in batch)
    assert scenes.datasets("train")["train"].source.seed == 4


def test_a_mixture_skips_bad_rows_as_its_tasks_say(rows):
    mixture = Mixture({"files": Counting(train=rows, on_bad_row="skip")})
    with pytest.warns(UserWarning, match="Skipped 3 of 5"):
        mixture.setup("fit")
    assert len(mixture.datasets("train")["files_train"]) == 2
    assert {name: len(messages) for name, messages in mixture.skipped.items()} == {"files_train/train": 3}


@pytest.mark.parametrize("verify_images", [True, False])
def test_a_picture_of_many_questions_is_looked_at_once(tmp_path, monkeypatch, verify_images):
    looks = []
    for name in ("size", "open"):
        monkeypatch.setattr(FileImage, name, lambda image, name=name: looks.append((name, image.path.name)))
    content = [{"problem": "How many?", "image": ["a.png", f"{i % 2}.png"], "answer": i} for i in range(6)]
    (tmp_path / "rows.json").write_text(json.dumps(content))
    source = ReasonJSON(str(tmp_path / "rows.json"))
    task = Counting(train=source, val={"id": source}, test={"id": source}, verify_images=verify_images)
    task.setup("fit")
    task.setup("test")
    assert looks == [("open" if verify_images else "size", name) for name in ("a.png", "0.png", "1.png")]


def test_every_question_about_a_damaged_picture_is_skipped(rows):
    rows.rows = [rows.rows[3], rows.rows[0], rows.rows[3], rows.rows[0]]
    task = Counting(train=rows, on_bad_row="skip")
    with pytest.warns(UserWarning, match="Skipped 2 of 4"):
        assert values(task.datasets("train")["train"]) == [1, 1]


def test_a_mixture_needs_a_task():
    with pytest.raises(ValueError, match="Expected `tasks` to hold at least one task, but got none"):
        Mixture({})
    with pytest.raises(ValueError, match="without underscore, but got"):
        Mixture({"a_b": Counting()})


def test_a_held_out_part_needs_a_row_for_each_process():
    """A process without rows would leave the others waiting for its metrics."""
    task = Counting(val={"id": CountingScenes(size=2)})
    share = {"num_replicas": 3, "rank": 2}
    task.trainer = SimpleNamespace(strategy=SimpleNamespace(distributed_sampler_kwargs=share))
    with pytest.raises(InputError, match="at least 3 rows in every held-out part, one for each process, but got 2"):
        task.val_dataloader()
    share |= {"num_replicas": 2, "rank": 1}
    assert len(task.val_dataloader()[0].dataset) == 2


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_picture_that_is_cut_while_training_is_a_bad_row_too(tmp_path, num_workers, recwarn):
    for i in range(4):
        Image.effect_noise((40 + i, 40), 50).save(tmp_path / f"{i}.png")
    content = [{"problem": "How many?", "image": f"{i}.png", "answer": i} for i in range(4)]
    (tmp_path / "rows.json").write_text(json.dumps(content))
    task = Counting(
        train=ReasonJSON(str(tmp_path / "rows.json")), on_bad_row="skip", num_workers=num_workers, batch_size=1
    )
    batches = task.train_dataloader()
    cut = tmp_path / "1.png"
    cut.write_bytes(cut.read_bytes()[:600])
    read = [sample for batch in batches for sample in batch]
    assert sorted(sample.solution.value for sample in read) == [0, 2, 2, 3]
    assert sorted(sample.images[0].open().width for sample in read) == [40, 42, 42, 43]
    if not num_workers:
        ((said,),) = task.skipped.values()
        assert "row 1: expected a whole picture" in said
