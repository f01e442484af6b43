"""`svg-tf train-digit-network`: the network of the digit-motion distance."""

import pathlib
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class TrainDigitNetwork:
    """Train the network of the digit-motion distance on generated Moving MNIST (some minutes), as the one that is shipped."""

    out: pathlib.Path
    """An .npz file; its card is written beside it, .json."""
    digits: Literal["mnist", "uci"] = "mnist"
    digits_dir: pathlib.Path | None = None
    """Folder of MNIST's four .gz files; default: downloaded."""
    steps: int = 4000
    batch_size: int = 16
    """Sequences of a step, of seven frames each."""
    seed: int = 0

    def run(self):
        from svg_tf.evaluation import digit_training

        folder = str(self.digits_dir) if self.digits_dir else None
        settings = {"steps": self.steps, "batch_size": self.batch_size, "seed": self.seed}
        card = digit_training.train(self.out, digits=self.digits, digits_dir=folder, **settings)
        for kind, values in card["accuracy on test digits"].items():
            print(f"{kind}: " + ", ".join(f"{name} {value:.3f}" for name, value in values.items()))
        print(f"{self.out}: {card['bytes']} bytes, SHA-256 {card['sha256']}")
