"""The papers' figures: model and true sequences in, pictures and the numbers behind them out.

samples      Figs. 3, 4, 10 (truth, deterministic, best and random samples) and 11 (100 steps)
beside       Fig. 9: samples of several models under one truth
velocity     Fig. 5: how the digit moves, in samples and in truth
uncertainty  Fig. 6: the learned prior's sigma against true collisions
frame_rates  frames between frames
keypoints    what stands for a frame, and where it goes, over truth and samples

Each is a function that checks its arguments before it works, and a `Figure`, by which the command line draws it from a run.
`of(model)` gives those of a model, its family's own ones included. Figs. 7 and 8 are `svg_tf.evaluation.comparison`.
"""

from svg_tf import families
from svg_tf.evaluation.figures import beside, samples, uncertainty, velocity
from svg_tf.evaluation.figures.beside import beside_figure
from svg_tf.evaluation.figures.common import publish
from svg_tf.evaluation.figures.figure import Figure, Setting
from svg_tf.evaluation.figures.frame_rates import frame_rate_clips
from svg_tf.evaluation.figures.keypoints import keypoint_figure
from svg_tf.evaluation.figures.moving_digits import visible_collisions
from svg_tf.evaluation.figures.samples import sample_figure
from svg_tf.evaluation.figures.uncertainty import uncertainty_figure
from svg_tf.evaluation.figures.velocity import velocity_figure

FIGURES = (samples.FIGURE_3, velocity.FIGURE, uncertainty.FIGURE, beside.FIGURE, samples.FIGURE_11)
"""Those that any family may have."""

__all__ = [
    "FIGURES",
    "Figure",
    "Setting",
    "beside_figure",
    "frame_rate_clips",
    "keypoint_figure",
    "of",
    "publish",
    "sample_figure",
    "uncertainty_figure",
    "velocity_figure",
    "visible_collisions",
]


def of(model) -> dict[str, Figure]:
    """Name -> figure, of all that this model's family has. Raises `ValueError` where a family takes a name that is taken."""
    own = families.get(model.config.family).load("figures") or ()
    found: dict[str, Figure] = {}
    for figure in (*FIGURES, *own):
        if figure.name in found:
            raise ValueError(f"Family {model.config.family!r} has a figure that is there already: {figure.name!r}.")
        found[figure.name] = figure
    return found
