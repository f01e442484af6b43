"""Frames to tiles: animated grids, filmstrips, and their GIF and PNG encodings. NumPy and Pillow only.

True frames (the context, and the truth) have a thin dashed border, predicted frames a thick solid one, and each animation
step is labelled "context t=3" or "predicted t=9": nothing has to be read from a color.
"""

import io
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from data_pipelines import files

Row = tuple[str, np.ndarray]

TRUE_COLOR, PREDICTED_COLOR = (0, 114, 178), (230, 159, 0)  # Okabe and Ito's blue and orange
TRUTH = "truth"  # rows whose label starts so hold true frames at every step
_BORDER, _GAP, _TEXT_HEIGHT = 3, 2, 13
_BACKGROUND, _INK = 255, (0, 0, 0)
_MAX_BYTES = 1 << 30


def to_uint8(frames, what: str = "frames") -> np.ndarray:
    """float in [0, 1] or uint8 [..., H, W, 1 or 3] -> uint8 [..., H, W, 3]. Raises `ValueError` for anything else."""
    frames = np.asarray(frames)
    if frames.ndim < 3 or frames.shape[-1] not in (1, 3) or frames.size == 0:
        raise ValueError(f"{what} must be a non-empty [..., H, W, 1 or 3], got shape {frames.shape}.")
    if frames.dtype.kind == "f":
        low, high = float(frames.min()), float(frames.max())
        if not (low >= 0.0 and high <= 1.0):  # also catches NaN
            raise ValueError(f"{what} of floats must be in [0, 1], got values in [{low:g}, {high:g}].")
        frames = np.round(frames * 255.0).astype(np.uint8)
    if frames.dtype != np.uint8:
        raise ValueError(f"{what} must be uint8, or float in [0, 1], got {frames.dtype}.")
    return np.broadcast_to(frames, (*frames.shape[:-1], 3))


def grid(clips: Sequence[Sequence[Row]], n_past: int, scale: int | None = None) -> np.ndarray:
    """An animation of several clips side by side, each a column of rows such as truth, best and random samples.

    Args:
      clips: for each clip its rows (label, frames [T, H, W, 1 or 3], uint8 or float in [0, 1]); all frames of one size and
        length, all clips with as many rows. The labels of the first clip are drawn.
      n_past: the first n_past steps are context; in [0, T].
      scale: integer enlargement; None: what brings a frame to at least 64 pixels.

    Returns: uint8 [T, height, width, 3].
    """
    arrays = [_checked_rows(rows, n_past, f"clip {i}") for i, rows in enumerate(clips)]
    if not arrays:
        raise ValueError("grid needs at least one clip.")
    labels = [label for label, _ in clips[0]]
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1:
        raise ValueError(f"All clips must have as many rows and frames of one size, got shapes {sorted(shapes)}.")
    steps, height, width = arrays[0].shape[1:4]
    scale = _scale(scale, height)
    cell_h, cell_w = height * scale + 2 * _BORDER + _GAP, width * scale + 2 * _BORDER + _GAP
    left = _text_width(labels) + 2 * _GAP
    total_h = _even(_TEXT_HEIGHT + len(labels) * cell_h)
    total_w = _even(max(left + len(arrays) * cell_w, _text_width([f"predicted t={steps}"]) + 2 * _GAP))
    _check_size(steps * total_h * total_w * 3)
    out = np.full((steps, total_h, total_w, 3), _BACKGROUND, np.uint8)
    margin = _row_labels(labels, left, cell_h)
    out[:, _TEXT_HEIGHT : _TEXT_HEIGHT + margin.shape[0], :left] = margin
    for t in range(steps):
        title = f"context t={t}" if t < n_past else f"predicted t={t}"
        out[t, :_TEXT_HEIGHT] = _text(title, total_w, _TEXT_HEIGHT)
        for column, clip in enumerate(arrays):
            for row, label in enumerate(labels):
                tile = _bordered(clip[row, t], scale, t >= n_past and not label.startswith(TRUTH))
                y, x = _TEXT_HEIGHT + row * cell_h, left + column * cell_w
                out[t, y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return out


def filmstrip(rows: Sequence[Row], n_past: int, steps: Sequence[int] | None = None, scale: int | None = None) -> np.ndarray:
    """A still picture: one line of frames for each row, time from left to right.

    rows, n_past, scale: as one clip of `grid`. steps: the time steps shown (None: all). A vertical bar stands between
    context and predicted steps. Returns uint8 [height, width, 3].
    """
    array = _checked_rows(rows, n_past, "rows")
    labels = [label for label, _ in rows]
    total, height, width = array.shape[1:4]
    steps = list(range(total)) if steps is None else [int(t) for t in steps]
    if not steps or min(steps) < 0 or max(steps) >= total or sorted(set(steps)) != steps:
        raise ValueError(f"steps must be ascending time steps in [0, {total}), got {steps}.")
    scale = _scale(scale, height)
    cell_h, cell_w = height * scale + 2 * _BORDER + _GAP, width * scale + 2 * _BORDER + _GAP
    left, bar = _text_width(labels) + 2 * _GAP, 6
    total_h, total_w = 2 * _TEXT_HEIGHT + len(rows) * cell_h, left + len(steps) * cell_w + bar
    _check_size(total_h * total_w * 3)
    out = np.full((total_h, total_w, 3), _BACKGROUND, np.uint8)
    out[2 * _TEXT_HEIGHT :, :left] = _row_labels(labels, left, cell_h)
    starts = [left + i * cell_w + (bar if t >= n_past else 0) for i, t in enumerate(steps)]
    for kind, chosen in (("context", [x for x, t in zip(starts, steps, strict=True) if t < n_past]),
                         ("predicted", [x for x, t in zip(starts, steps, strict=True) if t >= n_past])):  # fmt: skip
        if chosen:
            space = total_w - chosen[0] if kind == "predicted" else chosen[-1] + cell_w - chosen[0]
            out[:_TEXT_HEIGHT, chosen[0] : chosen[0] + space] = _text(kind, space, _TEXT_HEIGHT)
    for x, t in zip(starts, steps, strict=True):
        out[_TEXT_HEIGHT : 2 * _TEXT_HEIGHT, x : x + cell_w] = _text(f"t={t}", cell_w, _TEXT_HEIGHT)
        for row, label in enumerate(labels):
            tile = _bordered(array[row, t], scale, t >= n_past and not label.startswith(TRUTH))
            y = 2 * _TEXT_HEIGHT + row * cell_h
            out[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    first_predicted = next((x for x, t in zip(starts, steps, strict=True) if t >= n_past), None)
    if first_predicted is not None and steps[0] < n_past:
        out[_TEXT_HEIGHT:, first_predicted - bar + 1 : first_predicted - bar + 4] = 0
    return out


def encode_gif(frames, fps: float = 6.0) -> bytes:
    """frames: uint8 [T, H, W, 3] (or as `to_uint8` takes) -> an endlessly repeating GIF of T frames.

    fps: in (0, 50]; GIF counts time in hundredths of a second, and viewers slow anything above 50 down. Equal neighbours
    are merged into one frame shown for as long. Each frame has its own palette of 256 colors.
    """
    frames = to_uint8(frames)
    if frames.ndim != 4:
        raise ValueError(f"frames must be [T, H, W, 1 or 3], got shape {frames.shape}.")
    if not 0 < fps <= 50:
        raise ValueError(f"fps must be in (0, 50], got {fps!r}.")
    if max(frames.shape[1:3]) > 65535:
        raise ValueError(f"A GIF is at most 65535 pixels wide and high, got {frames.shape[2]} x {frames.shape[1]}.")
    _check_size(frames.size)
    images = [Image.fromarray(np.ascontiguousarray(f)) for f in frames]
    images = [image.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE) for image in images]
    stream = io.BytesIO()
    duration = max(20, round(100 / fps) * 10)
    images[0].save(stream, "GIF", save_all=True, append_images=images[1:], duration=duration, loop=0, disposal=1)
    return stream.getvalue()


def save_gif(path, frames, fps: float = 6.0) -> pathlib.Path:
    """Writes `encode_gif(frames, fps)` to `path` under a temporary name, then renames it."""
    return files.write(path, encode_gif(frames, fps))


def save_png(path, image) -> pathlib.Path:
    """Writes one picture [H, W, 1 or 3] (as `to_uint8` takes) as PNG, atomically."""
    image = to_uint8(image, "image")
    if image.ndim != 3:
        raise ValueError(f"image must be [H, W, 1 or 3], got shape {image.shape}.")
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "PNG")
    return files.write(path, stream.getvalue())


def _checked_rows(rows, n_past, what) -> np.ndarray:
    """-> uint8 [R, T, H, W, 3]"""
    if not rows:
        raise ValueError(f"{what} must hold at least one row (label, frames).")
    arrays = [to_uint8(frames, f"{what}, row {label!r}") for label, frames in rows]
    if any(a.ndim != 4 for a in arrays) or len({a.shape for a in arrays}) > 1:
        raise ValueError(f"{what}: rows must have frames [T, H, W, 1 or 3] of one size, got {[a.shape for a in arrays]}.")
    if not 0 <= n_past <= arrays[0].shape[0]:
        raise ValueError(f"n_past must be in [0, {arrays[0].shape[0]}], got {n_past}.")
    return np.stack(arrays)


def _scale(scale, height: int) -> int:
    if scale is None:
        return max(1, -(-64 // height))
    if isinstance(scale, bool) or not isinstance(scale, int | np.integer) or not 1 <= scale <= 64:
        raise ValueError(f"scale must be an integer in [1, 64], got {scale!r}.")
    return int(scale)


def _check_size(size: int) -> None:
    if size > _MAX_BYTES:
        raise ValueError(f"The picture would take {size} bytes; at most {_MAX_BYTES} are drawn. Show fewer or smaller frames.")


def _even(n: int) -> int:
    return n + n % 2  # video encoders want even sizes


def _bordered(frame: np.ndarray, scale: int, predicted: bool) -> np.ndarray:
    """uint8 [H, W, 3] -> the enlarged frame inside its border."""
    frame = frame.repeat(scale, 0).repeat(scale, 1)
    h, w = frame.shape[0] + 2 * _BORDER, frame.shape[1] + 2 * _BORDER
    tile = np.full((h, w, 3), _BACKGROUND, np.uint8)
    if predicted:
        tile[:] = PREDICTED_COLOR
    else:
        inner = _BORDER - 1  # a line of one pixel directly around the frame, dashed
        for line in (tile[inner, inner : w - inner], tile[h - _BORDER, inner : w - inner], tile[inner : h - inner, inner],
                     tile[inner : h - inner, w - _BORDER]):  # fmt: skip
            line[(np.arange(len(line)) // 4) % 2 == 0] = TRUE_COLOR
    tile[_BORDER:-_BORDER, _BORDER:-_BORDER] = frame
    return tile


def _text_width(texts: Sequence[str]) -> int:
    font = ImageFont.load_default()
    return max(int(np.ceil(font.getlength(text))) for text in texts)


def _text(text: str, width: int, height: int, y: int = 0) -> np.ndarray:
    """uint8 [height, width, 3] with black text at the left."""
    image = Image.new("RGB", (width, height), (_BACKGROUND,) * 3)
    ImageDraw.Draw(image).text((1, y), text, fill=_INK, font=ImageFont.load_default())
    return np.asarray(image)


def _row_labels(labels: Sequence[str], width: int, cell_height: int) -> np.ndarray:
    middle = max(0, (cell_height - _TEXT_HEIGHT) // 2)
    return np.concatenate([_text(label, width, cell_height, middle) for label in labels])
