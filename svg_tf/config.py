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

Transition = Literal["residual", "mlp", "gru"]

_IMAGE_SIZES = {"dcgan": (32, 64, 128), "vgg": (64, 128)}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_backbone(config) -> None:
    sizes = _IMAGE_SIZES.get(config.backbone)
    _require(sizes is not None, f"backbone must be one of {sorted(_IMAGE_SIZES)}, got {config.backbone!r}.")
    _require(
        config.image_size in sizes,
        f"image_size of backbone {config.backbone!r} must be one of {sizes}, got {config.image_size}.",
    )


def _require_at_least(low: int, config, *names: str) -> None:
    for name in names:
        _require(getattr(config, name) >= low, f"{name} must be at least {low}, got {getattr(config, name)}.")


@dataclass(frozen=True)
class ModelConfig:
    """The SVG model (paper §3; layer sizes §4). Defaults: SVG-LP on SM-MNIST."""

    family: str = field(default="svg", init=False)
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
        _require_backbone(self)
        for name, choices in (("prior", Prior), ("skips", SkipSource), ("batch_statistics", BatchStatistics)):
            value, allowed = getattr(self, name), typing.get_args(choices)
            _require(value in allowed, f"{name} must be one of {allowed}, got {value!r}.")
        _require_at_least(1, self, "channels", "width", "g_dim", "z_dim", "rnn_size", "predictor_layers", "posterior_layers")
        _require_at_least(1, self, "prior_layers", "n_past")
        _require(self.beta >= 0, f"beta must not be negative, got {self.beta}.")
        _require(self.beta_warmup_steps >= 0, f"beta_warmup_steps must not be negative, got {self.beta_warmup_steps}.")
        _require(
            self.n_past >= self.least_context,
            "skips='second_last_context' (a quirk of the reference) needs n_past >= 2.",
        )

    # What both families tell of themselves:

    @property
    def least_context(self) -> int:
        """Context frames without which there is no generation."""
        return 2 if self.skips == "second_last_context" else 1

    @property
    def stochastic(self) -> bool:
        """Whether there are latents z_t."""
        return self.prior != "none"

    @property
    def samples_differ(self) -> bool:
        """Whether a sequence has more than one future."""
        return self.stochastic

    citation: typing.ClassVar[str] = "Stochastic Video Generation with a Learned Prior (E. Denton and R. Fergus, ICML 2018)"

    @property
    def learned_prior(self) -> bool:
        """Whether the prior's sigma forecasts uncertainty (Fig. 6)."""
        return self.prior == "learned"

    @property
    def kl_weight(self) -> float:
        """Weight of the KL divergence beside the mean squared error of a frame."""
        return self.beta if self.samples_differ else 0.0

    @property
    def likelihood_variance(self) -> float | None:
        """Variance of the Gaussian observation for which the objective is, up to a factor, a negative ELBO, if any."""
        return self.kl_weight * self.image_size**2 * self.channels / 2 or None

    @property
    def summary(self) -> str:
        sizes = f"{self.backbone} width {self.width}, z {self.z_dim}, g {self.g_dim}, LSTM {self.rnn_size}"
        kind = {"learned": "SVG-LP (learned prior)", "fixed": "SVG-FP (fixed prior)"}.get(self.prior)
        return f"{kind or 'SVG without latents (deterministic)'}, {sizes}, beta {self.beta:g}"


@dataclass(frozen=True)
class SRVPConfig:
    """Stochastic latent residual video prediction (Franceschi et al., ICML 2020). Defaults: SM-MNIST."""

    family: str = field(default="srvp", init=False)
    transition: Transition = "residual"
    """residual: y + dt f(y, z); the ablations mlp: f(y, z), and gru: a GRU cell of state y and input z."""
    stochastic: bool = True
    """Latents z_t; without them (an ablation) the only random variable is the first state y_1."""
    backbone: BackboneName = "dcgan"
    image_size: int = 64
    """Height and width of a frame in pixels: 32, 64 or 128 for dcgan, 64 or 128 for vgg."""
    channels: int = 1
    width: int = 64
    """Feature maps of the first encoder level (nf)."""
    h_dim: int = 128
    """Size of the frame encoding."""
    y_dim: int = 20
    z_dim: int = 20
    w_dim: int = 256
    """Size of the content w."""
    inference_size: int = 256
    """Width of the MLP of q(y_1), of the LSTM of q(z_t) and of the content's hidden layer."""
    inference_layers: int = 3
    """Dense layers of the MLP of q(y_1)."""
    transition_size: int = 512
    """Width of the MLPs f and prior."""
    transition_layers: int = 4
    """Dense layers of each of these."""
    k: int = 5
    """Frames that q(y_1) and the content w are inferred from."""
    n_past: int = 5
    """Conditioning frames, at least k."""
    n_euler: int = 1
    """Euler steps for each frame: dt = 1 / n_euler."""
    skips: bool = False
    """The decoder is fed the encoder's maps of one frame: a random one in training, the last conditioning frame at test."""
    nu: float = 1.0
    """Standard deviation of the observation: x_t ~ N(g(w, y_t), nu)."""
    beta_y: float = 1.0
    """Weight of KL(q(y_1) || N(0, I))."""
    beta_z: float = 2.0
    """Weight of the KL of z_t, summed over t."""
    residual_penalty: float = 1.0
    """lambda: weight of the norms of the residuals, summed over Euler steps."""
    residual_gain: float = 1.41
    """Gain of f's orthogonal initialisation."""

    def __post_init__(self):
        _require_backbone(self)
        kinds = typing.get_args(Transition)
        _require(self.transition in kinds, f"transition must be one of {kinds}, got {self.transition!r}.")
        _require_at_least(1, self, "channels", "width", "h_dim", "y_dim", "z_dim", "w_dim", "inference_size", "transition_size")
        _require_at_least(1, self, "k", "n_past", "n_euler", "inference_layers")
        _require_at_least(2, self, "transition_layers")
        _require_at_least(0, self, "beta_y", "beta_z", "residual_penalty")
        for name in ("nu", "residual_gain"):
            _require(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}.")
        _require(self.n_past >= self.k, f"n_past must be at least k = {self.k}, from which y_1 is inferred; got {self.n_past}.")
        _require(
            self.n_euler == 1 or self.transition == "residual",
            f"n_euler must be 1 for transition={self.transition!r}, which has no step size; got {self.n_euler}.",
        )

    @property
    def least_context(self) -> int:
        return self.k

    citation: typing.ClassVar[str] = "Stochastic Latent Residual Video Prediction (J.-Y. Franceschi et al., ICML 2020)"

    @property
    def samples_differ(self) -> bool:
        return True  # y_1 is a sample even where there is no z

    @property
    def learned_prior(self) -> bool:
        return self.stochastic

    @property
    def kl_weight(self) -> float:
        """beta_z, where the negative log-likelihood is divided by what makes it a mean squared error."""
        return 2 * self.nu**2 * self.beta_z / (self.image_size**2 * self.channels)

    @property
    def likelihood_variance(self) -> float:
        return self.nu**2

    @property
    def summary(self) -> str:
        kind = {"residual": "SRVP", "mlp": "SRVP, MLP transition", "gru": "SRVP, GRU transition"}[self.transition]
        without = "" if self.stochastic else " without z"
        sizes = f"{self.backbone} width {self.width}, y {self.y_dim}, z {self.z_dim}, {self.n_euler} Euler step(s)"
        return f"{kind}{without}, {sizes}, nu {self.nu:g}, beta {self.beta_z:g}"


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
            _require(getattr(self, name) >= 1, f"{name} must be at least 1, got {getattr(self, name)}.")
        _require(self.learning_rate > 0, f"learning_rate must be positive, got {self.learning_rate}.")
        _require(self.final_learning_rate >= 0, f"final_learning_rate must not be negative, got {self.final_learning_rate}.")
        _require(
            0 <= self.linear_decay_steps <= self.steps,
            f"linear_decay_steps must be in [0, {self.steps}], the run's steps, got {self.linear_decay_steps}.",
        )
        _require(
            not (self.linear_decay_steps and self.final_learning_rate),
            "linear_decay_steps and final_learning_rate (cosine decay) exclude each other; got both.",
        )
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

    model: ModelConfig | SRVPConfig = field(default_factory=ModelConfig)
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
        if not fields[name].init:  # a constant of the class
            _require(value == fields[name].default, f"{path} of {cls.__name__} is {fields[name].default!r}, got {value!r}.")
            continue
        if kind == ModelConfig | SRVPConfig:
            value = model_from_dict(value, path)
        elif dataclasses.is_dataclass(kind):
            value = from_dict(kind, value, path)
        elif kind in (int, float, bool, str):
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise ValueError(f"{path} must be {kind.__name__}, got {value!r}.")
        kwargs[name] = value
    return cls(**kwargs)


def model_from_dict(values: dict, where: str = "model") -> "ModelConfig | SRVPConfig":
    """The configuration of the family that `values` names (family: svg, the default, or srvp). Raises `ValueError`."""
    family = values.get("family", "svg") if isinstance(values, dict) else "svg"
    _require(family in FAMILIES, f"{where}.family must be one of {sorted(FAMILIES)}, got {family!r}.")
    return from_dict(FAMILIES[family], values, where)


FAMILIES = {"svg": ModelConfig, "srvp": SRVPConfig}


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
