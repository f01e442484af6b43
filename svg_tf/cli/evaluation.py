"""`svg-tf evaluate`, `compare` and `figures`: they bring runs, data and the functions of evaluation together."""

import dataclasses
import pathlib
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

RunDir = tyro.conf.Positional[pathlib.Path]
_FUTURE_OF_FIGURE_5, _FRAMES_OF_FIGURE_6, _FUTURE_OF_FIGURE_11 = 15, 100, 100


@dataclass(frozen=True)
class Evaluate:
    """Best of S samples, baselines, likelihood: report.json, report.md, curves.png and GIFs. Continues where it stopped."""

    run_dir: RunDir
    out: pathlib.Path | None = None
    """Folder of the report; default: RUN_DIR/evaluation."""
    data: str = ""
    """Data set, e.g. kth or moving_mnist/srvp; empty = the run's own."""
    data_dir: str = ""
    """Folder of prepared data sets; empty = the run's own, or TFDS's default."""
    digits_dir: str = ""
    """Folder of MNIST's four .gz files, for moving_mnist; empty = the run's own, or downloaded."""
    split: Literal["test", "validation", "train"] = "test"
    protocol: Literal["", "srvp", "svg"] = ""
    """Definition of SSIM; empty = as configured (eval.protocol)."""
    n_past: int = 0
    n_future: int = 0
    n_samples: int = 0
    """0 = as configured, for these three."""
    sequences: int = 0
    """Sequences evaluated; 0 = the whole split (moving_mnist on the fly: 256)."""
    batch_size: int = 16
    """Sequences read at once; without influence on the numbers."""
    seed: int = 0
    """Of the samples."""
    data_seed: int = 0
    """Of generated data and random windows, so that runs of different seeds are measured on the same sequences."""
    random_windows: int = 0
    """Prepared data sets: so many random excerpts, in place of the start of each clip (SRVP on KTH: 1000, --data-seed 42)."""
    moving: bool = False
    """moving_mnist: no digit stands still."""
    batch_statistics: bool = False
    """Normalise generation by batch statistics, as the reference's SVG-LP program does."""
    lpips: str = ""
    """.npz file of LPIPS weights (svg-tf import-lpips)."""
    lpips_sha256: str = ""
    fvd: str = ""
    """Folder of the I3D network (svg-tf import-i3d, or a SavedModel)."""
    fvd_sha256: str = ""
    fvd_convention: Literal["", "srvp", "predicted"] = ""
    """srvp: context frames prepended, five draws; predicted: predicted frames only, one draw; empty = by --protocol."""
    fvd_draws: int = 0
    """Draws of one sample of each sequence, for FVD's interval; 0 = as the convention says."""
    fvd_resize: Literal["", "tf1", "half_pixel"] = ""
    """How FVD enlarges frames; empty = as usual for the network's weights."""
    unfinished: bool = False
    """Evaluate a run before its end."""

    def run(self):
        for name in ("n_past", "n_future", "n_samples", "sequences", "random_windows", "batch_size"):
            low = 1 if name == "batch_size" else 0
            if getattr(self, name) < low:
                raise ValueError(f"--{name.replace('_', '-')} must be at least {low}, got {getattr(self, name)}.")
        from svg_tf import evaluation, training

        model, experiment, step = training.load_finished_run(self.run_dir, self.unfinished)
        options = evaluation.Options(
            n_past=self.n_past or experiment.model.n_past,
            n_future=self.n_future or experiment.eval.n_future,
            n_samples=self.n_samples or experiment.eval.n_samples,
            protocol=self.protocol or experiment.eval.protocol,
            seed=self.seed,
            sequences=self.sequences,
            batch_statistics=self.batch_statistics,
            lpips=self.lpips,
            lpips_sha256=self.lpips_sha256,
            fvd=self.fvd,
            fvd_sha256=self.fvd_sha256,
            fvd_convention=self.fvd_convention,
            fvd_draws=self.fvd_draws,
            fvd_resize=self.fvd_resize,
        )
        data = _data(experiment, self.data, self.data_dir, self.digits_dir)
        generated = data.data.name == "moving_mnist"
        if generated and self.random_windows:
            raise ValueError("--random-windows is for prepared data sets; moving_mnist is generated.")
        own = {"num_sequences": self.sequences or None, "moving": self.moving} if generated else {}
        own |= {"random_windows": self.random_windows} if self.random_windows else {}
        result = evaluation.evaluate(
            model,
            _load(data, self.split, options.n_past + options.n_future, self.batch_size, self.data_seed, **own),
            options,
            self.out or self.run_dir / "evaluation",
            description={
                "run": self.run_dir.name,
                "step": step,
                "data": data.data.name,
                "split": self.split,
                "data_seed": self.data_seed,
                **own,
            },
            horizon=experiment.model.n_past + experiment.data.n_future,
        )
        print(f"{self.out or self.run_dir / 'evaluation'}: {result['n_sequences']} sequences, see report.md and curves.png")


@dataclass(frozen=True)
class Compare:
    """One table, one plot, and paired differences of several evaluated runs (paper, Figs. 7 and 8)."""

    runs: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="[LABEL=]RUN[,RUN...] ...")]
    """Runs or evaluation folders, in the order of the table; runs of several seeds, joined by commas, are pooled."""
    out: pathlib.Path

    def run(self):
        from svg_tf.evaluation import comparison

        evaluations: dict[str, list[str]] = {}
        for entry in self.runs:
            label, separator, path = entry.partition("=")
            label, path = (label, path) if separator else (pathlib.Path(entry).name, entry)
            if label in evaluations:
                raise ValueError(f"Two runs are called {label!r}; name them: LABEL=RUN.")
            evaluations[label] = path.split(",")
        comparison.compare(evaluations, self.out)
        print((self.out / "comparison.md").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Figures:
    """The paper's figures from a run, as PNG or GIF with the numbers behind them; also in the run's TensorBoard logs.

    3: truth, deterministic model, best and random samples (also Figs. 4, 9, 10). 5: distribution of the digit's velocity per
    step (one-digit Moving MNIST). 6: the prior's sigma against true collisions (Moving MNIST). 11: 100 steps. SRVP:
    frame_rate (frames between frames), swap (the motion of one video with the content of another), interpolation.
    """

    run_dir: RunDir
    figure: Literal["3", "5", "6", "11", "frame_rate", "swap", "interpolation", "all"] = "all"
    """all: those that the run's data allows."""
    out: pathlib.Path | None = None
    """Default: RUN_DIR/figures."""
    deterministic: pathlib.Path | None = None
    """Run of the deterministic baseline, for a row in figure 3."""
    data_dir: str = ""
    digits_dir: str = ""
    split: Literal["test", "validation", "train"] = "test"
    sequences: int = 0
    """0 = 4 (figure 3), 2 (figure 11), 500 (figures 5 and 6, as in the paper)."""
    n_samples: int = 0
    """0 = 100 (figure 3), 10 (figures 5 and 11)."""
    seed: int = 0
    unfinished: bool = False

    def run(self):
        for name in ("sequences", "n_samples"):
            if getattr(self, name) < 0:
                raise ValueError(f"--{name.replace('_', '-')} must not be negative, got {getattr(self, name)}.")
        from data_pipelines import ClipsTooShort
        from svg_tf import training
        from svg_tf.evaluation import figures

        model, experiment, step = training.load_finished_run(self.run_dir, self.unfinished)
        experiment = _data(experiment, "", self.data_dir, self.digits_dir)
        drawable = _drawable(experiment)
        if self.figure != "all" and self.figure not in drawable:
            raise ValueError(f"Figure {self.figure} cannot be drawn for this run: {_WHY_NOT[self.figure]}")
        out, files = self.out or self.run_dir / "figures", {}
        for number in drawable if self.figure == "all" else (self.figure,):
            try:
                result = getattr(self, f"_figure_{number}")(model, experiment, out)
            except ClipsTooShort as error:
                if self.figure != "all":
                    raise
                print(f"figure {number}: skipped, {error}")
                continue
            files |= result["files"]
            print(f"figure {number}: {', '.join(str(path) for path in result['files'].values())}{_number(number, result)}")
        figures.publish(self.run_dir / "logs", files, step)

    def _frames(self, experiment, frames, default, **own):
        count = self.sequences or default
        if experiment.data.name == "moving_mnist":
            own = {"num_sequences": count, "moving": True} | own
        batches = _load(experiment, self.split, frames, count, self.seed, **own)
        return {name: value.numpy() for name, value in next(iter(batches.take(1))).items()}

    def _figure_3(self, model, experiment, out, name="figure3", future=0, sequences=4, samples=100, every=2):
        from svg_tf import training
        from svg_tf.evaluation import figures

        n_past = experiment.model.n_past
        frames = self._frames(experiment, n_past + (future or experiment.eval.n_future), sequences)["frames"]
        count = (self.n_samples or samples) if experiment.model.samples_differ else 1
        baseline = None
        if self.deterministic and not future:
            baseline, *_ = training.load_finished_run(self.deterministic, self.unfinished)
        return figures.sample_figure(
            model, frames, out, n_past=n_past, n_samples=count, seed=self.seed, name=name, deterministic=baseline, every=every
        )  # fmt: skip

    def _figure_11(self, model, experiment, out):
        return self._figure_3(model, experiment, out, "figure11", _FUTURE_OF_FIGURE_11, 2, 10, every=5)

    def _figure_5(self, model, experiment, out):
        from svg_tf.evaluation import figures

        n_past, speed = experiment.model.n_past, _max_speed(experiment)
        total = n_past + _FUTURE_OF_FIGURE_5
        number, shows = _trajectory(self, experiment, total, lambda t: n_past + 3 <= t[0] < total - 4)
        frames = self._frames(experiment, total, 500, shared="start", trajectory=number)["frames"]
        return figures.velocity_figure(
            model, frames, out, n_past=n_past, max_speed=speed, n_samples=self.n_samples or 10, seed=self.seed,
            shown_steps=sorted({n_past, shows[0] - 1, shows[0], shows[0] + 1, shows[0] + 3, total - 1}),
            new_velocity_steps=shows[:1],
        )  # fmt: skip

    def _figure_6(self, model, experiment, out):
        from svg_tf.evaluation import figures

        number, _ = _trajectory(self, experiment, _FRAMES_OF_FIGURE_6, lambda t: t[0] > experiment.model.n_past and len(t) >= 4)
        batch = self._frames(experiment, _FRAMES_OF_FIGURE_6, 500, shared="motion", trajectory=number, with_states=True)
        variant = experiment.data.moving_mnist.variant
        return figures.uncertainty_figure(model, batch["frames"], figures.visible_collisions(batch["collisions"], variant), out)

    def _figure_frame_rate(self, model, experiment, out):
        from svg_tf.evaluation import figures

        n_past = experiment.model.n_past
        frames = self._frames(experiment, n_past + experiment.eval.n_future, 4)["frames"]
        return figures.frame_rate_figure(model, frames, out, n_past=n_past, seed=self.seed)

    def _figure_swap(self, model, experiment, out):
        from svg_tf.evaluation import figures

        n_past = experiment.model.n_past
        frames = self._frames(experiment, n_past + experiment.eval.n_future, 4)["frames"]
        return figures.swap_figure(model, frames, out, n_past=n_past, seed=self.seed)

    def _figure_interpolation(self, model, experiment, out):
        from svg_tf.evaluation import figures

        n_past = experiment.model.n_past
        return figures.interpolation_figure(model, self._frames(experiment, n_past + 1, 4)["frames"], out, n_past=n_past)


_WHY_NOT = {
    "5": "it needs Stochastic Moving MNIST with one digit, and a model that samples.",
    "6": "it needs Stochastic Moving MNIST, whose collisions are known, and a learned prior.",
    "frame_rate": "it needs SRVP with its residual transition.",
    "swap": "it needs SRVP.",
    "interpolation": "it needs SRVP.",
}


def _drawable(experiment) -> list[str]:
    digits = experiment.data.moving_mnist
    generated = experiment.data.name == "moving_mnist" and not digits.deterministic
    one_digit = generated and digits.num_digits == 1
    five = ["5"] if one_digit and experiment.model.samples_differ else []
    six = ["6"] if generated and experiment.model.learned_prior else []
    rate = ["frame_rate"] if experiment.model.any_frame_rate else []
    states = ["swap", "interpolation"] if experiment.model.has_states else []
    return ["3", *five, *six, *rate, *states, "11"]


def _number(figure: str, result: dict) -> str:
    """What a figure says in numbers."""
    if figure == "5":
        values = zip(result["t"], result["total_variation"], result["total_variation_of_truth_halves"], strict=True)
        lines = [f"  t={t}: {model:.3f} ({halves:.3f})" for t, model, halves in values]
        return "\n  total variation of the model from the truth (of two halves of the truth):\n" + "\n".join(lines)
    if figure == "6":
        return f"\n  area under the ROC curve {result['auc']:.3f} over all sequences, {result['auc_of_mean']:.3f} of their mean"
    return ""


def _data(experiment, name: str, data_dir: str, digits_dir: str):
    """The experiment on other data, or with its data elsewhere."""
    data = experiment.data
    digits = dataclasses.replace(data.moving_mnist, digits_dir=digits_dir or data.moving_mnist.digits_dir)
    data = dataclasses.replace(data, name=name or data.name, data_dir=data_dir or data.data_dir, moving_mnist=digits)
    return dataclasses.replace(experiment, data=data)


def _load(experiment, split, frames, batch_size, seed, **own):
    from svg_tf import training

    fixed = {"shuffle": False, "repeat": False, "drop_remainder": False}
    return training.load_data(experiment, split, frames, batch_size=batch_size, seed=seed, **fixed, **own)


def _max_speed(experiment) -> int:
    return experiment.data.moving_mnist.max_speed or max(1, experiment.model.image_size // 16)


def _trajectory(command, experiment, frames: int, wanted) -> tuple[int, list[int]]:
    """The first sequence whose steps of new velocities `wanted` accepts: (its number, those steps)."""
    from svg_tf.evaluation import figures

    variant = experiment.data.moving_mnist.variant
    own = {"num_sequences": 512, "moving": True, "with_states": True}
    states = next(iter(_load(experiment, command.split, frames, 512, command.seed, **own)))
    shows = figures.visible_collisions(states["collisions"].numpy(), variant).any(axis=2)
    for number, row in enumerate(shows):
        steps = [int(t) for t in row.nonzero()[0]]
        if steps and wanted(steps):
            return number, steps
    raise ValueError("None of 512 sequences has a collision where this figure needs one; choose another --seed.")
