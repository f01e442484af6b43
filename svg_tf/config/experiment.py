"""Data, optimization, evaluation, and the experiment that they make together with a model.

Fields marked `runtime` say how a run runs here (folders, devices, files kept); all others define it.
"""

from dataclasses import dataclass, field
from typing import Literal

from data_pipelines.checks import integer, number, require
from svg_tf import protocols
from svg_tf.config.base import Config, ModelConfig, runtime


def _counts(config, *names: str, low: int = 1) -> None:
    for name in names:
        integer(name, getattr(config, name), low)


@dataclass(frozen=True)
class MovingMNISTConfig(Config):
    """Stochastic Moving MNIST, generated on the fly (used where data.name is "moving_mnist")."""

    num_digits: int = 2
    max_speed: int | None = None
    """Largest velocity component in pixels a frame; None: scaled with the canvas (4 at 64 px, 2 at 32 px)."""
    deterministic: bool = False
    """Digits reflect at the walls, as in Srivastava et al. 2015, in place of drawing a new velocity."""
    variant: protocols.Motion = "reference"
    digits: Literal["mnist", "uci"] = "mnist"
    """mnist: 60,000 + 10,000 digits; uci: the 1,797 digits that come with scikit-learn (no download)."""
    train_digits: Literal["split", "all"] = "split"
    """split: all digits but those of validation; all: the 60,000 of the published programs, those of validation among them."""
    digits_dir: str | None = runtime(None)
    """Folder with the four MNIST idx .gz files; None: downloaded once by TensorFlow Datasets."""

    def __post_init__(self):
        super().__post_init__()
        _counts(self, "num_digits")
        if self.max_speed is not None:
            _counts(self, "max_speed")


@dataclass(frozen=True)
class DataConfig(Config):
    """Which videos, and how windows are cut from them (see `data_pipelines.load`)."""

    name: str = "moving_mnist"
    data_dir: str | None = runtime(None)
    """Folder of prepared data sets; None: TFDS's own default."""
    service: str | None = runtime(None)
    """Addresses of tf.data services that read the training data, grpc://host-a:5000,grpc://host-b:5000; None: read here."""
    batch_size: int = 100
    """Global batch: sequences of a training step over all replicas."""
    n_future: int = 10
    """Frames after the n_past context frames in a training window."""
    frame_stride: int = 1
    moving_mnist: MovingMNISTConfig = field(default_factory=MovingMNISTConfig)

    def __post_init__(self):
        super().__post_init__()
        _counts(self, "batch_size", "n_future", "frame_stride")
        require(bool(self.name), "data.name must name a data set.")


@dataclass(frozen=True)
class ScheduleConfig(Config):
    """How a learning rate falls: not at all, as a cosine, or linearly."""

    kind: Literal["constant", "cosine", "linear"] = "constant"
    final: float = 0.0
    """The rate at the end."""
    steps: int | None = None
    """Training steps of the decay: of cosine the first ones, of linear the last ones; None: the whole run."""

    def __post_init__(self):
        super().__post_init__()
        number("final", self.final, 0.0)
        if self.steps is not None:
            _counts(self, "steps")
            require(self.kind != "constant", f"schedule.steps {self.steps} needs kind 'cosine' or 'linear', not 'constant'.")


@dataclass(frozen=True)
class OptimizerConfig(Config):
    """Adam (Kingma & Ba 2015), its rate's schedule, and clipping."""

    learning_rate: float = 2e-3
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    epsilon_placement: Literal["pytorch", "keras"] = "pytorch"
    """pytorch: m_hat / (sqrt(v_hat) + epsilon), as the paper and the published programs. keras: epsilon is added to sqrt(v)
    before the correction of its bias: early updates of small gradients are smaller."""
    clip_norm: float | None = None
    """Norm above which an update's gradients are scaled down; None: off (paper)."""
    clip_by: Literal["global", "variable"] = "global"
    """The norm of all gradients of an update together, or that of each variable's by itself, as Keras's clipnorm."""
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    average: float | None = None
    """Decay of a moving average of the weights, which evaluation and export then take in place of the last ones; None: off
    (papers). 0.999 looks back on about 1,000 updates."""

    def __post_init__(self):
        super().__post_init__()
        require(self.average is None or 0 < self.average < 1, f"average must be in (0, 1) or none, got {self.average}.")
        number("learning_rate", self.learning_rate, above=0.0)
        for name in ("beta_1", "beta_2"):
            require(0 <= getattr(self, name) < 1, f"{name} must be in [0, 1), got {getattr(self, name)}.")
        number("epsilon", self.epsilon, above=0.0)
        if self.clip_norm is not None:
            number("clip_norm", self.clip_norm, above=0.0)
        require(
            self.schedule.final <= self.learning_rate,
            f"schedule.final {self.schedule.final} must not exceed learning_rate {self.learning_rate}.",
        )


@dataclass(frozen=True)
class TrainConfig(Config):
    """Optimization (paper §4: Adam, 300 epochs of 600 steps)."""

    epochs: int = 300
    steps_per_epoch: int = 600
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    """Of every update that has none of its own in `optimizers`."""
    optimizers: dict[str, OptimizerConfig] = field(default_factory=dict)
    """Name of an update of the family's training program -> its optimizer."""
    seed: int = 0
    """All noise and the order of the data derive from it, the step, and the row of the global batch."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """Of the layers' arithmetic; weights, statistics, distributions and losses are float32, and float16 scales the loss."""
    strategy: Literal["single", "mirrored", "multi_worker"] = runtime("single")
    """mirrored: all GPUs of this machine; multi_worker: several machines, by TF_CONFIG or Slurm. data.batch_size is the global
    batch."""
    jit_compile: bool = runtime(False)
    """Compile the training step by XLA (single device)."""
    recompute: bool = runtime(False)
    """Run the blocks of encoder and decoder again in the backward pass in place of keeping their maps: less memory, more time."""
    checkpoint_every: int = runtime(600)
    """Steps between checkpoints, besides the one at each epoch's end."""
    keep_checkpoints: int = runtime(3)
    log_every: int = runtime(50)
    """Steps between scalars in TensorBoard, and between lines of progress where the output is no terminal."""
    deterministic: bool = runtime(False)
    """Bit-identical reruns on the same machine (tf.config.experimental.enable_op_determinism)."""

    @property
    def steps(self) -> int:
        """Training steps of the whole run."""
        return self.epochs * self.steps_per_epoch

    @property
    def averages(self) -> bool:
        """Whether moving averages of weights are kept."""
        return any(optimizer.average for optimizer in (self.optimizer, *self.optimizers.values()))

    def optimizer_of(self, update: str) -> OptimizerConfig:
        return self.optimizers.get(update, self.optimizer)

    def __post_init__(self):
        super().__post_init__()
        _counts(self, "epochs", "steps_per_epoch", "checkpoint_every", "keep_checkpoints", "log_every")
        for name, optimizer in {"optimizer": self.optimizer, **self.optimizers}.items():
            steps = optimizer.schedule.steps
            require(
                steps is None or steps <= self.steps,
                f"{name}.schedule.steps must be in [1, {self.steps}], the run's steps, got {steps}.",
            )
        require(not self.jit_compile or self.strategy == "single", "jit_compile needs strategy='single'.")
        integer("seed", self.seed, 0, 2**31 - 1)


@dataclass(frozen=True)
class EvalConfig(Config):
    """Validation during training and the defaults of evaluation (paper §4: best of 100 samples)."""

    n_future: int = 25
    """Frames predicted at test, after n_past context frames."""
    n_samples: int = 100
    protocol: protocols.SSIM = "srvp"
    """SSIM's definition, see `svg_tf.evaluation.metrics.frame`."""
    validation_steps: int = 10
    summary_sequences: int = 4
    """Validation clips shown in TensorBoard at each epoch's end."""

    def __post_init__(self):
        super().__post_init__()
        _counts(self, "n_future", "n_samples", "validation_steps", "summary_sequences")


def _default_model() -> ModelConfig:
    from svg_tf import families

    return families.config_class(families.DEFAULT)()


@dataclass(frozen=True)
class ExperimentConfig(Config):
    """Everything that defines a run, and how it runs here."""

    model: ModelConfig = field(default_factory=_default_model)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)

    def __post_init__(self):
        super().__post_init__()
        self.model.check_run(self.model.n_past + self.data.n_future, self.train.steps)
