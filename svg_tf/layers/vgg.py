"""VGG encoder and decoder for 64 and 128 pixels, (paper appendix; Simonyan & Zisserman 2015).

Encoder: blocks of 3x3 convolutions with batch normalization and leaky ReLU, whose results, before a 2x2 max-pooling,
are the skips; then one 4x4 convolution to g_dim, batch normalization, tanh. Decoder: up-sampling by 2 (nearest),
concat with the skip, a block of 3x3 convolutions; the last convolution gives the frame. 128 px has one more block.
Of maps: three blocks, whose heads are plain 3x3 convolutions.
"""

import functools

import keras
from keras import ops

from svg_tf import kernels
from svg_tf.layers import recomputation
from svg_tf.layers.convolution import Conv, ConvBlock, SkipConvBlock, in_a_row
from svg_tf.skip_terms import SkipTerms


def encoder_blocks(image_size: int, width: int) -> list[list[int]]:
    """Channels of the convolutions of each encoder block, finest first."""
    blocks = [[width] * 2, [2 * width] * 2, [4 * width] * 3, [8 * width] * 3]
    return [*blocks, [8 * width] * 3] if image_size == 128 else blocks


def decoder_blocks(image_size: int, width: int) -> list[list[int]]:
    """Channels of the convolutions of each decoder block, coarsest first; the frame's own convolution follows."""
    blocks = [[8 * width, 8 * width, 4 * width], [4 * width, 4 * width, 2 * width], [2 * width, width], [width]]
    return [[8 * width] * 3, *blocks] if image_size == 128 else blocks


class _Blocks(keras.layers.Layer):
    """The blocks of an encoder; a subclass adds the head."""

    pools = True

    def __init__(self, channels, blocks, use_bias, **kwargs):
        super().__init__(**kwargs)
        self.blocks, before = [], channels
        for i, widths in enumerate(blocks):
            block = []
            for j, after in enumerate(widths):
                block.append(ConvBlock("same", before, after, use_bias=use_bias, name=f"block_{i + 1}_{j + 1}"))
                before = after
            self.blocks.append(block)

    @property
    def stages(self) -> list[list[ConvBlock]]:
        """As of `DCGANEncoder`."""
        return self.blocks

    def maps(self, x, norm, groups, head, recompute):
        """The last block's pooled map, and the skips."""
        run, settings = recomputation.maybe_recompute(recompute), {"norm": norm, "groups": groups}
        skips = []
        for block in self.blocks:
            x, skip = run(block, functools.partial(self._block, block, settings, head, recompute), x)
            skips.append(skip)
        return x, skips

    def _block(self, block, settings, head, copy, x):
        for conv in block:
            x = conv(x, **settings)
        x, skip = (x, x) if head is None else kernels.split_off_head(x, head, copy)
        return ops.max_pool(x, 2, 2), skip


class VGGEncoder(_Blocks):
    """x: float [N, S, S, channels] in [0, 1] -> (h [N, g_dim] in [-1, 1], skips [N, S, S, .], [N, S/2, S/2, .], ...)."""

    def __init__(self, image_size, channels, width, g_dim, use_bias=False, **kwargs):
        blocks = encoder_blocks(image_size, width)
        super().__init__(channels, blocks, use_bias, **kwargs)
        self.image_size = image_size
        self.head = ConvBlock("valid", blocks[-1][-1], g_dim, activation="tanh", use_bias=use_bias, name="head")
        self.built = True

    def call(self, x, norm="running", groups=1, head=None, recompute=False):
        """head: the skips are wanted of the first `head` frames only (None: all). recompute: see `layers.recomputation`."""
        x, skips = self.maps(x, norm, groups, head, recompute)
        return ops.squeeze(self.head(x, norm=norm, groups=groups), (1, 2)), skips


class MapEncoder(_Blocks):
    """x: float [N, H, W, channels] in [0, 1] -> (h [N, H/8, W/8, g_dim], unbounded; skips as of `VGGEncoder`), H and W divisible
    by 8 (Villegas et al. 2019)."""

    def __init__(self, channels, width, g_dim, use_bias=False, **kwargs):
        blocks = encoder_blocks(64, width)[:3]
        super().__init__(channels, blocks, use_bias, **kwargs)
        self.head = Conv("same", blocks[-1][-1], g_dim, use_bias=True, name="head")
        self.built = True

    def call(self, x, norm="running", groups=1, head=None, recompute=False):
        """As of `VGGEncoder`."""
        x, skips = self.maps(x, norm, groups, head, recompute)
        return self.head(x), skips


class _Enlarging(keras.layers.Layer):
    """A decoder of a head, whose result has `before` channels, and blocks."""

    def __init__(self, head, channels, before, blocks, skip_widths, use_bias, skips, out_bias, **kwargs):
        super().__init__(**kwargs)
        self.head = head
        self.first, self.rest = [], []
        for i, (widths, skip_width) in enumerate(zip(blocks, skip_widths, strict=True)):
            skip_inputs = skip_width if skips else 0
            first = SkipConvBlock("enlarged", before, skip_inputs, widths[0], use_bias=use_bias, name=f"block_{i + 1}_1")
            self.first.append(first)
            self.rest.append(
                [
                    ConvBlock("same", a, b, use_bias=use_bias, name=f"block_{i + 1}_{j + 2}")
                    for j, (a, b) in enumerate(zip(widths, widths[1:], strict=False))
                ]
            )
            before = widths[-1]
        self.out = Conv("same", before, channels, use_bias=out_bias, name="out")
        self.built = True

    @property
    def stages(self) -> list[list]:
        """As of `DCGANDecoder`."""
        stages = [[first, *rest] for first, rest in zip(self.first, self.rest, strict=True)]
        return [*stages[:-1], [*stages[-1], self.out]]

    def skip_terms(self, maps, rows) -> SkipTerms | None:
        """What the encoder's maps (as it returns them; None: no skips) add to each block, for predictions whose rows use them as
        `rows`, of `layers.skips`, says."""
        if maps is None:
            return None
        return SkipTerms(tuple(first.skip_conv(skip) for first, skip in zip(self.first, maps[::-1], strict=True)), rows)

    def frames(self, d, skips, norm, groups, recompute):
        """d: the head's result."""
        run, settings = recomputation.maybe_recompute(recompute), {"norm": norm, "groups": groups}
        rows = None if skips is None else skips.rows
        for i, (first, *rest) in enumerate(self.stages):
            term = [] if skips is None else [skips.levels[i]]
            block = functools.partial(in_a_row, [first, *rest], rows, settings)
            d = run([first.block, *rest], block, d, *term)
        return ops.sigmoid(d)


class VGGDecoder(_Enlarging):
    """(g [N, g_dim], skips from `skip_terms`, or None) -> frames float [N, S, S, channels] in [0, 1]."""

    def __init__(self, image_size, channels, width, g_dim, use_bias=False, skips=True, out_bias=True, **kwargs):
        """skips: the blocks are fed the encoder's maps too. out_bias: of the last convolution."""
        widths = [block[-1] for block in encoder_blocks(image_size, width)][::-1]
        blocks = decoder_blocks(image_size, width)
        head = ConvBlock("expand", g_dim, 8 * width, use_bias=use_bias, name="head")
        super().__init__(head, channels, 8 * width, blocks, widths, use_bias, skips, out_bias, **kwargs)

    def call(self, g, skips=None, norm="running", groups=1, recompute=False):
        d = self.head(g[:, None, None, :], norm=norm, groups=groups)
        return self.frames(d, skips, norm, groups, recompute)


class MapDecoder(_Enlarging):
    """(g [N, H/8, W/8, g_dim], skips from `skip_terms`) -> frames float [N, H, W, channels] in [0, 1]."""

    def __init__(self, channels, width, g_dim, use_bias=False, **kwargs):
        widths = [block[-1] for block in encoder_blocks(64, width)[:3]][::-1]
        head = Conv("same", g_dim, 4 * width, use_bias=True, name="head")
        blocks = decoder_blocks(64, width)[1:]
        super().__init__(head, channels, 4 * width, blocks, widths, use_bias, True, True, **kwargs)

    def call(self, g, skips=None, norm="running", groups=1, recompute=False):
        return self.frames(self.head(g), skips, norm, groups, recompute)
