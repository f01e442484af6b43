"""Names of the papers' definitions of measurements, each said once. Standard library only."""

from typing import Literal

SSIM = Literal["srvp", "svg"]
"""Windows and filters of SSIM, see `svg_tf.evaluation.metrics.frame`."""
FVD = Literal["srvp", "predicted"]
"""Which frames FVD compares, in how many draws, see `svg_tf.evaluation.fvd`."""
Resize = Literal["tf1", "half_pixel"]
"""How FVD enlarges frames."""
Motion = Literal["reference", "srvp"]
"""Physics of Moving MNIST."""
