"""Sizes of frames: squares as integers, others as pairs; how they are written."""

import pytest

from data_pipelines import frame_size


@pytest.mark.parametrize("value, size, text", [(64, 64, "64"), ((64, 64), 64, "64"), ([64, 80], (64, 80), "64x80")])
def test_sizes(value, size, text):
    assert frame_size.checked("size", value, 8) == size
    assert (frame_size.text(size), frame_size.parse(text)) == (text, size)
    assert frame_size.pair(size) == (tuple(value) if not isinstance(value, int) else (value, value))
    assert frame_size.parse("64x64") == 64


@pytest.mark.parametrize(
    "value, message",
    [
        (7, r"size must be an integer in \[8, 512\], got 7"),
        ((64, 513), r"width of size must be an integer in \[8, 512\], got 513"),
        ((64, 64.0), "width of size"),
        ((True, 64), "height of size"),
        ("64", "size must be an integer"),
        ((1, 2, 3), "a pair"),
    ],
)
def test_others_are_refused(value, message):
    with pytest.raises(ValueError, match=message):
        frame_size.checked("size", value, 8, 512)


@pytest.mark.parametrize("text", ["", "x", "64x", "64x80x3", "64,80", "-64", "6.5", "64X80", "0"])
def test_other_texts_are_refused(text):
    with pytest.raises(ValueError, match=f"got '{text}'|got 0"):
        frame_size.parse(text)
