"""What an evaluation measures."""

from dataclasses import dataclass

from data_pipelines.checks import integer, one_of
from svg_tf import protocols
from svg_tf.evaluation import fvd as fvd_scores
from svg_tf.evaluation.metrics import frame


@dataclass(frozen=True)
class Options:
    """What is measured; every field but `random_shown` and `fps` changes the numbers and stands in the report."""

    n_past: int = 5
    n_future: int = 25
    n_samples: int = 100
    protocol: protocols.SSIM = "srvp"
    """SSIM's definition, see `svg_tf.evaluation.metrics.frame`."""
    seed: int = 0
    sequences: int | None = None
    """Sequences evaluated, the first ones of the data; None: all."""
    batch_statistics: bool = False
    """Normalize generation by the statistics of each chunk, as the reference's SVG-LP program does."""
    lpips: str | None = None
    """.npz file of LPIPS weights (svg-tf import-lpips); without it there is no LPIPS."""
    lpips_sha256: str | None = None
    fvd: str | None = None
    """Folder of the I3D network (svg-tf import-i3d, or a SavedModel); without it there is no FVD."""
    fvd_sha256: str | None = None
    fvd_convention: protocols.FVD | None = None
    """Which frames FVD compares and in how many draws, see `svg_tf.evaluation.fvd`; None: srvp for the protocol srvp, else
    predicted."""
    fvd_draws: int | None = None
    """Samples of each sequence for so many values of FVD, with an interval; None: as the convention says."""
    fvd_resize: protocols.Resize | None = None
    """How FVD enlarges frames; None: as usual for the network's weights."""
    random_shown: int = 3
    """Randomly chosen sequences shown as GIFs, besides the best and the worst one."""
    fps: int = 6

    def __post_init__(self):
        for name, low, high in (("n_past", 1, None), ("n_future", 1, None), ("n_samples", 1, None), ("random_shown", 0, None),
                                ("seed", 0, 2**31 - 1), ("fps", 1, 50)):  # fmt: skip
            integer(name, getattr(self, name), low, high)
        for name, high in (("sequences", None), ("fvd_draws", fvd_scores.MAX_DRAWS)):
            if getattr(self, name) is not None:
                integer(name, getattr(self, name), 1, high)
        one_of("protocol", self.protocol, frame.PROTOCOLS)
        if self.fvd_convention is not None:
            one_of("fvd_convention", self.fvd_convention, fvd_scores.CONVENTIONS)
