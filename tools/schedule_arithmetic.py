"""Arithmetic of the presets' full schedules on several GPUs, from the product's own cost model: nothing here is measured.

    python tools/schedule_arithmetic.py --sustained 10 kth_lp smmnist_lp

A training step costs three times its forward pass. Time is arithmetic divided by what a GPU sustains (TFLOP/s, an assumption), on
n GPUs n times less; to that come the gradients, of whose bytes 2 (n - 1) / n go through each GPU's link (GB/s), not overlapped. A
batch that n does not divide is taken as the nearest multiple of n, for the same number of sequences in all.
"""

import argparse

from svg_tf import families, presets
from svg_tf.families import cost

GPUS = (1, 8, 64)


def row(name: str, sustained: float, link: float) -> str:
    """A line of the table."""
    experiment = presets.get(name)
    train, data, model = experiment.train, experiment.data, families.build(experiment.model)
    operations = 2 * 3 * cost.of(model).training_multiply_adds(experiment.model.n_past + data.n_future)
    gradient = 4 * sum(v.value.shape.num_elements() for v in model.trainable_variables)
    sequences, hours = data.batch_size * train.steps, []
    for n in GPUS:
        batch = max(1, round(data.batch_size / n)) * n
        computing = sequences * operations / (n * sustained * 1e12)
        exchanging = sequences / batch * 2 * (n - 1) / n * gradient / (link * 1e9)
        hours.append(f"{(computing + exchanging) / 3600:.1f} h (B {batch})")
    cells = f"{train.steps:,} | {data.batch_size} | {operations * data.batch_size / 1e12:.1f} | {gradient / 1e6:.0f}"
    return f"| `{name}` | {cells} | " + " | ".join(hours) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("presets", nargs="*", default=["smmnist_lp", "kth_lp", "bair_lp"])
    parser.add_argument("--sustained", type=float, default=10.0, help="TFLOP/s of one GPU")
    parser.add_argument("--link", type=float, default=10.0, help="GB/s of one GPU")
    given = parser.parse_args()
    print("| preset | steps | B | TFLOP a step | gradient, MB | " + " | ".join(f"{n} GPU" for n in GPUS) + " |")
    print("|---" * (5 + len(GPUS)) + "|")
    for name in given.presets:
        print(row(name, given.sustained, given.link))


if __name__ == "__main__":
    main()
