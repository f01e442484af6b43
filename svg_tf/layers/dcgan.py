"""DCGAN encoder and decoder for 32, 64 and 128 pixels (paper appendix; Radford et al. 2016).

Encoder: 4x4 stride-2 convolutions, each with batch normalisation and leaky ReLU, whose results are the skips, down to
4x4; then one 4x4 convolution to g_dim, batch normalisation, tanh. The decoder mirrors it; each of its levels is fed
concat(previous, skip). 128 px has one level more (at full width), 32 px (ours, for quick runs) one fewer.
"""

import functools

import keras
from keras import ops

from svg_tf import kernels
from svg_tf.layers import recomputation
from svg_tf.layers.convolution import Conv, ConvBlock, SkipConvBlock, block_maps, with_term


def level_widths(image_size: int, width: int) -> list[int]:
    """Channels of the encoder levels, finest first: 64 px -> [1, 2, 4, 8] * width, 128 px one more 8 * width."""
    return {32: [width, 2 * width, 4 * width], 64: [width, 2 * width, 4 * width, 8 * width]}.get(
        image_size, [width, 2 * width, 4 * width, 8 * width, 8 * width]
    )


class DCGANEncoder(keras.layers.Layer):
    """x: float [N, S, S, channels] in [0, 1] -> (h [N, g_dim] in [-1, 1], skips [N, S/2, S/2, .], [N, S/4, S/4, .], ...)."""

    def __init__(self, image_size, channels, width, g_dim, use_bias=False, first_norm=True, **kwargs):
        """first_norm: batch normalisation after the first convolution too."""
        super().__init__(**kwargs)
        self.image_size = image_size
        widths = level_widths(image_size, width)
        self.levels = [
            ConvBlock("down", before, after, use_bias=use_bias, normalised=first_norm or i > 0, name=f"level_{i + 1}")
            for i, (before, after) in enumerate(zip([channels, *widths], widths, strict=False))
        ]
        self.head = ConvBlock("valid", widths[-1], g_dim, activation="tanh", use_bias=use_bias, name="head")
        self.recompute = False
        self.built = True

    def call(self, x, norm="running", groups=1, head=None):
        """head: the skips are wanted of the first `head` frames only (None: all)."""
        run, skips = recomputation.choose(self.recompute and norm == "train"), []
        for level in self.levels:
            x = run([level], functools.partial(level, norm=norm, groups=groups), x)
            x, skip = (x, x) if head is None else kernels.with_head(x, head)
            skips.append(skip)
        return ops.squeeze(self.head(x, norm=norm, groups=groups), (1, 2)), skips

    def maps(self) -> list[list[tuple[str, int]]]:
        """What the backward pass needs: the maps of each block (as recomputed), the last being its result; see `block_maps`."""
        sizes = [self.image_size >> i for i in range(len(self.levels))]
        levels = [block_maps(b.name, b, s) for b, s in zip(self.levels, sizes, strict=True)]
        return [*levels, block_maps("head", self.head, 4)]

    def multiply_adds(self) -> int:
        """Multiply-adds of one frame's convolutions."""
        sizes = [self.image_size >> i for i in range(len(self.levels))]
        return sum(b.conv.multiply_adds(s) for b, s in zip(self.levels, sizes, strict=True)) + self.head.conv.multiply_adds(4)


class DCGANDecoder(keras.layers.Layer):
    """(g [N, g_dim], terms from `skip_terms`) -> frames float [N, S, S, channels] in [0, 1]."""

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
        self.recompute = False
        self.built = True

    def skip_terms(self, skips):
        """What the encoder's maps add to each level: skips as the encoder returns them -> list, coarsest first.

        skips None: a list of None, for a decoder without skips.
        """
        if skips is None:
            return [None] * (len(self.levels) + 1)
        coarse_first = skips[::-1]
        return [level.skip_term(skip) for level, skip in zip(self.levels, coarse_first, strict=False)] + [
            self.out_skip(coarse_first[-1])
        ]

    def call(self, g, terms, combine, norm="running", groups=1):
        """combine(y, term): adds `term` (computed for the distinct skip frames) to the frames y that use it."""
        run, settings = recomputation.choose(self.recompute and norm == "train"), {"norm": norm, "groups": groups}
        d = self.head(g[:, None, None, :], **settings)
        *levels, last = self.levels
        for level, term in zip(levels, terms, strict=False):
            d = run([level.block], functools.partial(level.apply, combine, settings), d, *with_term(term))
        # The last level's map is the largest: the frame's convolution is recomputed with it, so that it is not kept.
        y = run([last.block, self.out], functools.partial(self._end, combine, settings), d, *with_term(terms[-2]))
        return ops.sigmoid(y if terms[-1] is None else combine(y, terms[-1]))

    def _end(self, combine, settings, d, *term):
        return self.out(self.levels[-1].apply(combine, settings, d, *term))

    def maps(self) -> list[list[tuple[str, int]]]:
        """As the encoder's; the last block's result is the frame."""
        blocks = [block_maps("head", self.head, 1)]
        for i, level in enumerate(self.levels):
            blocks.append(block_maps(level.name, level.block, 4 << i))
        blocks[-1].append(("frame", self.out.map_size(4 << len(self.levels))))
        return blocks

    def term_sizes(self) -> list[int]:
        """Elements of each block's skip term for one frame, in the order of `maps`; 0: none, or nothing is kept of it."""
        sizes = [level.block.conv.map_size(4 << i) if self.out_skip else 0 for i, level in enumerate(self.levels)]
        return [0, *sizes]

    def multiply_adds(self) -> tuple[int, int]:
        """Multiply-adds of one frame's convolutions: (from g, the skip half)."""
        sizes = [4 << i for i in range(len(self.levels) + 1)]
        main = [level.block.conv for level in self.levels] + [self.out]
        skip = [level.skip_conv for level in self.levels] + [self.out_skip] if self.out_skip else []
        return (
            self.head.conv.multiply_adds(1) + sum(c.multiply_adds(s) for c, s in zip(main, sizes, strict=True)),
            sum(c.multiply_adds(s) for c, s in zip(skip, sizes, strict=False)),
        )
