"""How much memory a request takes, from the graph that answers it."""

import math

import tensorflow as tf

from svg_tf.serving.limits import Footprint

LIVE_MAPS = 4  # what a convolution reads, writes and works with, and a skip term (measured: VGG at 64 pixels, 128 samples)
LIVE_FRAMES = 4  # as they come from the loop, stacked, transposed, and rounded


def of(graph: tf.Graph, frame_shape: tuple[int, int, int]) -> Footprint:
    """Bytes that `graph`, which takes any number of frames and samples, holds at a time for each of them.

    The largest map is looked for among the floats whose first dimension (of frames or samples) is not known: all are
    computed for all frames, or all samples, together.
    """
    definition = graph.as_graph_def(add_shapes=True)
    nodes = [*definition.node, *(node for function in definition.library.function for node in function.node_def)]
    largest = max((size for node in nodes for size in _sizes(node)), default=0)
    frame = 4 * math.prod(frame_shape)
    return Footprint(LIVE_MAPS * max(largest, frame), LIVE_FRAMES * frame)


def _sizes(node) -> list[int]:
    """Bytes for each frame of the float tensors that a node gives."""
    kind = tf.as_dtype(node.attr["T"].type or tf.int32.as_datatype_enum)
    if not kind.is_floating:
        return []
    shapes = (tf.TensorShape(shape) for shape in node.attr["_output_shapes"].list.shape)
    known = [shape.as_list() for shape in shapes if shape.rank and shape.rank > 1 and shape[0] is None]
    return [kind.size * math.prod(size for size in shape if size is not None) for shape in known]
