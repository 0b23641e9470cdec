"""Speed and memory of the data path, on pictures that it makes or on a folder of JPEGs.

Pictures a second of a task's loader with the policy's image processor, beside plain decoding by Pillow with the same
processor, in turns; and with `--stream`, memory while samples of a Parquet set are read.

python tools/bench_data.py --json data.json
python tools/bench_data.py --workers 2 --checkpoint Qwen/Qwen2-VL-2B-Instruct
python tools/bench_data.py --stream 10000
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from vrft_pl.data import Counting, ParquetRows, ReasonJSON
from vrft_pl.policy.loading import load_processor

BATCH = 16
ROWS_IN_GROUP, ROWS_IN_FILE = 100, 2500
MIB = 2**20
Process = Callable[[Image.Image], Any]


class PlainPictures(Dataset[Image.Image]):
    """What a script without this package would write.

    Args:
        paths: The pictures.
    """

    def __init__(self, paths: list[Path]) -> None:
        self.paths = paths

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Image.Image:
        """Decode one."""
        return Image.open(self.paths[index]).convert("RGB")


def jpeg(seed: int, width: int, height: int) -> bytes:
    """Encode a picture with soft shapes and some noise, which takes a photograph's time to decode."""
    chance = np.random.default_rng(seed)
    shapes = Image.fromarray(chance.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((width, height))
    noise = chance.normal(0, 8, (height, width, 3))
    content = BytesIO()
    Image.fromarray((np.asarray(shapes) + noise).clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=90)
    return content.getvalue()


def plain_pictures(paths: list[Path], workers: int) -> Iterator[Image.Image]:
    """Decode pictures with Pillow, in this process or in others."""
    pictures = PlainPictures(paths)
    if workers == 0:
        yield from (pictures[i] for i in range(len(pictures)))
    else:
        for batch in DataLoader(pictures, BATCH, num_workers=workers, collate_fn=list):
            yield from batch


def task_pictures(paths: list[Path], workers: int, folder: Path) -> Callable[[], Iterator[Image.Image]]:
    """Return what reads pictures as training does, from rows that are checked beforehand."""
    rows = [{"image": str(path.resolve()), "problem": "How many?", "answer": 1} for path in paths]
    (folder / "rows.json").write_text(json.dumps(rows))
    source = ReasonJSON(str(folder / "rows.json"), image_root="/")
    task = Counting(val={"id": source}, eval_batch_size=BATCH, num_workers=workers, verify_images=False)
    samples = task.datasets("val")["id"]

    def pictures() -> Iterator[Image.Image]:
        for batch in task.loader(samples):
            for sample in batch.value:
                yield sample.images[0].open()

    return pictures


def rate(pictures: Iterator[Image.Image], process: Process) -> float:
    """Pictures decoded and processed a second."""
    start, count = time.perf_counter(), 0
    for picture in pictures:
        process(picture)
        count += 1
    return count / (time.perf_counter() - start)


def compare(paths: list[Path], workers: int, repetitions: int, process: Process) -> dict[str, Any]:
    """Measure both sides in turns, each time in the other order."""
    rates: dict[str, list[float]] = {"plain": [], "task": []}
    with tempfile.TemporaryDirectory() as scratch:
        from_task = task_pictures(paths, workers, Path(scratch))
        sides = {"plain": lambda: plain_pictures(paths, workers), "task": from_task}
        for repetition in range(repetitions + 1):
            for side in sorted(sides, reverse=bool(repetition % 2)):
                measured = rate(sides[side](), process)
                if repetition:  # the first fills the cache of files
                    rates[side].append(measured / max(1, workers))
    shares = [task / plain for task, plain in zip(rates["task"], rates["plain"], strict=True)]
    medians = {side: statistics.median(values) for side, values in rates.items()}
    result: dict[str, Any] = {"pictures": len(paths), "workers": workers, "repetitions": repetitions, "rates": rates}
    return result | medians | {"share": statistics.median(shares)}


def write_rows(folder: Path, count: int, width: int, height: int) -> None:
    """Write a Parquet set of several files."""
    pictures = [jpeg(seed, width, height) for seed in range(16)]
    for start in range(0, count, ROWS_IN_FILE):
        rows = range(start, min(start + ROWS_IN_FILE, count))
        table = {"image": [pictures[i % 16] for i in rows], "problem": ["How many?"] * len(rows), "answer": list(rows)}
        path = folder / f"{start:09d}.parquet"
        pq.write_table(pa.table(table), path, ROWS_IN_GROUP, use_dictionary=False, compression="none")


def resident() -> float:
    """Memory of this process and its workers, in MiB."""
    own = psutil.Process()
    total = 0
    for process in (own, *own.children(recursive=True)):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / MIB


def stream(count: int, workers: int, width: int, height: int) -> dict[str, Any]:
    """Read and decode every sample of a Parquet set, and note memory on the way; a fifth of them warms up."""
    with tempfile.TemporaryDirectory() as scratch:
        write_rows(Path(scratch), count, width, height)
        stored = sum(path.stat().st_size for path in Path(scratch).iterdir()) / MIB
        task = Counting(ParquetRows(f"{scratch}/*.parquet"), batch_size=BATCH, num_workers=workers)
        seen, memory = 0, []
        for batch in task.train_dataloader():
            for sample in batch:
                sample.images[0].open()
                seen += 1
            if seen >= count / 5:
                memory.append(resident())
    growth = max(memory) - memory[0]
    numbers = {"samples": seen, "workers": workers, "stored_mib": stored}
    return numbers | {"warm_mib": memory[0], "last_mib": memory[-1], "growth_mib": growth}


def markdown(results: dict[str, Any]) -> str:
    """Write the tables."""
    lines = []
    if speed := results.get("speed"):
        lines += [
            "| data path | images a second per worker | of plain |",
            "|---|---|---|",
            f"| Pillow + processor | {speed['plain']:,.1f} | |",
            f"| loader of Samples + processor | {speed['task']:,.1f} | {speed['share']:.1%} |",
        ]
    if memory := results.get("stream"):
        lines += [
            "| samples streamed | stored (MiB) | resident when warm (MiB) | largest growth (MiB) |",
            "|---|---|---|---|",
            f"| {memory['samples']:,} | {memory['stored_mib']:,.0f} | {memory['warm_mib']:,.0f} "
            f"| {memory['growth_mib']:,.1f} |",
        ]
    return "\n".join(lines)


def main() -> None:
    """Measure and print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="JPEGs to read instead of made ones")
    parser.add_argument("--images", type=int, default=256, help="pictures to make, or to read of the folder")
    parser.add_argument("--size", type=int, nargs=2, default=(640, 480), help="width and height of made pictures")
    parser.add_argument("--checkpoint", default="tiny", help="whose image processor is used")
    parser.add_argument("--workers", type=int, default=0, help="worker processes that decode; 0 decodes in this one")
    parser.add_argument("--repetitions", type=int, default=7, help="of each side, after one that warms up")
    parser.add_argument("--stream", type=int, default=0, help="samples of a Parquet set to read; speed is not measured")
    parser.add_argument("--json", type=Path, help="write the numbers")
    args = parser.parse_args()
    if min(args.images, args.repetitions, *args.size) < 1 or min(args.workers, args.stream) < 0:
        parser.error("Expected images, repetitions and sizes of at least 1, and no negative number.")
    torch.set_num_threads(1)
    results: dict[str, Any] = {}
    if args.stream:
        results["stream"] = stream(args.stream, args.workers, *args.size)
    else:
        results["speed"] = measure_speed(args, parser)
    print(markdown(results))
    if args.json:
        args.json.write_text(json.dumps(results, indent=1))


def measure_speed(args: argparse.Namespace, parser: argparse.ArgumentParser) -> dict[str, Any]:
    """Compare on the pictures of a folder, or on made ones."""
    processor = load_processor(args.checkpoint, None, None).image_processor
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        if args.folder is None:
            for seed in range(args.images):
                (folder / f"{seed:06d}.jpg").write_bytes(jpeg(seed, *args.size))
        paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")][: args.images]
        if not paths:
            parser.error(f"Expected JPEGs in {folder}, but there is none.")
        process = lambda picture: processor(images=[picture], return_tensors="pt")  # noqa: E731  # read where it is used
        return compare(paths, args.workers, args.repetitions, process)


if __name__ == "__main__":
    main()
