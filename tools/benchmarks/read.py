"""Reading prepared data: frames delivered per second, shuffled, windowed, batched and scaled to float32.

Builds two synthetic data sets in a temporary folder, KTH-shaped (clips of 94 grey 64x64 frames, windows of 20) and
BAIR-shaped (clips of 30 colour frames, windows of 12), with real records where `--data-dir` has kth and bair. Synthetic
frames: a textured, still background with sensor noise and a moving block, so that they pack no better than real ones.
`--flush` drops the shards from the page cache before each run where the system allows (posix_fadvise). Only frames that
reach the consumer are counted, not those inflated on the way.
"""

import argparse
import json
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

import data_pipelines
from data_pipelines import catalogue
from data_pipelines.clip_storage import clip_features, encode_clip
from data_pipelines.example_gen.base import BuildOptions, ClipBuilder, Plan, build

SHAPES = {"kth": (94, 1, 20), "bair": (30, 3, 12)}
"""Frames of a clip, channels, frames of a window."""


def synthetic_clip(seed: int, frames: int, channels: int) -> np.ndarray:
    """uint8 [frames, 64, 64, channels]."""
    rng = np.random.default_rng(seed)
    background = np.kron(rng.integers(40, 200, (16, 16, channels)), np.ones((4, 4, 1)))
    video = np.repeat(background[None], frames, axis=0)
    for t in range(frames):
        top, left = 20 + t % 24, (5 * seed + 2 * t) % 48
        video[t, top : top + 16, left : left + 8] = rng.integers(0, 255, (16, 8, channels))
    noise = rng.integers(-1, 2, video.shape) * (rng.random(video.shape) < 0.3)
    return np.clip(video + noise, 0, 255).astype(np.uint8)


def read_synthetic(job: tuple[str, int]):
    """One synthetic clip as an example."""
    shape, seed = job
    frames, channels, _ = SHAPES[shape]
    key = f"{shape}{seed}"
    yield key, encode_clip(synthetic_clip(seed, frames, channels), clip_id=key, source=key, group=key)


class Synthetic(ClipBuilder, skip_registration=True):
    """Generated clips in the shape of KTH or BAIR."""

    name = "synthetic"
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=shape) for shape in SHAPES]
    read_job = staticmethod(read_synthetic)
    clips = 400

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=clip_features(64, 64, SHAPES[self.builder_config.name][1]))

    def plan(self):
        return Plan({"train": [(self.builder_config.name, seed) for seed in range(self.clips)]})


def drop_from_cache(folder: str) -> None:
    """Asks the kernel to forget the shards, so that the next run reads the disk."""
    for path in pathlib.Path(folder).glob("*.tfrecord*"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(name: str, data_dir: str, window: int, seconds: float, batch_size: int, windows_per_clip: int) -> float:
    """Frames per second delivered over `seconds`, after five batches of warm-up."""
    dataset = data_pipelines.load(
        name, seq_len=window, batch_size=batch_size, data_dir=data_dir, windows_per_clip=windows_per_clip
    )
    batches = iter(dataset)
    for _ in range(5):
        next(batches)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        count += 1
    return count * batch_size * window / (time.perf_counter() - start)


def mixing(folder_name: str, data_dir: str, window: int, windows_per_clip: int) -> float:
    """Mean distance in the stored order between neighbours of the stream, as a share of that of a perfect shuffle (1/3)."""
    from data_pipelines.reader import _Order

    total = sum(
        split.num_examples for split in catalogue.open_builder(catalogue.find(folder_name, data_dir).path).info.splits.values()
    )
    order = _Order(total, seed=0, shuffle=True, windows_per_clip=windows_per_clip, random_windows=0)
    records = np.array([order(position)[0] for position in range(order.length)])
    return float(np.abs(np.diff(records)).mean() / (total / 3))


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", help="prepared kth and bair data sets to measure as well")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--windows-per-clip", type=int, default=1)
    parser.add_argument("--clips", type=int, default=400, help="clips in each synthetic data set")
    parser.add_argument("--flush", action="store_true", help="drop the shards from the page cache before each run")
    parser.add_argument("--json", type=pathlib.Path)
    arguments = parser.parse_args(argv)
    Synthetic.clips = arguments.clips
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        cases = []
        for shape, (_, _, window) in SHAPES.items():
            tfds.disable_progress_bar()
            build(Synthetic(config=shape, data_dir=scratch, options=BuildOptions()))
            cases.append((f"synthetic/{shape}", scratch, window))
            if arguments.data_dir:
                cases.append((shape, arguments.data_dir, window))
        for name, data_dir, window in cases:
            folder = catalogue.find(name, data_dir).path
            rates = []
            for _ in range(arguments.repeats):
                if arguments.flush:
                    drop_from_cache(folder)
                rates.append(measure(name, data_dir, window, arguments.seconds, arguments.batch_size, arguments.windows_per_clip))
            rows.append(
                {
                    "data": name,
                    "window": window,
                    "windows_per_clip_and_epoch": arguments.windows_per_clip,
                    "windows_per_read": 1,
                    "frames_per_second": round(statistics.median(rates)),
                    "runs": [round(rate) for rate in rates],
                    "neighbour_distance_vs_perfect_shuffle": round(mixing(name, data_dir, window, arguments.windows_per_clip), 3),
                }
            )
    print(f"{'data':<18}{'window':>7}{'frames/s':>10}  runs                      mixing (1 = perfect)")
    for row in rows:
        runs = " ".join(str(rate) for rate in row["runs"])
        print(
            f"{row['data']:<18}{row['window']:>7}{row['frames_per_second']:>10}  {runs:<25} "
            f"{row['neighbour_distance_vs_perfect_shuffle']}"
        )
    if arguments.json:
        result = {
            "benchmark": "read",
            "unit": "frames delivered per second",
            "cpus": os.cpu_count(),
            "tensorflow": tf.__version__,
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
