"""DCGAN encoder and decoder for 32, 64 and 128 pixels (paper appendix; Radford et al. 2016).

Encoder: 4x4 stride-2 convolutions, each with batch normalization and leaky ReLU, whose results are the skips, down to
4x4; then one 4x4 convolution to g_dim, batch normalization, tanh. The decoder mirrors it; each of its levels is fed
concat(previous, skip). 128 px has one level more (at full width), 32 px (ours, for quick runs) one fewer.
"""

import functools

import keras
from keras import ops

from svg_tf import kernels
from svg_tf.layers import recomputation
from svg_tf.layers.convolution import Conv, ConvBlock, SkipConvBlock, in_a_row
from svg_tf.skip_terms import SkipTerms


def level_widths(image_size: int, width: int) -> list[int]:
    """Channels of the encoder levels, finest first: 64 px -> [1, 2, 4, 8] * width, 128 px one more 8 * width."""
    return {32: [width, 2 * width, 4 * width], 64: [width, 2 * width, 4 * width, 8 * width]}.get(
        image_size, [width, 2 * width, 4 * width, 8 * width, 8 * width]
    )


class DCGANEncoder(keras.layers.Layer):
    """x: float [N, S, S, channels] in [0, 1] -> (h [N, g_dim] in [-1, 1], skips [N, S/2, S/2, .], [N, S/4, S/4, .], ...)."""

    pools = False
    """Whether a stage ends with a pooling, before which the skip is taken."""

    def __init__(self, image_size, channels, width, g_dim, use_bias=False, first_norm=True, **kwargs):
        """first_norm: batch normalization after the first convolution too."""
        super().__init__(**kwargs)
        self.image_size = image_size
        widths = level_widths(image_size, width)
        self.levels = [
            ConvBlock("down", before, after, use_bias=use_bias, normalized=first_norm or i > 0, name=f"level_{i + 1}")
            for i, (before, after) in enumerate(zip([channels, *widths], widths, strict=False))
        ]
        self.head = ConvBlock("valid", widths[-1], g_dim, activation="tanh", use_bias=use_bias, name="head")
        self.built = True

    @property
    def stages(self) -> list[list[ConvBlock]]:
        """The convolutions of each resolution, finest first, the head left out."""
        return [[level] for level in self.levels]

    def call(self, x, norm="running", groups=1, head=None, recompute=False):
        """head: the skips are wanted of the first `head` frames only (None: all). recompute: see `layers.recomputation`."""
        run = recomputation.maybe_recompute(recompute)
        skips = []
        for level in self.levels:
            x = run([level], functools.partial(level, norm=norm, groups=groups), x)
            x, skip = (x, x) if head is None else kernels.split_off_head(x, head)
            skips.append(skip)
        return ops.squeeze(self.head(x, norm=norm, groups=groups), (1, 2)), skips


class DCGANDecoder(keras.layers.Layer):
    """(g [N, g_dim], skips from `skip_terms`, or None) -> frames float [N, S, S, channels] in [0, 1]."""

    def __init__(self, image_size, channels, width, g_dim, use_bias=False, skips=True, out_bias=True, **kwargs):
        """skips: the levels are fed the encoder's maps too. out_bias: of the last convolution."""
        super().__init__(**kwargs)
        widths = level_widths(image_size, width)
        self.head = ConvBlock("expand", g_dim, widths[-1], use_bias=use_bias, name="head")
        coarse_first = widths[::-1]
        self.levels = [
            SkipConvBlock("up", before, before if skips else 0, after, use_bias=use_bias, name=f"level_{i + 1}")
            for i, (before, after) in enumerate(zip(coarse_first, coarse_first[1:], strict=False))
        ]
        self.out = Conv("up", width, channels, use_bias=out_bias, name="out")
        self.out_skip = Conv("up", width, channels, name="out_skip") if skips else None
        self.built = True

    @property
    def stages(self) -> list[list]:
        """What is computed, and recomputed, together, coarsest first, the head left out; the last stage ends with the frame."""
        return [[level, self.out] if level is self.levels[-1] else [level] for level in self.levels]

    def skip_terms(self, maps, rows) -> SkipTerms | None:
        """What the encoder's maps (as it returns them; None: no skips) add to each level, for predictions whose rows use them as
        `rows`, of `layers.skips`, says."""
        if maps is None:
            return None
        convolutions = [*(level.skip_conv for level in self.levels), self.out_skip]
        return SkipTerms(tuple(conv(skip) for conv, skip in zip(convolutions, maps[::-1], strict=True)), rows)

    def call(self, g, skips=None, norm="running", groups=1, recompute=False):
        run, settings = recomputation.maybe_recompute(recompute), {"norm": norm, "groups": groups}
        rows = None if skips is None else skips.rows
        d = self.head(g[:, None, None, :], **settings)
        # The last level's map is the largest: the frame's convolution is recomputed with it, so that it is not kept.
        for i, (level, *end) in enumerate(self.stages):
            term = [] if skips is None else [skips.levels[i]]
            block = functools.partial(in_a_row, [level, *end], rows, settings)
            d = run([level.block, *end], block, d, *term)
        return ops.sigmoid(d if skips is None else skips.add(-1, d))
