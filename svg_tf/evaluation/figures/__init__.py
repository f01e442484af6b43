"""The paper's figures as functions: model and true sequences in, pictures and the numbers behind them out.

samples      Figs. 3, 4, 9, 10 (truth, deterministic, best and random samples) and 11 (100 steps)
velocity     Fig. 5: how the digit moves, in samples and in truth
uncertainty  Fig. 6: the learned prior's sigma against true collisions
states       SRVP: any frame rate, swapped content, interpolation

Figs. 7 and 8 are `svg_tf.evaluation.comparison`. True states come as arguments. Every function checks its arguments before it
works.
"""

from svg_tf.evaluation.figures.common import publish
from svg_tf.evaluation.figures.samples import sample_figure
from svg_tf.evaluation.figures.states import frame_rate_clips, frame_rate_figure, interpolation_figure, swap_figure
from svg_tf.evaluation.figures.uncertainty import uncertainty_figure, visible_collisions
from svg_tf.evaluation.figures.velocity import velocity_figure

__all__ = [
    "frame_rate_clips",
    "frame_rate_figure",
    "interpolation_figure",
    "publish",
    "sample_figure",
    "swap_figure",
    "uncertainty_figure",
    "velocity_figure",
    "visible_collisions",
]
