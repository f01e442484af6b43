"""`svg-tf export` and `svg-tf predict`."""

import pathlib
from dataclasses import dataclass, field
from typing import Literal

import tyro

from svg_tf.serving import DEFAULT
from svg_tf.serving.limits import Limits, check_name

SHIPPED = "smmnist_mini"


@dataclass(frozen=True)
class Export:
    """Write a run's model as the next version of a SavedModel that TensorFlow Serving loads."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    out: pathlib.Path
    """Folder of the model, saved_models/NAME; NAME is what it is served under."""
    n_future: int = 0
    """Frames of an answer; 0 = as configured (eval.n_future)."""
    n_samples: int = 10
    """Samples of an answer; a model without latents has 1."""
    evaluation: pathlib.Path | None = None
    """Folder of an evaluation of this run (svg-tf evaluate), for the model card."""
    notes: str = ""
    """Text for the model card: provenance, known faults, licence of the data."""
    warmup: bool = True
    """Write warm-up requests (needs the extra "serving")."""
    unfinished: bool = False
    """Export a run before its end."""
    limits: Limits = field(default_factory=Limits)

    def run(self):
        if self.n_future < 0:
            raise ValueError(f"--n-future must not be negative, got {self.n_future}.")
        if self.n_samples < 1:
            raise ValueError(f"--n-samples must be at least 1, got {self.n_samples}.")
        if not (self.run_dir / "config.json").is_file():
            raise ValueError(f"{self.run_dir} is not a run directory: it has no config.json.")
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"--out must be a folder, {self.out} is none.")
        check_name(self.out.resolve().name)
        from svg_tf import evaluation, training
        from svg_tf.evaluation import report
        from svg_tf.serving import export

        measured = report.read(self.evaluation)[0] if self.evaluation else {}
        model, experiment, step = training.load_finished_run(self.run_dir, self.unfinished)
        if measured and measured["weights_sha256"] != evaluation.weights_checksum(model):
            raise ValueError(f"{self.evaluation} is the evaluation of other weights than those of {self.run_dir} at step {step}.")
        version = export.export(
            model,
            self.out,
            n_future=self.n_future or experiment.eval.n_future,
            n_samples=1 if model.deterministic else self.n_samples,
            limits=self.limits,
            facts=export.Facts(experiment=experiment, step=step, evaluation=measured, notes=self.notes),
            with_warmup=self.warmup,
        )
        print(f"{version}: {experiment.model.n_past} -> {self.n_future or experiment.eval.n_future} frames, model at step {step}")


@dataclass(frozen=True)
class Predict:
    """Continue clips with an exported model, on disk or on a server."""

    input: tuple[pathlib.Path, ...]
    """Videos, GIFs, .npz files or folders of pictures; all frames are context unless --n-past is given."""
    out: pathlib.Path
    """A .gif, .mp4 or .npz file; for several clips a folder."""
    model: pathlib.Path = pathlib.Path("saved_models") / SHIPPED
    """Folder of an exported model, where there is no --url."""
    url: str = ""
    """Server: grpc://host:port or http://host:port."""
    name: str = SHIPPED
    """The model's name on the server."""
    version: int | None = None
    """Version of the model; default: the latest."""
    n_past: int = 0
    """Use the first so many frames of each clip; 0 = all."""
    n_future: int = 0
    """Frames to predict; 0 = as exported."""
    n_samples: int = 0
    """Futures of each clip; 0 = as exported."""
    seed: int = 0
    """Clip i is continued with the seed (seed, i)."""
    fit: Literal["crop", "squash"] = "crop"
    """How clips of another aspect ratio are brought to the model's."""
    format: Literal["gif", "mp4", "npz"] = "gif"
    """Of the files in a folder."""
    shown: int = 5
    """Samples shown in a GIF or MP4; an .npz holds all."""
    fps: int = 6
    timeout: float = 60.0
    """Seconds for a request to a server."""
    retries: int = 4
    """Repetitions of a request while a server is unavailable."""

    def run(self):
        targets = self._targets()
        from svg_tf.serving import client, clips

        with client.connect(self.url or self.model, self.name, version=self.version, timeout=self.timeout,
                            retries=self.retries) as model:  # fmt: skip
            if DEFAULT not in model.inputs:
                raise ValueError(f"{self.url or self.model} is no video predictor: its signatures are {sorted(model.inputs)}.")
            size = model.inputs[DEFAULT]["frames"].shape[2:]
            contexts = [clips.read(path, size, self.n_past, self.fit) for path in self.input]  # all, before the first answer
            for i, (context, target) in enumerate(zip(self._shown_progress(contexts), targets, strict=True)):
                futures = client.predict(model, context, self.n_future or None, self.n_samples or None, (self.seed, i))
                clips.write(target, context, futures, self.shown, self.fps)
        for target in targets:
            print(target)

    def _targets(self) -> list[pathlib.Path]:
        """Checks the arguments; the file to write for each clip."""
        for name, low, high in (("n_past", 0, 256), ("n_future", 0, 2**31 - 1), ("n_samples", 0, 2**31 - 1),
                                ("seed", 0, 2**31 - 1), ("shown", 1, 100), ("fps", 1, 50)):  # fmt: skip
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"--{name.replace('_', '-')} must be in [{low}, {high}], got {value}.")
        for path in self.input:
            if not path.exists():
                raise ValueError(f"--input {path} does not exist.")
        if self.out.suffix.lower() in (".gif", ".mp4", ".npz") and not self.out.is_dir():
            if len(self.input) > 1:
                raise ValueError(f"{len(self.input)} clips need a folder as --out, got the file {self.out}.")
            return [self.out]
        if self.out.is_file() or (len(self.input) == 1 and self.out.suffix and not self.out.is_dir()):
            raise ValueError(f"--out must be a .gif, .mp4 or .npz file, or a folder, got {self.out}.")
        names = [path.resolve().stem for path in self.input]
        repeated = {name for name in names if names.count(name) > 1}
        return [
            self.out / (f"{name}-{i}.{self.format}" if name in repeated else f"{name}.{self.format}")
            for i, name in enumerate(names)
        ]

    def _shown_progress(self, contexts):
        """A progress bar where there are several clips."""
        if len(contexts) == 1:
            return contexts
        from rich.console import Console
        from rich.progress import track

        return track(contexts, description="Predicting", console=Console(stderr=True))
