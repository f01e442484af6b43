"""VGG encoder and decoder for 64 and 128 pixels (paper appendix; Simonyan & Zisserman 2015).

Encoder: blocks of 3x3 convolutions with batch normalisation and leaky ReLU, whose results, before a 2x2 max-pooling,
are the skips; then one 4x4 convolution to g_dim, batch normalisation, tanh. Decoder: up-sampling by 2 (nearest),
concat with the skip, a block of 3x3 convolutions; the last convolution gives the frame. 128 px has one more block.
"""

import functools

import keras
from keras import ops

from svg_tf import kernels
from svg_tf.layers import recomputation
from svg_tf.layers.convolution import Conv, ConvBlock, SkipConvBlock, block_maps, with_term


def encoder_blocks(image_size: int, width: int) -> list[list[int]]:
    """Channels of the convolutions of each encoder block, finest first."""
    blocks = [[width] * 2, [2 * width] * 2, [4 * width] * 3, [8 * width] * 3]
    return blocks + [[8 * width] * 3] * (image_size == 128)


def decoder_blocks(image_size: int, width: int) -> list[list[int]]:
    """Channels of the convolutions of each decoder block, coarsest first; the frame's own convolution follows."""
    blocks = [[8 * width, 8 * width, 4 * width], [4 * width, 4 * width, 2 * width], [2 * width, width], [width]]
    return [[8 * width] * 3] * (image_size == 128) + blocks


class VGGEncoder(keras.layers.Layer):
    """x: float [N, S, S, channels] in [0, 1] -> (h [N, g_dim] in [-1, 1], skips [N, S, S, .], [N, S/2, S/2, .], ...)."""

    def __init__(self, image_size, channels, width, g_dim, use_bias=False, **kwargs):
        super().__init__(**kwargs)
        self.image_size = image_size
        self.blocks, before = [], channels
        for i, widths in enumerate(encoder_blocks(image_size, width)):
            block = []
            for j, after in enumerate(widths):
                block.append(ConvBlock("same", before, after, use_bias=use_bias, name=f"block_{i + 1}_{j + 1}"))
                before = after
            self.blocks.append(block)
        self.head = ConvBlock("valid", before, g_dim, activation="tanh", use_bias=use_bias, name="head")
        self.recompute = False
        self.built = True

    def call(self, x, norm="running", groups=1, head=None):
        """head: the skips are wanted of the first `head` frames only (None: all)."""
        recompute, skips = self.recompute and norm == "train", []
        run, settings = recomputation.choose(recompute), {"norm": norm, "groups": groups}
        for block in self.blocks:
            x, skip = run(block, functools.partial(self._block, block, settings, head, recompute), x)
            skips.append(skip)
        return ops.squeeze(self.head(x, norm=norm, groups=groups), (1, 2)), skips

    def _block(self, block, settings, head, copy, x):
        for conv in block:
            x = conv(x, **settings)
        x, skip = (x, x) if head is None else kernels.with_head(x, head, copy)
        return ops.max_pool(x, 2, 2), skip

    def maps(self) -> list[list[tuple[str, int]]]:
        """What the backward pass needs: the maps of each block (as recomputed), the last being its result; see `block_maps`."""
        blocks = []
        for i, convs in enumerate(self.blocks):
            size = self.image_size >> i
            maps = [m for conv in convs for m in block_maps(conv.name, conv, size)]
            blocks.append([*maps, (f"block_{i + 1} pooled", maps[-1][1] // 4)])
        return [*blocks, block_maps("head", self.head, 4)]

    def multiply_adds(self) -> int:
        """Multiply-adds of one frame's convolutions."""
        convs = [(conv.conv, self.image_size >> i) for i, block in enumerate(self.blocks) for conv in block]
        return sum(conv.multiply_adds(size) for conv, size in convs) + self.head.conv.multiply_adds(4)


class VGGDecoder(keras.layers.Layer):
    """(g [N, g_dim], terms from `skip_terms`) -> frames float [N, S, S, channels] in [0, 1]."""

    def __init__(self, image_size, channels, width, g_dim, use_bias=False, skips=True, out_bias=True, **kwargs):
        """skips: the blocks are fed the encoder's maps too. out_bias: of the last convolution."""
        super().__init__(**kwargs)
        before = 8 * width
        self.head = ConvBlock("expand", g_dim, before, use_bias=use_bias, name="head")
        skip_widths = [block[-1] for block in encoder_blocks(image_size, width)][::-1]
        self.first, self.rest = [], []
        for i, (widths, skip_width) in enumerate(zip(decoder_blocks(image_size, width), skip_widths, strict=True)):
            skip_width *= skips
            first = SkipConvBlock("enlarged", before, skip_width, widths[0], use_bias=use_bias, name=f"block_{i + 1}_1")
            self.first.append(first)
            self.rest.append(
                [
                    ConvBlock("same", a, b, use_bias=use_bias, name=f"block_{i + 1}_{j + 2}")
                    for j, (a, b) in enumerate(zip(widths, widths[1:], strict=False))
                ]
            )
            before = widths[-1]
        self.out = Conv("same", before, channels, use_bias=out_bias, name="out")
        self.recompute = False
        self.built = True

    def skip_terms(self, skips):
        """What the encoder's maps add to each block: skips as the encoder returns them -> list, coarsest first.

        skips None: a list of None, for a decoder without skips.
        """
        if skips is None:
            return [None] * len(self.first)
        return [block.skip_term(skip) for block, skip in zip(self.first, skips[::-1], strict=True)]

    def call(self, g, terms, combine, norm="running", groups=1):
        """combine(y, term): adds `term` (computed for the distinct skip frames) to the frames y that use it."""
        run, settings = recomputation.choose(self.recompute and norm == "train"), {"norm": norm, "groups": groups}
        d = self.head(g[:, None, None, :], **settings)
        for first, rest, term in zip(self.first, self.rest, terms, strict=True):
            end = [self.out] if first is self.first[-1] else []
            block = functools.partial(self._block, first, [*rest, *end], combine, settings)
            d = run([first.block, *rest, *end], block, d, *with_term(term))
        return ops.sigmoid(d)

    def _block(self, first, rest, combine, settings, d, *term):
        d = first.apply(combine, settings, d, *term)
        for layer in rest:
            d = layer(d) if layer is self.out else layer(d, **settings)
        return d

    def maps(self) -> list[list[tuple[str, int]]]:
        """As the encoder's; the last block's result is the frame."""
        blocks = [block_maps("head", self.head, 1)]
        for i, (first, rest) in enumerate(zip(self.first, self.rest, strict=True)):
            maps = block_maps(first.name, first.block, 4 << i)
            blocks.append(maps + [m for conv in rest for m in block_maps(conv.name, conv, 8 << i)])
        blocks[-1].append(("frame", self.out.map_size(8 << i)))
        return blocks

    def term_sizes(self) -> list[int]:
        """Elements of each block's skip term for one frame, in the order of `maps`; 0: none."""
        sizes = [first.skip_conv.map_size(8 << i) if first.skip_conv else 0 for i, first in enumerate(self.first)]
        return [0, *sizes]

    def multiply_adds(self) -> tuple[int, int]:
        """Multiply-adds of one frame's convolutions: (from g, the skip half)."""
        main, skip = self.head.conv.multiply_adds(1), 0
        for i, (first, rest) in enumerate(zip(self.first, self.rest, strict=True)):
            size = 8 << i
            main += first.block.conv.multiply_adds(size // 2) + sum(c.conv.multiply_adds(size) for c in rest)
            skip += first.skip_conv.multiply_adds(size) if first.skip_conv else 0
        return main + self.out.multiply_adds(size), skip
