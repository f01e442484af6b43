"""Fixed Moving MNIST test sets, with true states.

On-the-fly generation (`data_pipelines.moving_mnist`) serves training; published numbers need a test set that is fixed,
versioned and described. Both configurations show MNIST's test digits only, two in a sequence, on a 64x64 canvas.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Literal

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from data_pipelines import digits, motion, moving_mnist, transform
from data_pipelines.clip_encoding import encode_clip
from data_pipelines.clip_storage import clip_features
from data_pipelines.example_gen.base import ClipBuilder, ClipError, Plan

SEED, NUM_DIGITS, CANVAS = 42, 2, 64
_SEQUENCES_PER_JOB = 50
_CITATION = """@inproceedings{denton2018stochastic,
  title={Stochastic Video Generation with a Learned Prior},
  author={Denton, Emily and Fergus, Rob},
  booktitle={International Conference on Machine Learning (ICML)}, year={2018}
}
@inproceedings{franceschi2020stochastic,
  title={Stochastic Latent Residual Video Prediction},
  author={Franceschi, Jean-Yves and Delasalles, Edouard and Chen, Micka{\\"e}l and Lamprier, Sylvain and Gallinari, Patrick},
  booktitle={International Conference on Machine Learning (ICML)}, year={2020}
}"""
_LICENSE = "MNIST digits: Yann LeCun and Corinna Cortes, Creative Commons Attribution-Share Alike 3.0."


@dataclasses.dataclass
class MovingMnistConfig(tfds.core.BuilderConfig):
    """One fixed test set. variant, moving digits and sizes as in `data_pipelines.moving_mnist.Options`."""

    variant: Literal["reference", "srvp"] = "reference"
    num_sequences: int = 5000
    num_frames: int = 25
    digit_source: Literal["mnist", "uci"] = "mnist"

    def __post_init__(self):
        moving_mnist.Options(variant=self.variant, num_sequences=self.num_sequences, digits=self.digit_source)
        if self.digit_source not in digits.SOURCES:
            raise ValueError(f"digit_source must be one of {digits.SOURCES}, got {self.digit_source!r}.")
        if not 1 <= self.num_frames <= moving_mnist.MAX_FRAMES:
            raise ValueError(f"num_frames must be between 1 and {moving_mnist.MAX_FRAMES}, got {self.num_frames}.")


@dataclasses.dataclass(frozen=True)
class SequencesJob:
    """Sequences first ... last - 1 of a test set of `num_sequences`."""

    variant: str
    num_sequences: int
    num_frames: int
    digit_source: str
    digits_dir: str
    first: int
    last: int


@functools.lru_cache(maxsize=2)
def _renderer(options: moving_mnist.Options) -> moving_mnist.Renderer:
    images = digits.load_digits(options.digits, "test", options.digits_dir)
    return moving_mnist.Renderer(images, options.canvas, options.size)


@functools.lru_cache(maxsize=2)
def srvp_digit_ids(num_sequences: int, num_images: int) -> np.ndarray:
    """int32 [num_sequences, 2]: permutations of the test digits one after the other, so that 5,000 sequences show each of
    MNIST's 10,000 test digits once. From NumPy's raw Philox stream, which NumPy keeps bit for bit."""
    rounds = -(-num_sequences * NUM_DIGITS // num_images)
    keys = np.random.Philox(key=np.array([SEED, 0], np.uint64)).random_raw(rounds * num_images).reshape(rounds, num_images)
    order = np.argsort(keys, axis=1, kind="stable").ravel()[: num_sequences * NUM_DIGITS]
    return order.reshape(num_sequences, NUM_DIGITS).astype(np.int32)


def read_sequences_job(job: SequencesJob) -> Iterator[tuple[str, dict]]:
    """Generates the sequences of one job. Raises `ClipError` where the digit files cannot be read."""
    options = moving_mnist.Options(
        num_digits=NUM_DIGITS, canvas=CANVAS, variant=job.variant, digits=job.digit_source, digits_dir=job.digits_dir or None
    )
    try:
        renderer = _renderer(options)
    except ValueError as error:
        raise ClipError(str(error)) from error
    indices = tf.range(job.first, job.last, dtype=tf.int64)
    words = motion.draw(options.physics, SEED, "test", indices, job.num_frames, NUM_DIGITS)
    states = motion.simulate(options.physics, words)
    if job.variant == "srvp":
        ids = srvp_digit_ids(job.num_sequences, renderer.num_images)[job.first : job.last]
    else:
        ids = motion.digit_ids(words, renderer.num_images).numpy()
    frames = transform.to_uint8(renderer(tf.constant(ids), states.positions)).numpy()
    positions, velocities, collisions = (part.numpy() for part in states)
    for row, number in enumerate(range(job.first, job.last)):
        key = f"{job.variant}-{number:05d}"
        example = encode_clip(frames[row], clip_id=key, source="generated", group=key)
        yield (
            key,
            example
            | {
                "positions": positions[row],
                "velocities": velocities[row],
                "collisions": collisions[row],
                "digit_ids": ids[row],
            },
        )


class MovingMnist(ClipBuilder):
    """TFDS builder of the fixed Moving MNIST test sets. `options.source`: folder of MNIST's .gz files; empty: downloaded."""

    name = "moving_mnist"
    RELEASE_NOTES = {"1.0.0": "Philox 4x32-10 with seed 42; the digit permutation of srvp from NumPy's Philox with seed 42."}
    BUILDER_CONFIGS = [
        MovingMnistConfig(
            name="srvp",
            description="SRVP's protocol: 5,000 sequences of 25 frames, 28 px digits, each test digit shown once.",
            variant="srvp",
        ),
        MovingMnistConfig(
            name="reference",
            description="Denton & Fergus: 1,000 sequences of 100 frames, 32 px digits (long enough for the paper's figures).",
            num_sequences=1000,
            num_frames=100,
        ),
    ]
    read_job = staticmethod(read_sequences_job)

    def _info(self) -> tfds.core.DatasetInfo:
        shape = (self.builder_config.num_frames, NUM_DIGITS)
        extra = {
            "positions": tfds.features.Tensor(shape=(*shape, 2), dtype=np.float32, doc="(x, y) of the top left corner, pixels"),
            "velocities": tfds.features.Tensor(shape=(*shape, 2), dtype=np.float32, doc="(dx, dy) with which frame t is left"),
            "collisions": tfds.features.Tensor(
                shape=shape, dtype=np.bool_, doc="reference: clamped in frame t; srvp: a wall was hit between t - 1 and t"
            ),
            "digit_ids": tfds.features.Tensor(shape=(NUM_DIGITS,), dtype=np.int32, doc="numbers of the test digits"),
        }
        return self.dataset_info_from_configs(
            features=clip_features(CANVAS, CANVAS, 1, extra),
            description="Stochastic Moving MNIST, fixed test sets with true states. Not bit-equal to the authors' own.",
            homepage="https://sites.google.com/view/svglp",
            citation=_CITATION,
            license=_LICENSE,
        )

    def plan(self) -> Plan:
        config = self.builder_config
        folder = str(self.source_dir().resolve()) if self.options.source else ""
        digits.load_digits(config.digit_source, "test", folder or None)  # a missing or corrupt file is told at once
        jobs = [
            SequencesJob(
                config.variant,
                config.num_sequences,
                config.num_frames,
                config.digit_source,
                folder,
                first,
                min(first + _SEQUENCES_PER_JOB, config.num_sequences),
            )
            for first in range(0, config.num_sequences, _SEQUENCES_PER_JOB)
        ]
        return Plan({"test": jobs}, [f"{config.num_sequences} sequences of {config.num_frames} frames are generated"])
