"""What is measured in the videos of a split, beside the statistics of the records' own features.

* `length`: frames of a clip; its histogram is in octaves, the same for every data set;
* `frame_height`, `frame_width`, `frame_channels`;
* `pixels/channel_C`: all pixels of a channel, in levels 0 ... 255;
* `motion_energy`: per clip, the mean over pixels and steps of (x_t - x_{t-1})^2, pixels in [0, 1];
* `brightness`: per clip, the mean pixel in [0, 1];
* `still_share`, `black_share`: one value a split, the share of clips in which no pixel changes by more than 2 levels in any step,
  or no pixel is above level 16;
* `duplicate_share`: the share of clips whose pixels equal those of another clip of the split before them.
"""

import hashlib

import numpy as np
from tensorflow_metadata.proto.v0 import statistics_pb2

from data_pipelines import identities
from data_pipelines.accumulators import Kind, Levels, Numbers

STILL_LEVELS, BLACK_LEVEL = 2, 16
LENGTH_EDGES = (0.0, *(2.0**power for power in range(25)))
MOTION_EDGES = (0.0, *np.logspace(-6, 0, 25))
BRIGHTNESS_EDGES = np.linspace(0, 1, 33)
SHARES = ("still_share", "black_share", "duplicate_share")
_SIZES = ("frame_height", "frame_width", "frame_channels")


class Measurements:
    """Accumulators of one split."""

    def __init__(self, channels: int):
        self._pixels = [Levels(256) for _ in range(channels)]
        self._length = Numbers(Kind.INT, LENGTH_EDGES)
        self._sizes = [Numbers(Kind.INT) for _ in _SIZES]
        self._motion, self._brightness = Numbers(edges=MOTION_EDGES), Numbers(edges=BRIGHTNESS_EDGES)
        self._still = self._black = 0
        self._identities = bytearray()
        self.num_clips = 0

    def add(self, blocks, num_frames: int, names: dict[str, bytes]) -> None:
        """Measures a clip.

        Args:
          blocks: the clip's frames, uint8 [n, H, W, C] one after the other; read once.
          num_frames: T, of all blocks.
          names: its `identities.NAMES`, where it has them.
        """
        levels = [np.zeros(256, np.int64) for _ in self._pixels]
        content, last, shape = None, None, None
        squares = total = largest_step = brightest = 0
        for block in blocks:
            block = np.ascontiguousarray(block)
            if content is None:
                shape = block.shape[1:]
                content = hashlib.blake2b(repr((num_frames, *shape)).encode(), digest_size=16)
            content.update(block)
            for channel, counts in enumerate(levels):
                counts += np.bincount(block[..., channel].ravel(), minlength=256)
            brightest, total = max(brightest, int(block.max())), total + int(block.sum(dtype=np.int64))
            steps = np.diff((block if last is None else np.concatenate([last, block])).astype(np.int16), axis=0)
            if steps.size:
                largest_step = max(largest_step, int(np.abs(steps).max()))
                squares += int((steps.astype(np.int32) ** 2).sum(dtype=np.int64))
            last = block[-1:]
        for accumulator, counts in zip(self._pixels, levels, strict=True):
            accumulator.add_counts(counts)
        for accumulator, size in zip((self._length, *self._sizes), (num_frames, *shape), strict=True):
            accumulator.add([size])
        pixels = int(np.prod(shape))
        self._motion.add([squares / max(pixels * (num_frames - 1), 1) / 255.0**2])
        self._brightness.add([total / (pixels * num_frames) / 255.0])
        self._still += largest_step <= STILL_LEVELS
        self._black += brightest <= BLACK_LEVEL
        self._note_identity(content.digest(), names)
        self.num_clips += 1

    def _note_identity(self, content: bytes, names: dict[str, bytes]) -> None:
        identity = np.zeros((), identities.DTYPE)
        identity["content"] = np.void(content)
        for name in identities.NAMES:
            identity[name] = identities.hash_text(names[name]) if name in names else identities.NONE
        self._identities += identity.tobytes()

    def identities(self) -> np.ndarray:
        """`identities.DTYPE` [N], in the order in which the clips came."""
        return np.frombuffer(bytes(self._identities), identities.DTYPE)

    def statistics(self, split: str) -> statistics_pb2.DatasetFeatureStatistics:
        """The measurements of the split. The shares are absent where it has no clip."""
        count = self.num_clips
        named = {"length": self._length, **dict(zip(_SIZES, self._sizes, strict=True))}
        named |= {f"pixels/channel_{c}": levels for c, levels in enumerate(self._pixels)}
        named |= {"motion_energy": self._motion, "brightness": self._brightness}
        if count:
            different = len(np.unique(identities.keys(self.identities(), "content")))
            for name, clips in zip(SHARES, (self._still, self._black, count - different), strict=True):
                named[name] = Numbers()
                named[name].add([clips / count])
        result = statistics_pb2.DatasetFeatureStatistics(name=split, num_examples=count)
        result.features.extend(accumulator.feature(name, count) for name, accumulator in named.items())
        return result
