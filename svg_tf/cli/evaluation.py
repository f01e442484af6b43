"""`svg-tf        model, experiment, step = self._loaded(self.run_dir)
        chosen = self._chosen(figures.of(model), model, experiment)
        others = beside | evaluate`, `compare` and `figures`: they bring runs, data and the functions of evaluation together."""

import pathlib
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from data_pipelines import files, frame_size
from data_pipelines.checks import require
from svg_tf import protocols, sources
from svg_tf.cli.arguments import check_counts, named, size_of, sizes, text

RunDir = tyro.conf.Positional[pathlib.Path]
Split = Literal["test", "validation", "train"]
_SEEDS = 2**31 - 1


@dataclass(frozen=True)
class Evaluate:
    """Best of S samples, baselines, likelihood: report.json, report.md, curves.png and GIFs. Continues where it stopped."""

    run_dir: RunDir
    out: pathlib.Path | None = None
    """Folder of the report; default: RUN_DIR/evaluation, at another size RUN_DIR/evaluation-64x80."""
    data: str | None = None
    """Data set, e.g. kth or moving_mnist/srvp; default: the run's own."""
    data_dir: pathlib.Path | None = None
    """Folder of prepared data sets; default: the run's own, or TFDS's."""
    digits_dir: pathlib.Path | None = None
    """Folder of MNIST's four .gz files, for moving_mnist; default: the run's own, or downloaded."""
    split: Split = "test"
    protocol: protocols.SSIM | None = None
    """Definition of SSIM; default: as configured (eval.protocol)."""
    n_past: int | None = None
    n_future: int | None = None
    n_samples: int | None = None
    """Default: as configured, for these three."""
    sequences: int | None = None
    """Sequences evaluated; default: the whole split (moving_mnist on the fly: 256)."""
    batch_size: int = 16
    """Sequences read at once; without influence on the numbers."""
    seed: int = 0
    """Of the samples."""
    data_seed: int = 0
    """Of generated data and random windows, so that runs of different seeds are measured on the same sequences."""
    random_windows: int | None = None
    """Prepared data sets: so many random excerpts, in place of the start of each clip (SRVP on KTH: 1000, --data-seed 42)."""
    moving: bool = False
    """moving_mnist: no digit stands still."""
    batch_statistics: bool = False
    """Normalize generation by batch statistics, as the reference's SVG-LP program does."""
    lpips: pathlib.Path | None = None
    """.npz file of LPIPS weights (svg-tf import-lpips)."""
    lpips_sha256: str | None = None
    fvd: pathlib.Path | None = None
    """Folder of the I3D network (svg-tf import-i3d, or a SavedModel)."""
    fvd_sha256: str | None = None
    fvd_convention: protocols.FVD | None = None
    """srvp: context frames prepended, five draws; predicted: predicted frames only, one draw; default: by --protocol."""
    fvd_draws: int | None = None
    """Draws of one sample of each sequence, for FVD's interval; default: as the convention says."""
    fvd_resize: protocols.Resize | None = None
    """How FVD enlarges frames; default: as usual for the network's weights."""
    weights: Literal["averaged", "last", "best"] | None = None
    """best: those of the lowest validation loss; default: averaged ones where the run has them, else the last."""
    shard: str | None = None
    """i/n: this is process i (from 0) of n that do this evaluation together, in one --out; cluster: as the variables of Slurm,
    Kubernetes or TF_CONFIG say."""
    unfinished: bool = False
    """Evaluate a run before its end."""
    image_size: str | None = None
    """Frames of another size than the run's, as 64 or 64x80, of models whose weights do not depend on it (latents "map")."""

    def run(self):
        check_counts(self, names=("n_past", "n_future", "n_samples", "sequences", "random_windows", "batch_size"))
        check_counts(self, 0, _SEEDS, names=("seed", "data_seed"))
        size, trained = sizes(self.run_dir, self.image_size)
        out = self.out or self.run_dir / named("evaluation", size)
        files.distinct_outputs([out], _given(self.run_dir, self.data_dir, self.digits_dir, self.lpips, self.fvd))
        from svg_tf import evaluation, training
        from svg_tf.evaluation import ceiling, shards

        shard = shards.shard_of(self.shard)
        model, experiment, step = training.load_finished_run(self.run_dir, self.unfinished, self.weights, size)
        options = self._options(evaluation, experiment)
        elsewhere = sources.at(experiment, self.data, self.data_dir, self.digits_dir)
        chosen = sources.of(elsewhere).selection(self.sequences, self.moving, self.random_windows)
        length = options.n_past + options.n_future
        top = ceiling.of(elsewhere, self.split, **chosen)
        states = {"also": top.tensors} if top.tensors else {}
        result = evaluation.evaluate(
            model,
            _load(elsewhere, self.split, length, self.batch_size, self.data_seed, **states, **chosen),
            options,
            out,
            description={
                "run": self.run_dir.name,
                "step": step,
                **({"weights": self.weights} if self.weights else {}),
                **({"image_size": f"{frame_size.text(size)}, trained at {frame_size.text(trained)}"} if size else {}),
                "data": elsewhere.data.name,
                "split": self.split,
                "data_seed": self.data_seed,
                **chosen,
            },
            horizon=experiment.model.n_past + experiment.data.n_future,
            shard=shard,
            ceiling=top,
        )
        print(f"{out}: {result['n_sequences']} sequences, see report.md and curves.png")

    def _options(self, evaluation, experiment):
        return evaluation.Options(
            n_past=self.n_past or experiment.model.n_past,
            n_future=self.n_future or experiment.eval.n_future,
            n_samples=self.n_samples or experiment.eval.n_samples,
            protocol=self.protocol or experiment.eval.protocol,
            seed=self.seed,
            sequences=self.sequences,
            batch_statistics=self.batch_statistics,
            lpips=text(self.lpips),
            lpips_sha256=self.lpips_sha256,
            fvd=text(self.fvd),
            fvd_sha256=self.fvd_sha256,
            fvd_convention=self.fvd_convention,
            fvd_draws=self.fvd_draws,
            fvd_resize=self.fvd_resize,
        )


@dataclass(frozen=True)
class Compare:
    """One table, one plot, and paired differences of several evaluated runs (paper, Figs. 7 and 8)."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[LABEL=]RUN[,RUN...] ...")]
    """Runs or evaluation folders, in the order of the table; runs of several seeds, joined by commas, are pooled."""
    out: pathlib.Path

    def run(self):
        from svg_tf.evaluation import comparison

        evaluations = {
            label: [str(files.located(folder, "a run")) for folder in path.split(",")]
            for label, path in _labelled(self.runs).items()
        }
        comparison.compare(evaluations, self.out)
        print((self.out / "comparison.md").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Figures:
    """The papers' figures from a run, as PNG or GIF with the numbers behind them; also in the run's TensorBoard logs.

    3: truth, deterministic model, best and random samples (also Figs. 4, 10). 5: distribution of the digit's velocity per step
    (one-digit Moving MNIST). 6: the prior's sigma against true collisions (Moving MNIST). 9: samples of this and other runs for
    the same sequences (--beside). 11: 100 steps. A model's family may add its own: an unknown name lists those of the run.
    """

    run_dir: RunDir
    figure: str = "all"
    """Its name; all: those that the run's model and data allow."""
    out: pathlib.Path | None = None
    """Default: RUN_DIR/figures, at another size RUN_DIR/figures-64x80."""
    deterministic: pathlib.Path | None = None
    """Run of the deterministic baseline, for a row in figure 3."""
    beside: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[LABEL=]RUN"), tyro.conf.UseAppendAction] = ()
    """Another run for figure 9, of the same data and frame shape, named as its folder unless labelled; once for each run."""
    label: str | None = None
    """Of this run in figure 9; default: its folder's name."""
    data: str | None = None
    """Data set, e.g. kth/64x80; default: the run's own."""
    data_dir: pathlib.Path | None = None
    digits_dir: pathlib.Path | None = None
    split: Split = "test"
    sequences: int | None = None
    """Default: each figure's own number (4; figure 11: 2; figures 5 and 6: 500, as in the paper)."""
    n_samples: int | None = None
    """Default: each figure's own number (10; figure 3: 100)."""
    seed: int = 0
    unfinished: bool = False
    """Draw from a run before its end."""
    image_size: str | None = None
    """Frames of another size than the runs', as 64 or 64x80, of models whose weights do not depend on it (latents "map")."""

    def run(self):
        check_counts(self, names=("sequences", "n_samples"))
        check_counts(self, 0, _SEEDS, names=("seed",))
        size, _ = sizes(self.run_dir, self.image_size)
        out, label = self.out or self.run_dir / named("figures", size), self.label or self.run_dir.resolve().name
        beside = _labelled(self.beside, **{label: str(self.run_dir)})
        beside = {name: files.located(path, "--beside") for name, path in beside.items() if name != label}
        inputs = _given(self.run_dir, self.deterministic, self.data_dir, self.digits_dir)
        files.distinct_outputs([out], [*inputs, *beside.values()])
        from data_pipelines import ClipsTooShort
        from svg_tf.evaluation import figures, report

        report.require_matplotlib()
        model, experiment, step = self._loaded(self.run_dir)
        chosen = self._chosen(figures.of(model), model, experiment)
        others = beside | ({"--deterministic": self.deterministic} if self.deterministic else {})
        loaded = {name: self._loaded(path) for name, path in others.items()}
        sources.check_alike({label: experiment} | {name: run.experiment for name, run in loaded.items()})
        models = {name: run.model for name, run in loaded.items()}
        baseline = models.pop("--deterministic", None)
        pictures = {}
        with files.locked(out, "draws figures into"):
            for figure in chosen:
                setting = self._setting(figure, figures.Setting, model, experiment, out, baseline, label=label, beside=models)
                try:
                    result = figure.draw(setting, figure.data(setting))
                except ClipsTooShort as error:
                    if self.figure != "all":
                        raise
                    print(f"figure {figure.name}: skipped, {error}")
                    continue
                pictures |= {named(figure.tag(key), size): path for key, path in result["files"].items()}
                print(f"figure {figure.name}: {', '.join(str(path) for path in result['files'].values())}")
                if figure.say:
                    print(f"  {figure.say(result)}")
            figures.publish(self.run_dir / "logs", pictures, step)

    def _loaded(self, run_dir):
        """A run with the data and the size of frames that were asked for."""
        from svg_tf import training

        run = training.load_finished_run(run_dir, self.unfinished, image_size=size_of(self.image_size))
        return run._replace(experiment=sources.at(run.experiment, self.data, self.data_dir, self.digits_dir))

    def _chosen(self, known: dict, model, experiment) -> list:
        """The figures to draw. Raises `ValueError` for an unknown one, or one that cannot be drawn of this run."""
        if self.figure == "all":
            possible = [figure for figure in known.values() if self.beside or "beside" not in figure.others]
            return [figure for figure in possible if not figure.why_not(model, experiment)]
        if self.figure not in known:
            raise ValueError(f"Unknown figure {self.figure!r}; figures of this run's model: {', '.join(known)}, all.")
        figure = known[self.figure]
        missing = figure.why_not(model, experiment)
        if missing:
            raise ValueError(f"Figure {self.figure} cannot be drawn for this run: {missing}.")
        require(bool(self.beside) or "beside" not in figure.others, f"Figure {self.figure} needs another run: --beside RUN.")
        for field, flag, given in (("baseline", "--deterministic", self.deterministic), ("beside", "--beside", self.beside)):
            require(not given or field in figure.others, f"{flag} is not for figure {self.figure}, which draws one run alone.")
        return [figure]

    def _setting(self, figure, setting_class, model, experiment, out, baseline, **others):
        sequences, source = self.sequences or figure.sequences, sources.of(experiment)

        def clips(frames, sequences=sequences, **own):
            own = source.selection(sequences, moving=not source.sized) | own
            batches = _load(experiment, self.split, frames, sequences, self.seed, **own)
            return {name: value.numpy() for name, value in next(iter(batches.take(1))).items()}

        n_samples = self.n_samples or figure.n_samples
        return setting_class(model, experiment, out, clips, sequences, n_samples, self.seed, baseline, **others)


def _labelled(entries, **first: str) -> dict[str, str]:
    """[LABEL=]PATH ... -> label -> path, after `first`; the label is the path's last part unless given. Raises `ValueError`."""
    found = dict(first)
    for entry in entries:
        label, separator, path = entry.partition("=")
        label, path = (label, path) if separator else (pathlib.Path(entry).name, entry)
        require(bool(label and path), f"A run is [LABEL=]RUN, got {entry!r}.")
        require(label not in found, f"Two runs are called {label!r}; name them: LABEL=RUN.")
        found[label] = path
    return found


def _given(*paths) -> list[pathlib.Path]:
    return [path for path in paths if path is not None]


def _load(experiment, split, frames, batch_size, seed, also=(), **own):
    """also: tensors besides those of the model's family."""
    from svg_tf import families, training

    if also:
        own["tensors"] = tuple(dict.fromkeys((*families.get(experiment.model.family).load("model").tensors, *also)))
    fixed = {"shuffle": False, "repeat": False, "drop_remainder": False}
    return training.load_data(experiment, split, frames, batch_size=batch_size, seed=seed, **fixed, **own)
