"""`svg-tf export` and `svg-tf predict`."""

import pathlib
from dataclasses import dataclass, field
from typing import Literal

import tyro

from data_pipelines import clips as reader
from data_pipelines import files, frame_size
from data_pipelines.checks import require
from svg_tf.cli.arguments import check_counts, sizes
from svg_tf.serving.client import SHIPPED
from svg_tf.serving.limits import Limits, check_name


@dataclass(frozen=True)
class Export:
    """Write a run's model as the next version of a SavedModel that TensorFlow Serving loads."""

    run_dir: tyro.conf.Positional[pathlib.Path]
    out: pathlib.Path
    """Folder of the model, saved_models/NAME; NAME is what it is served under."""
    n_future: int | None = None
    """Frames of an answer; default: as configured (eval.n_future)."""
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
    least_rows: int = 16
    """Samples computed where fewer are asked for, so that rounding does not tell how many; 1: as many as are asked for."""
    image_size: str | None = None
    """Frames of another size than the run's, as 64 or 64x80, of models whose weights do not depend on it (latents "map")."""
    limits: Limits = field(default_factory=Limits)

    def run(self):
        check_counts(self, names=("n_future", "n_samples"))
        check_counts(self, 1, 256, names=("least_rows",))
        if not (self.run_dir / "config.json").is_file():
            raise ValueError(f"{self.run_dir} is not a run directory: it has no config.json.")
        if self.out.exists() and not self.out.is_dir():
            raise ValueError(f"--out must be a folder, {self.out} is none.")
        check_name(self.out.resolve().name)
        files.distinct_outputs([self.out], [self.run_dir, *([self.evaluation] if self.evaluation else [])])
        from svg_tf import evaluation, training
        from svg_tf.evaluation import report
        from svg_tf.serving import export

        measured = report.read(self.evaluation)[0] if self.evaluation else {}
        size, trained = sizes(self.run_dir, self.image_size)
        model, experiment, step = training.load_finished_run(self.run_dir, self.unfinished, image_size=size)
        if measured and measured["weights_sha256"] != evaluation.weights_checksum(model):
            raise ValueError(f"{self.evaluation} is the evaluation of other weights than those of {self.run_dir} at step {step}.")
        self._check_size(measured, experiment.model.image_size)
        n_future = self.n_future or experiment.eval.n_future
        version = export.export(
            model,
            self.out,
            n_future=n_future,
            n_samples=1 if model.deterministic else self.n_samples,
            limits=self.limits,
            facts=export.Facts(experiment, step, measured, self.notes, trained_size=trained if size else None),
            with_warmup=self.warmup,
            least_rows=self.least_rows,
        )
        print(f"{version}: {experiment.model.n_past} -> {n_future} frames, model at step {step}")

    def _check_size(self, measured: dict, size: frame_size.Size) -> None:
        """Raises `ValueError` where the evaluation is that of frames of another size."""
        if measured:
            evaluated = frame_size.checked("image_size", measured["model"]["image_size"])
            shown = f"of frames of {frame_size.text(evaluated)}; this export takes {frame_size.text(size)}"
            require(evaluated == size, f"{self.evaluation} is an evaluation {shown}.")


@dataclass(frozen=True)
class Predict:
    """Continue clips with an exported model, on disk or on a server."""

    input: tuple[pathlib.Path, ...]
    """Videos, GIFs, .npz files or folders of pictures; all frames are context unless --n-past is given."""
    out: pathlib.Path
    """A .gif, .mp4 or .npz file; for several clips a folder."""
    model: pathlib.Path | None = None
    """Folder of an exported model; default, where there is no --url: the one that comes with this repository."""
    url: str = ""
    """Server: grpc://host:port or http://host:port."""
    name: str = SHIPPED
    """The model's name on the server."""
    version: int | None = None
    """Version of the model; default: the latest."""
    n_past: int | None = None
    """Use the first so many frames of each clip; default: all."""
    n_future: int | None = None
    """Frames to predict; default: as exported."""
    n_samples: int | None = None
    """Futures of each clip; default: as exported."""
    seed: int = 0
    """Clip i is continued with the seed (seed, i)."""
    fit: Literal["crop", "squash"] = "crop"
    """How clips of another aspect ratio are brought to the model's."""
    format: Literal["gif", "mp4", "npz"] = "gif"
    """Of the files in a folder."""
    keypoints: bool = False
    """Also write keypoints of the context and of all samples, NAME.keypoints.csv, with a model that shows them."""
    shown: int = 5
    """Samples shown in a GIF or MP4; an .npz holds all."""
    fps: int = 6
    timeout: float = 60.0
    """Seconds for a request to a server."""
    retries: int = 4
    """Repetitions of a request while a server is unavailable."""

    def run(self):
        from svg_tf.serving import client, clips

        targets = self._targets()
        tables = [clips.keypoints_path(target) for target in targets] if self.keypoints else []
        files.distinct_outputs([*targets, *tables], self.input)
        if any(target.suffix.lower() == ".mp4" for target in targets):
            reader.require_av()
        where = self.url or self.model or client.default_model()
        with client.connect(where, self.name, version=self.version, timeout=self.timeout, retries=self.retries) as model:
            size = client.answers_of(model).frame_shape
            shown = client.shows_keypoints(model)
            require(shown or not self.keypoints, f"--keypoints: the model {model.name} shows none.")
            contexts = [clips.read(path, size, self.n_past or 0, self.fit) for path in self.input]  # all, before the first answer
            for i, (context, target) in enumerate(zip(self._shown_progress(contexts), targets, strict=True)):
                futures = client.predict(model, context, self.n_future, self.n_samples, (self.seed, i))
                clips.write(target, context, futures, self.shown, self.fps)
                if self.keypoints:
                    found = client.predict_keypoints(model, context, self.n_future, self.n_samples, (self.seed, i))
                    clips.write_keypoints(tables[i], *found)
        for target in [*targets, *tables]:
            print(target)

    def _targets(self) -> list[pathlib.Path]:
        """Checks the arguments; the file to write for each clip."""
        check_counts(self, 1, 256, names=("n_past",))
        check_counts(self, 1, 2**31 - 1, names=("n_future", "n_samples"))
        check_counts(self, 0, 2**31 - 1, names=("seed",))
        check_counts(self, 1, 100, names=("shown",))
        check_counts(self, 1, 50, names=("fps",))
        require(not self.url or "://" in self.url, f"--url must be grpc://host:port or http://host:port, got {self.url!r}.")
        require(not (self.url and self.model), "--model is a folder and --url a server: give one of them.")
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
