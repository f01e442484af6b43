"""A figure as one object: what it needs, which data it wants, its defaults, how it is drawn, and what it says in numbers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from svg_tf import sources
from svg_tf.config import ExperimentConfig

Batch = Mapping[str, Any]
"""Named arrays and settings, "frames" float32 [N, T, H, W, C] among them."""


@dataclass(frozen=True)
class Setting:
    """What a figure is drawn of, and with.

    clips: (frames, **options of `data_pipelines.load`) -> dict of NumPy arrays: held-out sequences of so many frames;
      `sequences` of them unless told otherwise.
    baseline: a model without latents to stand beside `model`, or None.
    label: of `model`, beside others. beside: label -> other models of the same videos.
    """

    model: Any
    experiment: ExperimentConfig
    out_dir: Any
    clips: Callable[..., dict]
    sequences: int
    n_samples: int
    seed: int = 0
    baseline: Any = None
    label: str = "model"
    beside: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_past(self) -> int:
        return self.experiment.model.n_past

    @property
    def n_future(self) -> int:
        """Frames predicted in evaluation."""
        return self.experiment.eval.n_future

    @property
    def source(self) -> sources.Source:
        return sources.of(self.experiment)


@dataclass(frozen=True)
class Figure:
    """One figure of the command line and of TensorBoard.

    name: how it is asked for; "3" is the paper's Fig. 3. title: a few words.
    data: Setting -> the batch that `draw` takes. draw: (Setting, batch) -> {"files": {tag: path}, numbers ...}.
    needs: protocols of `svg_tf.families.interface` that the model must have, and functions (model, experiment) -> None, or what
      is missing ("it needs ...").
    others: fields of `Setting` with models that it draws besides: "baseline", where there is one; "beside", without which it
      cannot be drawn.
    sequences, n_samples: how many, unless told otherwise. say: the result in words; None: nothing.
    """

    name: str
    title: str
    data: Callable[[Setting], Batch]
    draw: Callable[[Setting, Batch], dict]
    needs: tuple = ()
    others: tuple[str, ...] = ()
    sequences: int = 4
    n_samples: int = 10
    say: Callable[[dict], str] | None = None

    def why_not(self, model, experiment: ExperimentConfig) -> str | None:
        """What this figure lacks with this model and data; None where it can be drawn."""
        for need in self.needs:
            if isinstance(need, type):
                able = model.can(need)
                missing = None if able else f"it needs a model with {need.__name__}; this is {model.config.summary}"
            else:
                missing = need(model, experiment)
            if missing:
                return missing
        return None

    def tag(self, key: str) -> str:
        """The tag in TensorBoard of a file that `draw` calls `key`, "figure3/0": tags sort as the figures do."""
        part = key.partition("/")[2]
        heading = f"figures/{int(self.name):02d} {self.title}" if self.name.isdecimal() else f"figures/{self.name}"
        return f"{heading}/{part}" if part else heading


def evaluated_clips(setting: Setting) -> Batch:
    """Sequences as long as those of an evaluation."""
    return setting.clips(setting.n_past + setting.n_future)
