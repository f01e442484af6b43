"""Building KTH from avi: speed as a multiple of real time, and peak memory.

    python tools/benchmark.py build [--source KTH_FOLDER] [--json FILE]
    python tools/benchmark.py build --source-gigabytes 4 --raw --size 256 --ranges all

Without --source a source is generated: clips of 25 frames per second with sensor noise, each with four ranges, until they have
--source-gigabytes: 160x120 MPEG-4 as KTH's, or with --raw 320x240 uncompressed, so that few frames make many bytes. Only four
of them are encoded; the others are hard links to these under other names, which the builder opens, decodes and stores each on
its own, so that neither its work nor its memory is smaller. The build runs in a process of its own; its peak resident memory is
that of the whole process, TensorFlow included. Frames: those of the source. Real time: frames / 25. A large --size makes the
output exceed memory too (TFDS's writer sorts records on disk beyond 1 GB).
"""

import argparse
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

from data_pipelines import frame_size

FPS = 25
CLIP_FRAMES, DISTINCT = 480, 4
ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")


def write_clip(path: pathlib.Path, seed: int, raw: bool) -> None:
    """A grey figure that walks over a textured, noisy ground, in avi."""
    import av
    import numpy as np

    height, width = (240, 320) if raw else (120, 160)
    rng = np.random.default_rng(seed)
    ground = np.kron(rng.integers(90, 180, (height // 8, width // 8)), np.ones((8, 8)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("rawvideo" if raw else "mpeg4", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = width, height, "gray" if raw else "yuv420p"
        stream.bit_rate = 1_000_000  # KTH's own clips have 0.85 Mbit/s
        for t in range(CLIP_FRAMES):
            picture = ground + rng.normal(0, 3, ground.shape)
            left = 2 * t % (width - 20)
            picture[30:100, left : left + 20] = 40
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def generate(folder: pathlib.Path, gigabytes: float, raw: bool) -> pathlib.Path:
    """A source of `gigabytes` in all. Raises `ValueError` where KTH's 600 names of clips do not suffice for that."""
    first, source = [folder / f"distinct{i}.avi" for i in range(DISTINCT)], folder / "source"
    source.mkdir()
    for seed, path in enumerate(first):
        write_clip(path, seed, raw)
    names = [f"person{p:02d}_{action}_d{d}" for d in range(1, 5) for action in ACTIONS for p in range(1, 26)]
    quarter, size, lines = CLIP_FRAMES // 4, 0, []
    ranges = ", ".join(f"{1 + k * quarter}-{(k + 1) * quarter}" for k in range(4))
    for count, name in enumerate(names):
        os.link(first[count % DISTINCT], source / f"{name}_uncomp.avi")
        lines.append(f"{name}\tframes\t{ranges}\n")
        size += first[count % DISTINCT].stat().st_size
        if size >= gigabytes * 1e9:
            (source / "00sequences.txt").write_text("".join(lines), encoding="utf-8")
            return source
    raise ValueError(f"600 clips have {size / 1e9:.2f} GB, {gigabytes} were asked for; --raw makes them larger.")


def build_one(source: str, data_dir: str, size, ranges: str) -> dict:
    """Runs in a process of its own: one build, timed, with the process's peak memory."""
    import contextlib
    import io

    import tensorflow_datasets as tfds

    from data_pipelines.example_gen import base, kth

    tfds.disable_progress_bar()
    builder = kth.Kth(config=kth.KthConfig.of(size, ranges), data_dir=data_dir, options=base.BuildOptions(source=source))
    start = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        path = base.build(builder)
    seconds, processor = time.perf_counter() - start[0], time.process_time() - start[1]
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "stored_bytes": sum(file.stat().st_size for file in pathlib.Path(path).glob("*.tfrecord*")),
        "records": sum(split.num_examples for split in builder.info.splits.values()),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def count_frames(source: pathlib.Path) -> tuple[int, int]:
    """Frames of all clips (by their containers), and bytes."""
    import av

    known, frames, size = {}, 0, 0
    for path in source.rglob("*.avi"):
        status = path.stat()
        if status.st_ino not in known:
            with av.open(str(path)) as container:
                known[status.st_ino] = container.streams.video[0].frames
        frames, size = frames + known[status.st_ino], size + status.st_size
    return frames, size


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="benchmark.py build", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--source", type=pathlib.Path, help="folder of KTH's own .avi files in place of a generated source")
    parser.add_argument("--source-gigabytes", type=float, default=0.05)
    parser.add_argument("--raw", action="store_true", help="generate uncompressed clips of 320x240")
    parser.add_argument("--ranges", choices=("sequences", "all"), default="sequences")
    parser.add_argument("--size", type=frame_size.parse, default=64, help="64, or 64x80: height x width")
    parser.add_argument("--scratch", help="folder for what is generated and built, deleted afterwards; default: the system's")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    parser.add_argument("--one", nargs=2, metavar=("SOURCE", "DATA_DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        print(json.dumps(build_one(*arguments.one, arguments.size, arguments.ranges)))
        return 0
    if not 0 < arguments.source_gigabytes <= 1000:
        parser.error(f"--source-gigabytes must be above 0 and at most 1000, got {arguments.source_gigabytes}")
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = pathlib.Path(scratch)
        if arguments.source:
            source = arguments.source
        else:
            try:
                source = generate(folder, arguments.source_gigabytes, arguments.raw)
            except ValueError as error:
                parser.error(str(error))
        frames, size = count_frames(source)
        command = [sys.executable, str(pathlib.Path(__file__).parents[1] / "benchmark.py"), "build", "--ranges", arguments.ranges]
        command += ["--size", frame_size.text(arguments.size), "--one", str(source), str(folder / "data")]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    result |= {
        "cores": cores,
        "source_bytes": size,
        "source_frames": frames,
        "times_real_time": frames / FPS / result["seconds"],
        "times_real_time_by_processor_time_and_cores": frames / FPS / result["processor_seconds"] * cores,
    }
    print(f"source               {size / 1e9:10.3f} GB, {frames} frames, {frames / FPS / 60:.1f} minutes")
    print(f"build                {result['seconds']:10.1f} s on {cores} cores ({result['processor_seconds']:.1f} s of processor)")
    print(f"times real time      {result['times_real_time']:10.1f}")
    stored_as = frame_size.text(arguments.size)
    print(f"stored               {result['stored_bytes'] / 1e9:10.3f} GB, {result['records']} records of {stored_as} px")
    print(f"peak resident memory {result['peak_bytes'] / 1e9:10.3f} GB")
    if arguments.json:
        temporary = pathlib.Path(f"{arguments.json}.tmp")
        temporary.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
