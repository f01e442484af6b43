#!/usr/bin/env python
"""Kills a small training at random moments and starts it again, time after time; what is left must be an undisturbed run's.

python tools/soak.py [--kills 30] [--seed 0] [--precision mixed_float16] [--json FILE]

One kill in six falls anywhere in the start of the program, the others up to a second after a random step, spread over what
is left of the run. Prints where each kill hit, and compares, bit for bit: weights, optimizer slots and headers of all
checkpoints that are kept, the best one included; all events of the logs but for speeds; and the names of all files. Exit
status 1 on any difference. Some 20 seconds for a kill, most of it for importing TensorFlow and building the graph.
"""

import argparse
import collections
import dataclasses
import json
import math
import os
import pathlib
import random
import select
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
STEPS_PER_EPOCH, STEPS_PER_KILL, SCALARS_EVERY = 20, 16, 5
START_SHARE = 1 / 6
LINGER = 1.0  # seconds: many steps or checkpoints, or part of a validation


def experiment_of(kills: int, precision: str):
    from svg_tf import presets

    preset = presets.get("smmnist_mini")
    digits = dataclasses.replace(preset.data.moving_mnist, digits="uci")
    epochs = max(2, math.ceil(kills * STEPS_PER_KILL / STEPS_PER_EPOCH))
    return dataclasses.replace(
        preset,
        model=dataclasses.replace(preset.model, width=2, g_dim=4, z_dim=2, rnn_size=3, n_past=2),
        data=dataclasses.replace(preset.data, batch_size=4, n_future=2, moving_mnist=digits),
        train=dataclasses.replace(
            preset.train, precision=precision, deterministic=True, checkpoint_every=3, log_every=SCALARS_EVERY,
            epochs=epochs, steps_per_epoch=STEPS_PER_EPOCH,
        ),
        eval=dataclasses.replace(preset.eval, n_future=3, n_samples=2, validation_steps=2, summary_sequences=1),
    )  # fmt: skip


# ---- the training process ---------------------------------------------------------------------------------------------


def child(run_dir: str, config_file: str, pipe: int) -> None:
    """Trains as `svg-tf train` does, and says on `pipe` what it is about to do: lines "step phase"."""
    now = {"step": 0, "phase": "import"}

    def say(phase, step=None):
        now.update(phase=phase, step=now["step"] if step is None else step)
        os.write(pipe, f"{now['step']} {phase}\n".encode())

    def told(owner, name, phase):
        function = getattr(owner, name)

        def wrapper(*args, **kwargs):
            outer = now["phase"]
            say(phase)
            try:
                return function(*args, **kwargs)
            finally:
                say(outer)

        setattr(owner, name, wrapper)

    say("import")
    import keras

    from svg_tf import config, summaries
    from svg_tf.training import callbacks, checkpoints, run

    class Steps(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            say("training step", self.model.step + 1)

        def on_test_begin(self, logs=None):
            say("validation")

    told(run, "build", "building the model")
    told(callbacks.VideoSummary, "on_epoch_end", "sample videos")
    told(summaries, "purge", "purge of events")
    for name, phase in (
        ("restore_latest", "restoring"), ("finish_interrupted_work", "tidying"), ("write", "checkpoint"),
        ("_remove_old", "removal of old ones"), ("keep_best", "keeping the best"),
    ):  # fmt: skip
        told(checkpoints, name, phase)
    say("starting")
    experiment = config.from_json(config.ExperimentConfig, pathlib.Path(config_file).read_text(encoding="utf-8"))
    run.train(experiment, run_dir, verbose=False, callbacks=[Steps()])
    say("ending")


# ---- the process that kills it ----------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Life:
    """What one process did: seconds to its first step, and from there to its end; where it was last; whether it was killed."""

    start: float
    trained: float
    step: int
    phase: str
    killed: bool


def live(run_dir, config_file, errors, after_launch=math.inf, at_step=math.inf, linger=0.0, no_later=math.inf) -> Life:
    """Runs the training until it ends or is killed: so many seconds after its launch, or `linger` seconds after a step, but not
    later than step `no_later`."""
    read, write = os.pipe()
    environment = {
        **os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
    }  # fmt: skip
    arguments = [sys.executable, __file__, "--child", str(run_dir), str(config_file), str(write)]
    began, first, text, steps = time.perf_counter(), None, "0 launch\n", set()
    with open(errors, "wb") as log:
        process = subprocess.Popen(arguments, pass_fds=[write], stderr=log, env=environment)
    os.close(write)
    deadline, killed = began + after_launch, False
    try:
        while True:
            left = deadline - time.perf_counter()
            ready, _, _ = select.select([read], [], [], None if killed or left == math.inf else max(0.0, left))
            if not ready:
                process.send_signal(signal.SIGKILL)
                killed = True
                continue
            said = os.read(read, 65536).decode()
            if not said:
                break
            text = (text + said)[-10000:]
            steps |= {int(line.split()[0]) for line in said.splitlines() if line.endswith("training step")}
            if first is None and len(steps) > 1:  # the first one, with its tracing, is done
                first = time.perf_counter()
            if steps and max(steps) >= at_step:
                deadline, at_step = time.perf_counter() + linger, math.inf
            if steps and max(steps) >= no_later:
                deadline = began
        code, ended = process.wait(), time.perf_counter()
    finally:  # nothing stays behind where this program is stopped
        process.kill()
        os.close(read)
    if code != (-signal.SIGKILL if killed else 0):
        tail = pathlib.Path(errors).read_text(errors="replace")[-3000:]
        raise RuntimeError(f"The training ended with status {code} of itself:\n{tail}")
    step, phase = text.splitlines()[-1].split(" ", 1)
    return Life((first or ended) - began, ended - (first or ended), int(step), phase, killed)


def last_step(run_dir: pathlib.Path) -> int:
    from svg_tf.training import checkpoints

    kept = checkpoints.existing(run_dir / "checkpoints")
    return kept[-1][0] if kept else 0


def soak(folder: pathlib.Path, kills: int, seed: int, precision: str) -> dict:
    from svg_tf import config

    experiment = experiment_of(kills, precision)
    total, draw = experiment.train.steps, random.Random(seed)
    config_file, errors = folder / "experiment.json", folder / "stderr.txt"
    config_file.write_text(config.to_json(experiment), encoding="utf-8")
    whole, broken = folder / "undisturbed", folder / "killed"
    calm = live(whole, config_file, errors)
    print(f"Undisturbed: {calm.start:.1f} s to the first step, {calm.trained:.1f} s for {total} steps.", flush=True)
    print(f"\n{'kill':>4}  {'resumed at':>10}  {'killed at':>9}  {'seconds':>7}  phase", flush=True)
    lives = []
    for number in range(kills):
        resumed = last_step(broken)
        if draw.random() < START_SHARE:
            limits = {"after_launch": draw.uniform(0, calm.start)}
        else:  # on average what is left is shared out among the kills that are left; no kill may come after the end
            reach = (total - resumed) * min(0.9, 2 / (kills - number))
            at_step, last = resumed + 2 + int(draw.uniform(0, reach)), min(total - 1, resumed + 2 + math.ceil(reach))
            limits = {"at_step": min(at_step, last), "linger": draw.uniform(0, LINGER), "no_later": last}
        life = live(broken, config_file, errors, **limits)
        if not life.killed:
            raise RuntimeError(f"The run was over before kill {number + 1}.")
        phase = "start-up" if life.phase in ("launch", "import", "starting") else life.phase
        lives.append({"resumed": resumed, "step": life.step, "seconds": life.start + life.trained, "phase": phase})
        print(f"{number + 1:4}  {resumed:10}  {life.step or '':>9}  {lives[-1]['seconds']:7.2f}  {phase}", flush=True)
    live(broken, config_file, errors)
    found = differences(whole, broken, total)
    return {"kills": lives, "steps": total, "seed": seed, "precision": precision, "differences": found}


# ---- the comparison -----------------------------------------------------------------------------------------------------


def events(run_dir: pathlib.Path) -> dict:
    """{"run/tag": [(step, value)]} of all event files in the order of writing, but for speeds."""
    import tensorflow as tf

    found = collections.defaultdict(list)
    for path in sorted(run_dir.glob("logs/**/events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                if not value.tag.startswith("speed/"):
                    found[f"{path.parent.name}/{value.tag}"].append((event.step, tf.make_ndarray(value.tensor).tolist()))
    return found


def differences(whole: pathlib.Path, broken: pathlib.Path, total: int) -> list[str]:
    """What differs between the two run directories, one line each."""
    import numpy as np

    lines = []

    def files(run_dir):
        return {str(p.relative_to(run_dir)) for p in run_dir.rglob("*") if p.is_file() and "tfevents" not in p.name}

    lines += [f"{name} is in one run only" for name in sorted(files(whole) ^ files(broken))]
    temporary = [name for name in sorted(files(broken)) if pathlib.Path(name).name.startswith(".") and name != ".lock"]
    lines += [f"{name} was left over" for name in temporary]
    if (whole / "config.json").read_bytes() != (broken / "config.json").read_bytes():
        lines.append("config.json differs")
    for name in sorted(n for n in files(whole) & files(broken) if n.endswith(".npz")):
        with np.load(whole / name, allow_pickle=False) as a, np.load(broken / name, allow_pickle=False) as b:
            if set(a.files) != set(b.files):
                lines.append(f"{name} holds other variables")
            for key in sorted(set(a.files) & set(b.files)):
                if a[key].dtype != b[key].dtype or a[key].shape != b[key].shape or a[key].tobytes() != b[key].tobytes():
                    lines.append(f"{name}: {key} differs")
    first, second = events(whole), events(broken)
    steps = [step for step, _ in first["train/step/loss"]]
    if steps != list(range(SCALARS_EVERY, total + 1, SCALARS_EVERY)):
        lines.append(f"the undisturbed run's scalars are at steps {steps}")
    for tag in sorted(set(first) | set(second)):
        a, b = first.get(tag, []), second.get(tag, [])
        if [step for step, _ in a] != [step for step, _ in b]:
            lines.append(f"{tag}: other steps: {[step for step, _ in a]}, {[step for step, _ in b]}")
        elif a != b:
            lines.append(f"{tag}: other values")
    return lines


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        child(arguments[1], arguments[2], int(arguments[3]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--precision", default="float32", choices=["float32", "mixed_float16", "mixed_bfloat16"])
    parser.add_argument("--json", type=pathlib.Path, help="writes the result here too")
    parser.add_argument("--dir", type=pathlib.Path, help="new folder for the two runs; default: a temporary one, removed")
    options = parser.parse_args(arguments)
    if options.kills < 1:
        parser.error(f"--kills must be at least 1, got {options.kills}.")
    try:
        if options.dir:
            options.dir.mkdir(parents=True)
            result = soak(options.dir, options.kills, options.seed, options.precision)
        else:
            with tempfile.TemporaryDirectory() as folder:
                result = soak(pathlib.Path(folder), options.kills, options.seed, options.precision)
    except (RuntimeError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    counts = collections.Counter(life["phase"] for life in result["kills"])
    print("\n" + ", ".join(f"{phase} {count}" for phase, count in counts.most_common()))
    print("\n".join(result["differences"]) or f"{options.kills} kills, {result['steps']} steps: no difference.")
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    return 1 if result["differences"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
