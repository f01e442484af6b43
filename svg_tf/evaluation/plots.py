"""Plots by matplotlib, in colors that color-blind readers can tell apart (Okabe and Ito) and with a line style for each."""

import io
import pathlib

import numpy as np

from data_pipelines import files

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#000000", "#56B4E9", "#D55E00", "#F0E442")
STYLES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)), (0, (3, 1)))


def figure(rows: int = 1, columns: int = 1, width: float = 5.0, height: float = 3.5):
    """A figure of its own, apart from pyplot's global state: (figure, axes [rows, columns])."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width * columns, height * rows), layout="constrained")
    FigureCanvasAgg(fig)
    return fig, fig.subplots(rows, columns, squeeze=False)


def save(fig, path) -> pathlib.Path:
    """Writes a figure as PNG, atomically."""
    stream = io.BytesIO()
    fig.savefig(stream, format="png", dpi=120, metadata={"Software": None})
    return files.write(path, stream.getvalue())


def curves(path, panels, n_past: int, horizon: int | None = None) -> pathlib.Path:
    """Figs. 7 and 8: mean and 95 % band of each curve against the time step, one panel for each metric.

    panels: (title, [(label, {"t", "mean", "half_width"})]). horizon: frames of a training sequence, a dotted vertical line.
    """
    fig, axes = figure(1, len(panels))
    labels = list(dict.fromkeys(label for _, lines in panels for label, _ in lines))
    handles = {}
    for ax, (title, lines) in zip(axes[0], panels, strict=True):
        for label, values in lines:
            i = labels.index(label)
            t, mean = np.asarray(values["t"]), np.asarray(values["mean"])
            half = np.array([0.0 if h is None else h for h in values["half_width"]])
            color, style = COLORS[i % len(COLORS)], STYLES[i % len(STYLES)]
            (handles[label],) = ax.plot(t, mean, color=color, linestyle=style, label=label, marker="." if len(t) == 1 else None)
            ax.fill_between(t, mean - half, mean + half, color=color, alpha=0.2, linewidth=0)
        if horizon and horizon > n_past:
            ax.axvline(horizon - 1, color="#666666", linestyle=":", linewidth=1.2)
            ax.annotate("training horizon", (horizon - 1, 1), xycoords=("data", "axes fraction"), rotation=90, fontsize=7,
                        ha="right", va="top", color="#666666")  # fmt: skip
        ax.set_xlabel("time step")
        ax.set_title(title)
        ax.grid(alpha=0.25)
    fig.legend([handles[label] for label in labels], labels, fontsize=8, loc="outside lower center", ncols=min(4, len(labels)))
    return save(fig, path)
