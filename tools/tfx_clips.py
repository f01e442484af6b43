#!/usr/bin/env python
"""Small videos of moving digits, for trying the TFX pipeline: python tools/tfx_clips.py FOLDER --clips 200.

Lossless gray .avi files of scikit-learn's digits (extra "demo"), FOLDER/train and FOLDER/test, no digit in both.
"""

import argparse
import fractions
import pathlib

import av
import numpy as np

from data_pipelines import moving_mnist
from data_pipelines.window_request import WindowRequest


def write(path: pathlib.Path, frames: np.ndarray) -> None:
    """frames uint8 [T, H, W]."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=fractions.Fraction(10))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:], "gray"
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="gray")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--clips", type=int, default=200)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--test-percent", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    told = parser.parse_args()
    counts = {"test": told.clips * told.test_percent // 100}
    counts["train"] = told.clips - counts["test"]
    for split, count in counts.items():
        order = {"seed": told.seed, "shuffle": False, "repeat": False}
        request = WindowRequest(split=split, seq_len=told.frames, batch_size=count, **order)
        options = moving_mnist.options(digits="uci", canvas=told.size, num_digits=1, num_sequences=count)
        frames = next(iter(moving_mnist.load(request, options).take(1)))["frames"].numpy()
        for number, clip in enumerate(frames):
            write(told.folder / split / f"digit{number:03d}.avi", np.round(clip[..., 0] * 255).astype(np.uint8))
    print(f"{told.folder}: {counts['train']} + {counts['test']} clips of {told.frames} frames, {told.size} pixels")


if __name__ == "__main__":
    main()
