"""Reading prepared data: frames delivered per second, shuffled, windowed, batched and scaled to float32.

    python tools/benchmark.py read [--data-dir DIR] [--json FILE]

Builds two synthetic data sets in a temporary folder, KTH-shaped (clips of 94 grey 64x64 frames, windows of 20) and
BAIR-shaped (clips of 30 colour frames, windows of 12); with --data-dir also measures the real kth and bair there. Synthetic
frames: a textured, still background with sensor noise and a moving block, so that they pack no better than real ones.
--flush drops the shards from the page cache before each run where the system allows (posix_fadvise). Only frames that
reach the consumer are counted, not those inflated on the way; each window comes from a read of its own. Also printed: frames
per second of processor time times the number of processors, which other programs disturb less; the share of the records'
bytes in those of the same frames as PNG files; and how well the shuffle mixes (1 = as a perfect shuffle).
"""

import argparse
import contextlib
import io
import json
import logging
import os
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from PIL import Image

import data_pipelines
from data_pipelines import catalogue
from data_pipelines.clip_encoding import CHUNK_FRAMES, encode_clip
from data_pipelines.clip_storage import clip_features, decode_clip
from data_pipelines.example_gen import bair
from data_pipelines.example_gen.base import BuildOptions, ClipBuilder, Plan, build
from data_pipelines.window_order import WindowOrder

CHUNKS = {"kth": CHUNK_FRAMES, "bair": bair.CHUNK_FRAMES}
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
    clip = synthetic_clip(seed, frames, channels)
    yield key, encode_clip(clip, clip_id=key, source=key, group=key, chunk_frames=CHUNKS[shape])


class Synthetic(ClipBuilder, skip_registration=True):
    """Generated clips in the shape of KTH or BAIR."""

    name = "synthetic"
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=shape) for shape in SHAPES]
    read_job = staticmethod(read_synthetic)
    clips = 400

    def _info(self):
        shape = self.builder_config.name
        features = clip_features(64, 64, SHAPES[shape][1], chunk_frames=CHUNKS[shape])
        return tfds.core.DatasetInfo(builder=self, features=features)

    def plan(self):
        return Plan({"train": [(self.builder_config.name, seed) for seed in range(self.clips)]})


def drop_from_cache(folder: str) -> None:
    """Asks the kernel to forget the shards, so that the next run reads the disk."""
    for path in pathlib.Path(folder).glob("*.tfrecord*"):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def measure(name: str, data_dir: str, window: int, arguments: argparse.Namespace) -> tuple[float, float]:
    """Frames delivered per second of wall clock, and per second of processor time, after five batches of warm-up."""
    batch_size = arguments.batch_size
    dataset = data_pipelines.load(
        name, seq_len=window, batch_size=batch_size, data_dir=data_dir, windows_per_clip=arguments.windows_per_clip
    )
    batches = iter(dataset)
    for _ in range(5):
        next(batches)
    start, processor, count = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - start < arguments.seconds:
        next(batches)
        count += 1
    frames = count * batch_size * window
    return frames / (time.perf_counter() - start), frames / (time.process_time() - processor)


def bytes_against_png(folder: str, clips: int = 40) -> tuple[float, float]:
    """Bytes of a frame in the records, and as a PNG file (Pillow's default compression), over the first clips."""
    builder = catalogue.open_builder(folder)
    split = builder.info.splits["train"]
    frames, png = 0, 0
    total_frames = sum(int(example["num_frames"]) for example in builder.as_dataset(split="train"))
    for example in builder.as_dataset(split="train").take(clips):
        for frame in decode_clip(example):
            stream = io.BytesIO()
            Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).save(stream, format="PNG")
            png, frames = png + stream.tell(), frames + 1
    return sum(os.path.getsize(path) for path in split.filepaths) / total_frames, png / frames


def mixing(folder: str, windows_per_clip: int) -> float:
    """Mean distance in the stored order between neighbours of the stream, as a share of that of a perfect shuffle (1/3)."""
    total = catalogue.open_builder(folder).info.splits["train"].num_examples
    order = WindowOrder(total, seed=0, shuffle=True, windows_per_clip=windows_per_clip)
    records = order.epoch(tf.constant(0))[0].numpy()
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
    tfds.disable_progress_bar()
    logging.getLogger("absl").setLevel(logging.ERROR)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    rows = []
    print(f"frames delivered per second; {cores} cores; one window per read; median of {arguments.repeats} runs")
    print(
        f"{'data':<16}{'window':>7}{'wall clock':>12}  {'lowest-highest':<18}{'processor x cores':>18}{'of PNG':>9}{'mixing':>8}"
    )
    with tempfile.TemporaryDirectory() as scratch:
        cases = []
        for shape, (_, _, window) in SHAPES.items():
            with contextlib.redirect_stdout(io.StringIO()):
                build(Synthetic(config=shape, data_dir=scratch, options=BuildOptions()))
            cases.append((f"synthetic/{shape}", scratch, window))
            if arguments.data_dir:
                cases.append((shape, arguments.data_dir, window))
        for name, data_dir, window in cases:
            folder = catalogue.find(name, data_dir).path
            runs = []
            for _ in range(arguments.repeats):
                if arguments.flush:
                    drop_from_cache(folder)
                runs.append(measure(name, data_dir, window, arguments))
            wall, processor = ([run[i] for run in runs] for i in (0, 1))
            stored, png = bytes_against_png(folder)
            row = {
                "data": name,
                "window": window,
                "windows_per_clip_and_epoch": arguments.windows_per_clip,
                "windows_per_read": 1,
                "frames_per_second": statistics.median(wall),
                "frames_per_second_all_runs": wall,
                "frames_per_processor_second_times_cores": statistics.median(processor) * cores,
                "bytes_per_frame": stored,
                "png_bytes_per_frame": png,
                "neighbour_distance_vs_perfect_shuffle": mixing(folder, arguments.windows_per_clip),
            }
            rows.append(row)
            print(
                f"{name:<16}{window:>7}{row['frames_per_second']:>12,.0f}  {f'{min(wall):,.0f}-{max(wall):,.0f}':<18}"
                f"{row['frames_per_processor_second_times_cores']:>18,.0f}{stored / png:>9.2f}"
                f"{row['neighbour_distance_vs_perfect_shuffle']:>8.2f}"
            )
    if arguments.json:
        result = {
            "benchmark": "read",
            "unit": "frames delivered per second",
            "cores": cores,
            "tensorflow": tf.__version__,
            "rows": rows,
        }
        arguments.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
