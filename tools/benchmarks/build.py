"""Building KTH from avi: speed as a multiple of real time, and peak memory.

    python tools/benchmark.py build [--source KTH_FOLDER] [--json FILE]
    python tools/benchmark.py build --source-gigabytes 4 --raw --size 256 --ranges all
    python tools/benchmark.py build --clips 400 --clip-frames 300 --workers 0 1 2 --engine dask

Without --source a source is generated: clips of 25 frames per second with sensor noise, each with four ranges, until they have
--source-gigabytes: 160x120 MPEG-4 as KTH's, or with --raw 320x240 uncompressed, so that few frames make many bytes. Only four
of them are encoded; the others are hard links to these under other names, which the builder opens, decodes and stores each on
its own, so that neither its work nor its memory is smaller. With --workers the source is built once for each count: 0 is the
build's own process, others are workers of the engine, whose start is counted in. The build runs in a process of its own; its
peak resident memory is that of the whole process, TensorFlow included; that of the largest process that it started is told too.
Frames: those of the source. Real time: frames / 25.
"""

import argparse
import contextlib
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import threading
import time

from data_pipelines import frame_size

FPS = 25
DISTINCT = 4
ENGINES = {
    "dask": lambda count: {"beam_runner": "DaskRunner", "beam_options": [f"--dask_workers={count}"]},
    "beam": lambda count: {
        "beam_runner": "DirectRunner",
        "beam_options": [f"--direct_num_workers={count}", "--direct_running_mode=multi_processing"],
    },
}
ACTIONS = ("boxing", "handclapping", "handwaving", "jogging", "running", "walking")


def write_clip(path: pathlib.Path, seed: int, raw: bool, frames: int) -> None:
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
        for t in range(frames):
            picture = ground + rng.normal(0, 3, ground.shape)
            left = 2 * t % (width - 20)
            picture[30:100, left : left + 20] = 40
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="gray")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def generate(folder: pathlib.Path, gigabytes: float, raw: bool, clips: int | None, frames: int) -> pathlib.Path:
    """A source of `gigabytes` in all, or of so many clips. Raises `ValueError` where KTH's 600 names do not suffice."""
    first, source = [folder / f"distinct{i}.avi" for i in range(DISTINCT)], folder / "source"
    source.mkdir()
    for seed, path in enumerate(first):
        write_clip(path, seed, raw, frames)
    names = [f"person{p:02d}_{action}_d{d}" for d in range(1, 5) for action in ACTIONS for p in range(1, 26)]
    quarter, size, lines = frames // 4, 0, []
    ranges = ", ".join(f"{1 + k * quarter}-{(k + 1) * quarter}" for k in range(4))
    for count, name in enumerate(names):
        os.link(first[count % DISTINCT], source / f"{name}_uncomp.avi")
        lines.append(f"{name}\tframes\t{ranges}\n")
        size += first[count % DISTINCT].stat().st_size
        if count + 1 == clips or (clips is None and size >= gigabytes * 1e9):
            (source / "00sequences.txt").write_text("".join(lines), encoding="utf-8")
            return source
    raise ValueError(f"600 clips have {size / 1e9:.2f} GB, {gigabytes} were asked for; --raw makes them larger.")


@contextlib.contextmanager
def most_of_children():
    """Gives two numbers, looked at twice a second: resident bytes and processor seconds, each the most of a process below."""
    most, ended = [0, 0.0], threading.Event()

    def look(process):
        below = []
        for path in process.glob("task/*/children"):
            with contextlib.suppress(OSError):  # a thread that has ended
                below += path.read_text().split()
        for child in (pathlib.Path("/proc", number) for number in below):
            look(child)
            with contextlib.suppress(OSError, IndexError):  # it has ended
                used = child.joinpath("stat").read_text().rpartition(")")[2].split()[11:13]
                peak = child.joinpath("status").read_text().partition("VmHWM:")[2].split()[0]
                most[:] = max(most[0], int(peak) * 1024), max(most[1], sum(map(int, used)) / os.sysconf("SC_CLK_TCK"))

    def watch():
        while not ended.wait(0.5):
            look(pathlib.Path("/proc/self"))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield most
    finally:
        ended.set()
        thread.join()


def build_one(source: str, data_dir: str, size, ranges: str, workers: int, engine: str) -> dict:
    """Runs in a process of its own: one build, timed, with the process's peak memory."""
    import io

    import tensorflow_datasets as tfds

    from data_pipelines.example_gen import base, kth

    tfds.disable_progress_bar()
    builder = kth.Kth(config=kth.KthConfig.of(size, ranges), data_dir=data_dir, options=base.BuildOptions(source=source))
    start = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), most_of_children() as most:
        path = base.build(builder, **(ENGINES[engine](workers) if workers else {}))
    seconds, own = time.perf_counter() - start[0], time.process_time() - start[1]
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "seconds": seconds,
        "processor_seconds": own + children.ru_utime + children.ru_stime,
        "stored_bytes": sum(file.stat().st_size for file in pathlib.Path(path).glob("*.tfrecord*")),
        "records": sum(split.num_examples for split in builder.info.splits.values()),
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "own_processor_seconds": own,
        "worker_bytes": most[0],
        "worker_processor_seconds": most[1],
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
    parser.add_argument("--clips", type=int, help="generate so many clips, whatever their size")
    parser.add_argument("--clip-frames", type=int, default=480, help="frames of a generated clip")
    parser.add_argument("--workers", type=int, nargs="+", default=[0], metavar="N", help="build once with each of these counts")
    parser.add_argument("--engine", choices=sorted(ENGINES), default="dask", help="whose workers")
    parser.add_argument("--raw", action="store_true", help="generate uncompressed clips of 320x240")
    parser.add_argument("--ranges", choices=("sequences", "all"), default="sequences")
    parser.add_argument("--size", type=frame_size.parse, default=64, help="64, or 64x80: height x width")
    parser.add_argument("--scratch", help="folder for what is generated and built, deleted afterwards; default: the system's")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    parser.add_argument("--one", nargs=2, metavar=("SOURCE", "DATA_DIR"), help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.one:
        print(json.dumps(build_one(*arguments.one, arguments.size, arguments.ranges, arguments.workers[0], arguments.engine)))
        return 0
    if not 0 < arguments.source_gigabytes <= 1000:
        parser.error(f"--source-gigabytes must be above 0 and at most 1000, got {arguments.source_gigabytes}")
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = pathlib.Path(scratch)
        if arguments.source:
            source = arguments.source
        else:
            try:
                source = generate(
                    folder, arguments.source_gigabytes, arguments.raw, arguments.clips, arguments.clip_frames
                )
            except ValueError as error:
                parser.error(str(error))
        frames, size = count_frames(source)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        print(f"source               {size / 1e9:10.3f} GB, {frames} frames, {frames / FPS / 60:.1f} minutes")
        results = []
        for number, workers in enumerate(arguments.workers):
            command = [sys.executable, str(pathlib.Path(__file__).parents[1] / "benchmark.py"), "build"]
            command += ["--ranges", arguments.ranges, "--size", frame_size.text(arguments.size), "--workers", str(workers)]
            command += ["--engine", arguments.engine, "--one", str(source), str(folder / f"data{number}")]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
            results.append(measured(json.loads(done.stdout.splitlines()[-1]), workers, cores, size, frames))
            show(results[-1], frame_size.text(arguments.size), results[0]["seconds"])
    if arguments.json:
        temporary = pathlib.Path(f"{arguments.json}.tmp")
        written = results[0] if len(results) == 1 else results
        temporary.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")
        os.replace(temporary, arguments.json)
    return 0


def measured(result: dict, workers: int, cores: int, size: int, frames: int) -> dict:
    """The figures of one build, with those that follow from them."""
    return result | {
        "workers": workers,
        "cores": cores,
        "source_bytes": size,
        "source_frames": frames,
        "times_real_time": frames / FPS / result["seconds"],
        "times_real_time_by_processor_time_and_cores": frames / FPS / result["processor_seconds"] * cores,
    }


def show(result: dict, stored_as: str, first_seconds: float) -> None:
    """One build's table."""
    cores, processor = result["cores"], result["processor_seconds"]
    print(f"workers              {result['workers']:10d}, {first_seconds / result['seconds']:.2f} times the first build's speed")
    each = f"{result['own_processor_seconds']:.1f} of the process, {result['worker_processor_seconds']:.1f} of its busiest worker"
    print(f"build                {result['seconds']:10.1f} s on {cores} cores ({processor:.1f} s of processor: {each})")
    print(f"times real time      {result['times_real_time']:10.1f}")
    print(f"stored               {result['stored_bytes'] / 1e9:10.3f} GB, {result['records']} records of {stored_as} px")
    print(f"peak resident memory {result['peak_bytes'] / 1e9:10.3f} GB; largest worker's {result['worker_bytes'] / 1e9:.3f} GB")


if __name__ == "__main__":
    sys.exit(main())
