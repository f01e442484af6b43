"""Experiment configuration: frozen dataclasses, JSON in and out.

Standard library only, so that a configuration can be read, compared and checked without TensorFlow.
Unknown keys are errors; every value is checked where it is built. Symbols follow the paper:
Denton & Fergus, "Stochastic Video Generation with a Learned Prior", ICML 2018.
"""

import dataclasses
import json
import typing
from dataclasses import dataclass, field
from typing import Any, Literal

Prior = Literal["learned", "fixed", "none"]
BackboneName = Literal["dcgan", "vgg"]
SkipSource = Literal["last_context", "second_last_context", "previous"]
BatchStatistics = Literal["folded", "per_step"]

_IMAGE_SIZES = {"dcgan": (32, 64, 128), "vgg": (64, 128)}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class ModelConfig:
    """The SVG model (paper §3; layer sizes §4). Defaults: SVG-LP on SM-MNIST."""

    prior: Prior = "learned"
    """learned: SVG-LP, p_psi(z_t | x_{1:t-1}); fixed: SVG-FP, N(0, I); none: the deterministic baseline."""
    backbone: BackboneName = "dcgan"
    image_size: int = 64
    """Height and width of a frame in pixels: 32, 64 or 128 for dcgan, 64 or 128 for vgg."""
    channels: int = 1
    width: int = 64
    """Feature maps of the first encoder level (nf)."""
    g_dim: int = 128
    """Size of the frame encoding h_t and of the predictor's output g_t."""
    z_dim: int = 10
    rnn_size: int = 256
    predictor_layers: int = 2
    posterior_layers: int = 1
    prior_layers: int = 1
    n_past: int = 5
    """Context frames in training and, unless told otherwise, in generation."""
    beta: float = 1e-4
    """Weight of the KL term; its meaning depends on the reductions (mean over pixels, sum over z)."""
    beta_warmup_steps: int = 0
    """beta rises linearly from 0 over this many optimizer steps; 0 = constant."""
    skips: SkipSource = "last_context"
    """Frame whose encoder maps the decoder sees at t: x_{min(t-1, n_past-1)} (paper), the reference's
    x_{min(t-1, n_past-2)}, or always the previous frame, generated ones included."""
    batch_statistics: BatchStatistics = "folded"
    """Training batch normalisation over B*T frames at once (folded) or, as the reference, per time step over B."""

    bias_before_norm: bool = False
    """Biases in the convolutions that batch normalisation follows, as in the reference. They cannot change what the
    model computes in training (the normalisation subtracts them), so that they only drift with rounding errors."""

    def __post_init__(self):
        _require(self.backbone in _IMAGE_SIZES, f"backbone must be one of {sorted(_IMAGE_SIZES)}, got {self.backbone!r}.")
        sizes = _IMAGE_SIZES[self.backbone]
        _require(
            self.image_size in sizes, f"image_size of backbone {self.backbone!r} must be one of {sizes}, got {self.image_size}."
        )
        for name, choices in (("prior", Prior), ("skips", SkipSource), ("batch_statistics", BatchStatistics)):
            value, allowed = getattr(self, name), typing.get_args(choices)
            _require(value in allowed, f"{name} must be one of {allowed}, got {value!r}.")
        for name in (
            "channels",
            "width",
            "g_dim",
            "z_dim",
            "rnn_size",
            "predictor_layers",
            "posterior_layers",
            "prior_layers",
            "n_past",
        ):
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        _require(self.beta >= 0, f"beta must not be negative, got {self.beta}.")
        _require(self.beta_warmup_steps >= 0, f"beta_warmup_steps must not be negative, got {self.beta_warmup_steps}.")
        _require(
            self.skips != "second_last_context" or self.n_past >= 2,
            "skips='second_last_context' (a quirk of the reference) needs n_past >= 2.",
        )


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
        _require(self.num_digits >= 1, f"num_digits must be at least 1, got {self.num_digits}.")
        _require(self.max_speed >= 0, f"max_speed must not be negative, got {self.max_speed}.")
        _require(self.variant in ("reference", "srvp"), f"variant must be 'reference' or 'srvp', got {self.variant!r}.")
        _require(self.digits in ("mnist", "uci"), f"digits must be 'mnist' or 'uci', got {self.digits!r}.")


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
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        _require(bool(self.name), "data.name must name a data set.")


@dataclass(frozen=True)
class TrainConfig:
    """Optimisation (paper §4: Adam, 300 epochs of 600 steps)."""

    epochs: int = 300
    steps_per_epoch: int = 600
    learning_rate: float = 2e-3
    final_learning_rate: float = 0.0
    """Where > 0, cosine decay from learning_rate to this over the whole run; 0 = constant (paper)."""
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
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        _require(self.learning_rate > 0, f"learning_rate must be positive, got {self.learning_rate}.")
        _require(self.final_learning_rate >= 0, f"final_learning_rate must not be negative, got {self.final_learning_rate}.")
        _require(self.clip_norm >= 0, f"clip_norm must not be negative, got {self.clip_norm}.")
        strategies = ("single", "mirrored", "multi_worker")
        _require(self.strategy in strategies, f"strategy must be one of {strategies}, got {self.strategy!r}.")
        precisions = ("float32", "mixed_bfloat16", "mixed_float16")
        _require(self.precision in precisions, f"precision must be one of {precisions}, got {self.precision!r}.")
        _require(not self.jit_compile or self.strategy == "single", "jit_compile needs strategy='single'.")
        _require(0 <= self.seed < 2**31, f"seed must be in [0, 2**31), got {self.seed}.")


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
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        _require(self.protocol in ("srvp", "svg"), f"protocol must be 'srvp' or 'svg', got {self.protocol!r}.")


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that defines a run."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    eval: EvalConfig = field(default_factory=EvalConfig)


def to_dict(config: Any) -> dict:
    """A configuration as plain dicts, lists, numbers and strings."""
    return dataclasses.asdict(config)


def from_dict(cls: type, values: dict, where: str = "") -> Any:
    """Builds a configuration dataclass from a dict.

    Missing keys take their defaults. Raises `ValueError` for an unknown key or a value of the wrong type,
    naming the field and what it accepts.
    """
    fields = {f.name: f for f in dataclasses.fields(cls)}
    hints = typing.get_type_hints(cls)
    if not isinstance(values, dict):
        raise ValueError(f"{where or cls.__name__} must be a mapping, got {type(values).__name__}.")
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(f"Unknown field(s) {unknown} in {where or cls.__name__}; known fields: {sorted(fields)}.")
    kwargs = {}
    for name, value in values.items():
        kind, path = hints[name], f"{where}.{name}" if where else name
        if dataclasses.is_dataclass(kind):
            value = from_dict(kind, value, path)
        elif kind in (int, float, bool, str):
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise ValueError(f"{path} must be {kind.__name__}, got {value!r}.")
        kwargs[name] = value
    return cls(**kwargs)


def to_json(config: Any) -> str:
    return json.dumps(to_dict(config), indent=2, sort_keys=True) + "\n"


def from_json(cls: type, text: str) -> Any:
    """The inverse of `to_json`. Raises `ValueError` for malformed JSON or an unknown field."""
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"Not a {cls.__name__} in JSON: {error}.") from error
    return from_dict(cls, values)


def differences(a: Any, b: Any) -> list[str]:
    """Lines `path: value in a -> value in b`, one for each field that differs."""

    def walk(x, y, path):
        if isinstance(x, dict) and isinstance(y, dict):
            for key in sorted(set(x) | set(y)):
                yield from walk(x.get(key), y.get(key), f"{path}.{key}" if path else key)
        elif x != y:
            yield f"{path}: {x!r} -> {y!r}"

    return list(walk(to_dict(a), to_dict(b), ""))
