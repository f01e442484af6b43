"""The one place where pixels change scale or size: uint8 [0, 255] <-> float32 [0, 1].

Division by 255 is exact to the last bit, so that `to_uint8(to_float(x))` equals x for every uint8 x, and training,
evaluation and exported models that call these functions see the same numbers.
"""

import tensorflow as tf

from data_pipelines import checks

MAX_IMAGE_SIZE = 4096
_METHODS = ("bilinear", "bicubic", "area")


def to_float(pixels):
    """uint8 pixels [...] -> float32 [...] in [0, 1]."""
    pixels = tf.convert_to_tensor(pixels)
    if pixels.dtype != tf.uint8:
        raise ValueError(f"Pixels must be uint8, got {pixels.dtype.name}.")
    return tf.cast(pixels, tf.float32) / 255.0


def layers_to_float(layers):
    """The sum of uint8 images [...] (a list), clipped to white -> float32 [...] in [0, 1]. One image: `to_float`."""
    if len(layers) == 1:
        return to_float(layers[0])
    total = tf.add_n([tf.cast(layer, tf.float32) for layer in layers])  # faster than in small integers; exact below 2**24
    return tf.minimum(total / 255.0, 1.0)


def to_uint8(pixels):
    """Float pixels [...] in [0, 1] -> uint8 [...], rounded to the nearest level; values outside are clipped."""
    pixels = tf.convert_to_tensor(pixels)
    if not pixels.dtype.is_floating:
        raise ValueError(f"Pixels must be floats in [0, 1], got {pixels.dtype.name}.")
    return tf.cast(tf.round(tf.clip_by_value(tf.cast(pixels, tf.float32), 0.0, 1.0) * 255.0), tf.uint8)


def resize(images, height, width, method="bilinear"):
    """Resamples uint8 images, anti-aliased where they shrink (as Pillow does).

    Args:
      images: uint8 [N, h, w, C].
      height, width: pixels, 1 to 4096.
      method: "bilinear", "bicubic" or "area".

    Returns: uint8 [N, height, width, C].
    Raises: ValueError for another dtype or rank, a size out of range or an unknown method.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype != tf.uint8 or images.shape.rank != 4:
        raise ValueError(f"Images must be uint8 [N, h, w, C], got {images.dtype.name} {images.shape}.")
    height, width = checks.integer("height", height, 1, MAX_IMAGE_SIZE), checks.integer("width", width, 1, MAX_IMAGE_SIZE)
    checks.one_of("method", method, _METHODS)
    if images.shape[1:3] == (height, width):
        return images
    # Anti-aliasing changes nothing where images grow, and its kernel is several times slower.
    shrinks = images.shape[1] is None or height < images.shape[1] or width < images.shape[2]
    resized = tf.image.resize(images, [height, width], method=method, antialias=shrinks and method != "area")
    return tf.cast(tf.round(tf.clip_by_value(resized, 0.0, 255.0)), tf.uint8)
