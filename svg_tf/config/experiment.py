"""Data, optimisation, evaluation, and the experiment that they make together with a model."""

from dataclasses import dataclass, field
from typing import Literal

from svg_tf.config.checks import require
from svg_tf.config.models import Model, SVGConfig


@dataclass(frozen=True)
class MovingMNISTConfig:
    """Stochastic Moving MNIST, generated on the fly (used where data.name is "moving_mnist")."""

    num_digits: int = 2
    max_speed: int = 0
    """Largest velocity component in pixels a frame; 0 = scaled with the canvas (4 at 64 px, 2 at 32 px)."""
    deterministic: bool = False
    """Digits reflect at the walls, as in Srivastava et al. 2015, in place of drawing a new velocity."""
    variant: Literal["reference", "srvp"] = "reference"
    digits: Literal["mnist", "uci"] = "mnist"
    """mnist: 60,000 + 10,000 digits; uci: the 1,797 digits that come with scikit-learn (no download)."""
    digits_dir: str = ""
    """Folder with the four MNIST idx .gz files; empty = downloaded once by TensorFlow Datasets."""

    def __post_init__(self):
        require(self.num_digits >= 1, f"num_digits must be at least 1, got {self.num_digits}.")
        require(self.max_speed >= 0, f"max_speed must not be negative, got {self.max_speed}.")
        require(self.variant in ("reference", "srvp"), f"variant must be 'reference' or 'srvp', got {self.variant!r}.")
        require(self.digits in ("mnist", "uci"), f"digits must be 'mnist' or 'uci', got {self.digits!r}.")


@dataclass(frozen=True)
class DataConfig:
    """Which videos, and how windows are cut from them (see data_pipelines.load)."""

    name: str = "moving_mnist"
    data_dir: str = ""
    """Folder of prepared data sets; empty = TFDS's own default."""
    batch_size: int = 100
    """Global batch: sequences per optimizer step over all replicas."""
    n_future: int = 10
    """Frames after the n_past context frames in a training window."""
    frame_stride: int = 1
    moving_mnist: MovingMNISTConfig = field(default_factory=MovingMNISTConfig)

    def __post_init__(self):
        for name in ("batch_size", "n_future", "frame_stride"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        require(bool(self.name), "data.name must name a data set.")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation (paper §4: Adam, 300 epochs of 600 steps)."""

    epochs: int = 300
    steps_per_epoch: int = 600
    learning_rate: float = 2e-3
    final_learning_rate: float = 0.0
    """Where > 0, cosine decay from learning_rate to this over the whole run; 0 = constant (paper)."""
    linear_decay_steps: int = 0
    """The last so many steps the learning rate falls linearly to 0 (SRVP); 0 = constant."""
    adam_beta_1: float = 0.9
    adam_beta_2: float = 0.999
    adam_epsilon: float = 1e-8
    clip_norm: float = 0.0
    """Global gradient norm above which gradients are scaled down; 0 = off (paper)."""
    seed: int = 0
    """All noise and the order of the data derive from it, the step, and the row of the global batch."""
    strategy: Literal["single", "mirrored", "multi_worker"] = "single"
    """mirrored: all GPUs of this machine; multi_worker: several machines, by TF_CONFIG. data.batch_size is the global batch."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Of the layers' arithmetic; weights, statistics, distributions and losses are float32, and float16 scales the loss."""
    jit_compile: bool = False
    """Compile the training step by XLA (single device)."""
    recompute: bool = False
    """Run the blocks of encoder and decoder again in the backward pass in place of keeping their maps: less memory, more time."""
    checkpoint_every: int = 600
    """Steps between checkpoints, besides the one at each epoch's end."""
    keep_checkpoints: int = 3
    deterministic: bool = False
    """Bit-identical reruns on the same machine (tf.config.experimental.enable_op_determinism)."""

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    def __post_init__(self):
        for name in ("epochs", "steps_per_epoch", "checkpoint_every", "keep_checkpoints"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        require(self.learning_rate > 0, f"learning_rate must be positive, got {self.learning_rate}.")
        require(self.final_learning_rate >= 0, f"final_learning_rate must not be negative, got {self.final_learning_rate}.")
        require(
            0 <= self.linear_decay_steps <= self.steps,
            f"linear_decay_steps must be in [0, {self.steps}], the run's steps, got {self.linear_decay_steps}.",
        )
        require(
            not (self.linear_decay_steps and self.final_learning_rate),
            "linear_decay_steps and final_learning_rate (cosine decay) exclude each other; got both.",
        )
        require(self.clip_norm >= 0, f"clip_norm must not be negative, got {self.clip_norm}.")
        strategies = ("single", "mirrored", "multi_worker")
        require(self.strategy in strategies, f"strategy must be one of {strategies}, got {self.strategy!r}.")
        precisions = ("float32", "mixed_bfloat16", "mixed_float16")
        require(self.precision in precisions, f"precision must be one of {precisions}, got {self.precision!r}.")
        require(not self.jit_compile or self.strategy == "single", "jit_compile needs strategy='single'.")
        require(0 <= self.seed < 2**31, f"seed must be in [0, 2**31), got {self.seed}.")


@dataclass(frozen=True)
class EvalConfig:
    """Validation during training and the defaults of evaluation (paper §4: best of 100 samples)."""

    n_future: int = 25
    """Frames predicted at test, after n_past context frames."""
    n_samples: int = 100
    protocol: Literal["srvp", "svg"] = "srvp"
    validation_steps: int = 10
    summary_sequences: int = 4
    """Validation clips shown in TensorBoard at each epoch's end."""

    def __post_init__(self):
        for name in ("n_future", "n_samples", "validation_steps", "summary_sequences"):
            require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        require(self.protocol in ("srvp", "svg"), f"protocol must be 'srvp' or 'svg', got {self.protocol!r}.")


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that defines a run."""

    model: Model = field(default_factory=SVGConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)
