"""How good a prediction of Moving MNIST can be: the simulator's SSIM without any model (docs/evaluation.md).

python tools/ceiling.py --canvas 32 --num-digits 1 --n-future 25 --digits-dir MNIST_FOLDER
python tools/ceiling.py --canvas 64 --num-digits 2 --variant srvp --n-future 20 --digits-dir MNIST_FOLDER
"""

import argparse
import pathlib
import sys

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import data_pipelines  # noqa: E402
from data_pipelines.simulator import Simulator  # noqa: E402
from svg_tf.evaluation.metrics import frame, video  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--canvas", type=int, default=32)
    parser.add_argument("--num-digits", type=int, default=1)
    parser.add_argument("--variant", default="reference", choices=("reference", "srvp"))
    parser.add_argument("--deterministic", action="store_true")
    parser.add_argument("--digits", default="mnist", choices=("mnist", "uci"))
    parser.add_argument("--digits-dir")
    parser.add_argument("--n-past", type=int, default=5)
    parser.add_argument("--n-future", type=int, default=25)
    parser.add_argument("--sequences", type=int, default=128)
    parser.add_argument("--n-samples", type=int, default=100)
    a = parser.parse_args()
    names = ("canvas", "num_digits", "variant", "deterministic", "digits", "digits_dir")
    options = {name: getattr(a, name) for name in names}
    simulator = Simulator("test", **options)
    load = {"seq_len": a.n_past + a.n_future, "batch_size": 8, "with_states": True, "num_sequences": a.sequences}
    scores, blanks, nats, count = [], [], [], 0
    for batch in data_pipelines.load("moving_mnist", "test", **load, **options):
        positions, future = batch["positions"].numpy(), batch["frames"][:, a.n_past :]
        known = simulator.watch(positions[:, : a.n_past], batch["digit_ids"])
        numbers = count + np.arange(len(positions))
        count += len(positions)
        parts = []
        for first in range(0, a.n_samples, 20):
            frames = simulator.futures(known, numbers, a.n_future, min(20, a.n_samples - first), first).frames
            parts.append(frame.ssim(future[:, None], frames).numpy())
        scores.append(np.concatenate(parts, axis=1))
        blanks.append(frame.ssim(future, np.zeros(future.shape, np.float32)).numpy())
        nats.append(simulator.information(positions)[:, a.n_past :])
    scores = np.concatenate(scores)
    best, _ = video.best_of(scores)
    rows = {"blank": np.concatenate(blanks), f"best of {a.n_samples}": best, "mean over samples": scores.mean(axis=1)}
    for name, values in (*rows.items(), ("nats a step", np.concatenate(nats))):
        mean, half = video.mean_interval(values.mean(axis=1))
        steps = ", ".join(f"{t + 1}: {values[:, t].mean():.2f}" for t in range(4, a.n_future, 5))
        print(f"{name}: {mean:.3f} ± {half:.3f} (step {steps})")


if __name__ == "__main__":
    main()
