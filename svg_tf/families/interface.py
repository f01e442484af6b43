"""What a family of models is made of: its parts, its training program, what is sampled, and what it can do besides.

Standard library only, so that a configuration can be read without TensorFlow.
"""

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, Protocol, runtime_checkable

from data_pipelines.checks import integer, require

Norm = Literal["train", "batch", "running"]
"""How batch normalization works in a call, see `svg_tf.layers.convolution`."""
Tensors = Mapping[str, Any]
"""Named tensors: a batch {"frames": float32 [B, T, H, W, C], ...}, or values of its sequences, float32 [B]."""


@dataclass(frozen=True)
class Family:
    """Where a family's parts are, as "module:object"; each is imported when it is needed.

    config: its `ModelConfig`. model: its `VideoPredictor`. presets: name -> layers of differences (`svg_tf.presets`).
    figures: tuple of `svg_tf.evaluation.figures.Figure` of its own. cost: its arithmetic and memory (`svg_tf.families.cost`).
    reference: how checkpoints of its published program are imported (`svg_tf.families.reference.Reference`).
    """

    config: str
    model: str
    presets: str | None = None
    figures: str | None = None
    cost: str | None = None
    reference: str | None = None

    def load(self, part: str) -> Any:
        """The object behind a part; None where the family has none."""
        place = getattr(self, part)
        if place is None:
            return None
        module, _, name = place.partition(":")
        return getattr(importlib.import_module(module), name)


# ---- training ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Update:
    """One update of a training step.

    name: of its optimizer (`compile(optimizer={name: ...})`, `train.optimizers`), and of its metrics where a program has several.
    loss: (batch, seed, norm, step) -> dict of float32 [B]; its mean "loss" over the global batch is minimized, and every term is
      reported as a mean. seed: `noise.BatchSeed`, or int32 [B, 2]; norm: "train", or "running" in evaluation; step: int tensor.
      In a phase with a `forward` it takes that one's result as a fifth argument.
    terms: the names that `loss` returns, "loss" among them.
    variables: () -> the variables that move.
    every: the update takes place at steps 0, every, 2 every, ...
    """

    name: str
    loss: Callable[..., Tensors]
    terms: tuple[str, ...]
    variables: Callable[[], Sequence[Any]]
    every: int = 1

    def __post_init__(self):
        require("loss" in self.terms, f"The terms of update {self.name!r} must have 'loss' among them, got {self.terms}.")
        integer(f"every of update {self.name!r}", self.every, 1)


@dataclass(frozen=True)
class Phase:
    """Updates in order, until training step `until` (exclusive; None: to the end).

    forward: (batch, seed, norm, step) -> dict of tensors, computed once a step for all its updates, before the first of them. A
    loss that is not to move what stands behind them stops their gradient; what they follow from is moved by the last update.
    """

    updates: tuple[Update, ...]
    until: int | None = None
    forward: Callable[..., Tensors] | None = None


class Due(NamedTuple):
    """What one step does: the number of its phase, and the numbers of the updates within it."""

    phase: int
    updates: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """What one training step is: phases one after the other. Each traces a graph of its own."""

    phases: tuple[Phase, ...]

    def __post_init__(self):
        ends = [phase.until for phase in self.phases]
        growing = all(a is not None and (b is None or a < b) for a, b in zip(ends, ends[1:], strict=False))
        in_order = bool(ends) and growing and ends[-1] is None
        require(in_order, f"Phases must end at growing steps, the last one at None; got {ends}.")
        terms: dict[str, tuple] = {}
        for update in self.updates:
            known = terms.setdefault(update.name, update.terms)
            require(known == update.terms, f"Update {update.name!r} has other terms in another phase: {known}, {update.terms}.")

    @classmethod
    def of(cls, *updates: Update, forward: Callable[..., Tensors] | None = None) -> "Program":
        """One phase."""
        return cls((Phase(updates, forward=forward),))

    @property
    def updates(self) -> tuple[Update, ...]:
        """Those of all phases, in order."""
        return tuple(update for phase in self.phases for update in phase.updates)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the updates, each once, in order: those of the optimizers."""
        return tuple(dict.fromkeys(update.name for update in self.updates))

    @property
    def varies(self) -> bool:
        """Whether steps differ from each other: several phases, or updates at some steps only."""
        return len(self.phases) > 1 or any(update.every > 1 for update in self.updates)

    def due(self, step: int) -> "Due":
        """What training step `step`, counted from 0, does. Steps with equal results share a graph."""
        number, phase = next((i, p) for i, p in enumerate(self.phases) if p.until is None or step < p.until)
        return Due(number, tuple(i for i, update in enumerate(phase.updates) if step % update.every == 0))

    def due_in_all(self, phase: int) -> "Due":
        """A step of phase number `phase` in which all its updates take place."""
        return Due(phase, tuple(range(len(self.phases[phase].updates))))

    def metrics_of(self, due: "Due") -> tuple[str, ...]:
        """Names of the metrics whose means move at such a step."""
        updates = [self.phases[due.phase].updates[i] for i in due.updates]
        own = tuple(self.metric(update, term) for update in updates for term in update.terms)
        return own if "loss" in own or not own else ("loss", *own)

    def metric(self, update: Update, term: str) -> str:
        """Name of a term's metric: plain where there is one update, else "update/term"."""
        return term if len(self.names) == 1 else f"{update.name}/{term}"

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics. With several updates "loss" comes first: that of the last one, by which validation compares."""
        own = tuple(dict.fromkeys(self.metric(update, term) for update in self.updates for term in update.terms))
        return own if len(self.names) == 1 else ("loss", *own)


# ---- use --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sampling:
    """What to sample of the futures of a context. n_future, n_samples, first_sample: ints, or int32 scalars in a graph.

    n_future: frame steps to predict. n_samples: S, futures of each sequence. first_sample: number of the first one, to draw many
    in parts. use_mean: the posterior's mean, in place of a sample, over the context. norm: "running", or "batch" for the
    statistics of what is computed together. frame_rate: frames for each frame step.
    """

    n_future: Any
    n_samples: Any = 1
    first_sample: Any = 0
    use_mean: bool = False
    norm: Norm = "running"
    frame_rate: int = 1

    @property
    def fixed(self) -> tuple:
        """What a graph is traced for."""
        return self.use_mean, self.norm, self.frame_rate

    def part(self, n_samples, first_sample) -> "Sampling":
        return replace(self, n_samples=n_samples, first_sample=first_sample)


class Bound(NamedTuple):
    """A bound of the likelihood of true frames, from `BoundsLikelihood`.

    terms: name -> float32 [B, frames]: what the objective is made of, such as "mse" (mean over pixels) and "kl" (nats, sum over
    latents). nats: float32 [B], the negative ELBO of each sequence's predicted frames in nats (observation's normalization
    included), or None where the objective is none for any observation.
    """

    terms: dict[str, Any]
    nats: Any | None


# What a model may do beyond predicting: `model.can(Reconstructs)`.


@runtime_checkable
class Reconstructs(Protocol):
    """Frames from latents that have seen them."""

    reconstruction: str
    """What a reconstruction conditions on, for model cards."""

    def reconstruct(self, frames, seed=0, *, closed_loop=False, use_mean=False): ...

    def reconstruct_in_graph(self, frames, seeds, closed_loop=False, use_mean=False): ...


@runtime_checkable
class BoundsLikelihood(Protocol):
    """A bound of the likelihood of true frames."""

    def bound(self, frames, seed=0) -> Bound: ...

    def bound_in_graph(self, frames, seeds) -> Bound: ...


@runtime_checkable
class ForecastsUncertainty(Protocol):
    """A learned prior, whose scale says how uncertain the next frame is (Fig. 6)."""

    def prior_scale(self, frames): ...

    def prior_scale_in_graph(self, frames): ...


@runtime_checkable
class SwapsContent(Protocol):
    """All that moves lives in a state beside a content."""

    def swap_content(self, frames_content, frames_motion, n_future=0, seed=0, *, use_mean=False): ...

    def interpolate(self, frames_from, frames_to, n_frames): ...


@runtime_checkable
class AnyFrameRate(Protocol):
    """Frames between frames: `Sampling.frame_rate` may exceed 1."""

    n_euler: int
    """Euler steps of a frame at the rate of training."""


@runtime_checkable
class ShowsKeypoints(Protocol):
    """A few points (x, y, mu) stand for each frame: found in true frames, foretold for sampled ones.

    x from -1 (left) to 1 (right), y from -1 (bottom) to 1 (top), mu: strength, 1 for the strongest one of a true frame."""

    n_keypoints: int

    def keypoints(self, frames): ...

    def keypoints_in_graph(self, frames): ...

    def predict_keypoints(self, frames, n_future, n_samples=1, seed=0, *, n_past=None, use_mean=False, first_sample=0): ...

    def predict_keypoints_in_graph(self, frames, seeds, sampling): ...


@runtime_checkable
class RedrawsFrames(Protocol):
    """Each frame is drawn from a code of its own: frames drawn from the codes of true frames bound what predicted codes reach."""

    def redraw(self, frames): ...

    def redraw_in_graph(self, frames): ...


@runtime_checkable
class KnowsTrouble(Protocol):
    """Tells from its metrics how a training goes wrong that no loss tells by itself."""

    def troubles(self, means: Mapping[str, float]) -> Mapping[str, str]:
        """means: metric -> mean over some steps. Name of each trouble -> what is wrong, and what to do."""
        ...


@runtime_checkable
class AddsSignatures(Protocol):
    """Signatures of its own in an export: name -> (function of tensors, TensorSpecs by name)."""

    def extra_signatures(self) -> dict[str, tuple[Callable, dict[str, Any]]]: ...
