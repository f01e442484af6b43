"""Costs of the backbones, walked from the frame to the code and back by the shapes of their kernels.

What the backward pass needs of a block:
  - of each normalized convolution its result, which the normalization's gradient needs (where the normalization is by groups or
    synchronized: the centered maps, float32), and the activation's result, from which the gradient of a leaky ReLU or tanh
    follows and which is the next convolution's input. Nothing is kept between normalization and activation;
  - VGG: the pooled maps, the next convolutions' inputs (no up-sampled map exists).
Skips share the memory of the encoder's maps. With recomputation: of each block its input, and the skip terms that it is given;
the skips of a backbone that pools are then copies. The heads, which are small, are not recomputed.
"""

import math
from typing import NamedTuple

from svg_tf.families.cost import Stage
from svg_tf.layers.convolution import Conv, ConvBlock, SkipConvBlock


class Map(NamedTuple):
    """A map that is kept; elements: of one frame; centered: the normalization keeps it."""

    name: str
    elements: int
    centered: bool = False


class Block(NamedTuple):
    """What is recomputed together: its maps, of which the last is its result, and the elements of the skip term it is given."""

    maps: list[Map]
    term: int = 0
    whole: bool = False
    """It is never recomputed."""


class Arithmetic(NamedTuple):
    """Multiply-adds of one frame: from the code, and the skip half."""

    main: int
    skip: int


def side_after(conv: Conv, side: int) -> int:
    """Pixels a side of the result for a map of `side`."""
    return {"down": side // 2, "up": 2 * side, "same": side, "enlarged": 2 * side, "valid": 1, "expand": 4}[conv.kind]


def map_size(conv: Conv, side: int) -> int:
    """Elements of the result for a map of `side` pixels a side."""
    return side_after(conv, side) ** 2 * conv.outputs


def multiply_adds(conv: Conv, side: int) -> int:
    """Of a direct convolution without its bias: the kernel once at each place, which for a transposed one is its input's."""
    places = side if conv.kind in ("up", "expand") else side_after(conv, side)
    return places**2 * math.prod(conv.kernel.shape)


def _skip_side(level: SkipConvBlock, side: int) -> int:
    """Pixels a side of the skip of a level whose input has `side`: both halves have results of one size."""
    return side_after(level.block.conv, side) if level.skip_conv.kind == "same" else side


def encoder_multiply_adds(encoder) -> int:
    total = multiply_adds(encoder.head.conv, 4)
    for i, stage in enumerate(encoder.stages):
        total += sum(multiply_adds(block.conv, encoder.image_size >> i) for block in stage)
    return total


def decoder_multiply_adds(decoder) -> Arithmetic:
    main, skip, side = multiply_adds(decoder.head.conv, 1), 0, 4
    for stage in decoder.stages:
        for layer in stage:
            if isinstance(layer, SkipConvBlock) and layer.skip_conv is not None:
                skip += multiply_adds(layer.skip_conv, _skip_side(layer, side))
            conv = _convolution(layer)
            out_skip = getattr(decoder, "out_skip", None) if layer is decoder.out else None
            skip += multiply_adds(out_skip, side) if out_skip is not None else 0
            main += multiply_adds(conv, side)
            side = side_after(conv, side)
    return Arithmetic(main, skip)


def _convolution(layer) -> Conv:
    if isinstance(layer, SkipConvBlock):
        return layer.block.conv
    return layer.conv if isinstance(layer, ConvBlock) else layer


def _maps_of(name: str, block: ConvBlock, side: int) -> list[Map]:
    size = map_size(block.conv, side)
    result = Map(f"{name} activation", size)
    return [result] if block.norm is None else [Map(f"{name} convolution", size, centered=True), result]


def encoder_blocks(encoder) -> list[Block]:
    blocks = []
    for i, stage in enumerate(encoder.stages):
        maps = [m for block in stage for m in _maps_of(block.name, block, encoder.image_size >> i)]
        if encoder.pools:
            maps.append(Map(f"block_{i + 1} pooled", maps[-1].elements // 4))
        blocks.append(Block(maps))
    return [*blocks, Block(_maps_of("head", encoder.head, 4), whole=True)]


def decoder_blocks(decoder) -> list[Block]:
    """The last block's result is the frame."""
    blocks, side = [Block(_maps_of("head", decoder.head, 1), whole=True)], 4
    for stage in decoder.stages:
        maps, term = [], 0
        for layer in stage:
            if layer is decoder.out:
                maps.append(Map("frame", map_size(layer, side)))
            else:
                maps += _maps_of(layer.name, layer.block if isinstance(layer, SkipConvBlock) else layer, side)
            if isinstance(layer, SkipConvBlock) and layer.skip_conv is not None:
                term = map_size(layer.skip_conv, _skip_side(layer, side))
            side = side_after(_convolution(layer), side)
        blocks.append(Block(maps, term))
    return blocks


class Widths(NamedTuple):
    """Bytes of a number: of maps in the compute dtype, and of what a normalization keeps."""

    maps: int
    centered: int


def stages(part: str, blocks: list[Block], frames: int, term_frames: int, widths: Widths, recompute: bool) -> list[Stage]:
    """Of the backbone `part` for `frames` frames, of which `term_frames` have skip terms of their own."""
    found = []
    for block in blocks:
        sizes = {m.name: m.elements * frames * (widths.centered if m.centered else widths.maps) for m in block.maps}
        last = block.maps[-1].name
        kept = {f"{part} {name}": size for name, size in sizes.items()}
        again = 0
        if recompute and not block.whole:
            again = sum(sizes.values()) - sizes[last]
            term = block.term * term_frames * widths.maps
            kept = {f"{part} {last}": sizes[last], f"{part} term of {last}": term}
        found.append(Stage(kept, again, 3 * max(sizes.values())))
    return found


def copied_skips(encoder, frames: int, width: int) -> Stage:
    """What recomputation copies of the skips of `frames` frames: those before a pooling, which are no block's result."""
    elements = sum(block.maps[-2].elements for block in encoder_blocks(encoder)[:-1]) if encoder.pools else 0
    return Stage({"copied skips": elements * frames * width})
