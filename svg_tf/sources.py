"""Where an experiment's videos come from: what is asked of `data_pipelines.load`, and what is known of the data.

    source = sources.of(experiment)
    data_pipelines.load(source.name, "test", seq_len=30, batch_size=16, **source.options)

No file but this one asks whether a data set is generated. Loads no TensorFlow.
"""

import abc
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from data_pipelines import files
from data_pipelines.checks import require
from svg_tf import protocols
from svg_tf.config import DataConfig, ExperimentConfig

GENERATED = "moving_mnist"


@dataclass(frozen=True)
class Source(abc.ABC):
    """A data set as an experiment names it. data: its configuration; frame_shape: (height, width, channels) of the model."""

    data: DataConfig
    frame_shape: tuple[int, int, int]

    @property
    def name(self) -> str:
        return self.data.name

    @property
    @abc.abstractmethod
    def options(self) -> dict[str, Any]:
        """Keyword arguments of `data_pipelines.load`, this data set's own ones among them."""

    @property
    @abc.abstractmethod
    def description(self) -> str:
        """What the data is, in a few words, for model cards."""

    @property
    @abc.abstractmethod
    def sized(self) -> bool:
        """Whether its splits have a number of sequences of their own."""

    @property
    def videos(self) -> dict[str, Any]:
        """What defines the videos of a held-out split, wherever they lie: equal for runs whose predictions can be compared."""
        return {"data.name": self.name, "data.frame_stride": self.data.frame_stride}

    @property
    def states(self) -> tuple[str, ...]:
        """True states that are known: names of tensors that `with_states` gives."""
        return ()

    @property
    def rules(self) -> dict[str, Any] | None:
        """Options of `data_pipelines.simulator.Simulator`, where it is known by which rules the videos go on."""
        return None

    @abc.abstractmethod
    def selection(self, sequences: int | None = None, moving: bool = False, random_windows: int | None = None) -> dict[str, Any]:
        """Arguments of `data_pipelines.load` for the sequences of an evaluation. Raises `ValueError` for what it cannot do."""


@dataclass(frozen=True)
class MovingMNIST(Source):
    """Stochastic Moving MNIST, generated on the fly."""

    sized = False

    def __post_init__(self):
        height, width, channels = self.frame_shape
        shown = f"{height}x{width}x{channels}"
        require(height == width, f"Frames of {self.name} are square: model.image_size must be one number, got {shown}.")

    @property
    def side(self) -> int:
        """Pixels of a frame's side."""
        return self.frame_shape[0]

    @property
    def options(self):
        digits = dataclasses.asdict(self.data.moving_mnist)
        return {"data_dir": self.data.data_dir, "canvas": self.side, **digits}

    @property
    def description(self):
        d = self.data.moving_mnist
        digits = "MNIST" if d.digits == "mnist" else "scikit-learn (UCI)"
        kind = "deterministic" if d.deterministic else f"stochastic, variant {d.variant}"
        return f"Moving MNIST ({kind}), {d.num_digits} digit(s) of {digits}"

    @property
    def videos(self):
        digits = {name: getattr(self.data.moving_mnist, name) for name in ("num_digits", "deterministic", "variant", "digits")}
        digits["max_speed"] = self.max_speed
        return super().videos | {f"data.moving_mnist.{name}": value for name, value in digits.items()}

    @property
    def states(self):
        return ("positions", "velocities", "collisions", "digit_ids")

    @property
    def rules(self):
        return {name: value for name, value in self.options.items() if name != "data_dir"}

    @property
    def stochastic(self) -> bool:
        """Whether a wall draws a new velocity."""
        return not self.data.moving_mnist.deterministic

    @property
    def num_digits(self) -> int:
        return self.data.moving_mnist.num_digits

    @property
    def variant(self) -> protocols.Motion:
        """When a new velocity first shows, see `evaluation.figures.visible_collisions`."""
        return self.data.moving_mnist.variant

    @property
    def max_speed(self) -> int:
        """Largest velocity component in pixels a frame."""
        return self.data.moving_mnist.max_speed or max(1, self.side // 16)

    def selection(self, sequences=None, moving=False, random_windows=None):
        require(random_windows is None, f"--random-windows is for prepared data sets; {self.name} is generated.")
        return {"num_sequences": sequences, "moving": moving}


@dataclass(frozen=True)
class Prepared(Source):
    """A data set that `svg-data build` has written."""

    sized = True

    @property
    def options(self):
        return {"data_dir": self.data.data_dir}

    @property
    def description(self):
        return self.name

    @property
    def rules(self):
        """Those of the fixed test sets of Moving MNIST, called after their variant."""
        name, _, variant = self.name.partition(":")[0].partition("/")
        if name != GENERATED or variant not in get_args(protocols.Motion):
            return None
        folder = self.data.moving_mnist.digits_dir
        return {"variant": variant, "canvas": self.frame_shape[0], "num_digits": 2, "digits_dir": folder}

    def selection(self, sequences=None, moving=False, random_windows=None):
        require(not moving, f"--moving is for generated sequences; {self.name} is a prepared data set.")
        return {"random_windows": random_windows} if random_windows else {}


def of(experiment: ExperimentConfig) -> Source:
    """The experiment's data. Raises `ValueError` for frames that it cannot have."""
    kind = MovingMNIST if experiment.data.name == GENERATED else Prepared
    return kind(experiment.data, experiment.model.frame_shape)


def check_alike(experiments: Mapping[str, ExperimentConfig]) -> None:
    """Raises `ValueError` unless the models of all experiments, by their labels, predict the same videos."""
    seen = {label: {"the frame shape": e.model.frame_shape, **of(e).videos} for label, e in experiments.items()}
    first, *others = seen
    for other in others:
        for what in seen[first] | seen[other]:
            a, b = (seen[label].get(what) for label in (first, other))
            same = f"{what} is {a!r} for {first!r} and {b!r} for {other!r}"
            require(a == b, f"Runs side by side must have the same videos: {same}.")


def at(experiment: ExperimentConfig, name: str | None = None, data_dir=None, digits_dir=None) -> ExperimentConfig:
    """The experiment on other data, or with its data elsewhere; None: as it is. Raises `ValueError` for a folder that is not
    on this machine's file system."""
    data = experiment.data
    digits = data.moving_mnist
    if digits_dir is not None:
        digits = dataclasses.replace(digits, digits_dir=str(files.located(digits_dir, "the folder of digits")))
    if data_dir is not None:
        data = dataclasses.replace(data, data_dir=str(files.located(data_dir, "the folder of data sets")))
    data = dataclasses.replace(data, name=name or data.name, moving_mnist=digits)
    return dataclasses.replace(experiment, data=data)


def without_folders(experiment: ExperimentConfig) -> ExperimentConfig:
    """The experiment without the folders and hosts of this machine."""
    data = experiment.data
    digits = dataclasses.replace(data.moving_mnist, digits_dir=None)
    return dataclasses.replace(experiment, data=dataclasses.replace(data, data_dir=None, service=None, moving_mnist=digits))
