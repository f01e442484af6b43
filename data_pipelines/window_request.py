"""What a reader wants from any data set, checked once: `data_pipelines.load` makes it, the sources fulfil it."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_pipelines import checks

SPLITS = ("train", "validation", "test")
MAX_SEED = 2**63
FRAMES = "frames"


@dataclasses.dataclass(frozen=True, kw_only=True)
class WindowRequest:
    """Windows of T frames in batches of B; the arguments are those of `data_pipelines.load`.

    After construction `shuffle`, `repeat` and `drop_remainder` are True or False. Raises `ValueError` for a value out of range.
    """

    split: str
    seq_len: int
    batch_size: int
    seed: int = 0
    shuffle: bool | None = None
    repeat: bool | None = None
    frame_stride: int = 1
    drop_remainder: bool | None = None
    start_batch: int = 0
    shard: tuple[int, int] = (0, 1)
    tensors: tuple[str, ...] = (FRAMES,)
    with_states: bool = False
    batches: tuple[int, int] = (0, 1)
    """(index, count): every count-th batch, from `start_batch` + index on."""

    def __post_init__(self):
        checks.one_of("split", self.split, SPLITS)
        for name, low in (("seq_len", 1), ("batch_size", 1), ("frame_stride", 1), ("start_batch", 0)):
            self._set(name, checks.integer(name, getattr(self, name), low))
        self._set("seed", checks.integer("seed", self.seed, 0, MAX_SEED - 1))
        for name in ("shuffle", "repeat", "drop_remainder"):
            if getattr(self, name) is None:
                self._set(name, self.split == "train")
        for name in ("shuffle", "repeat", "drop_remainder", "with_states"):
            value = getattr(self, name)
            checks.require(isinstance(value, bool | np.bool_), f"{name} must be True or False, got {value!r}.")
            self._set(name, bool(value))
        self._set("shard", self._checked_shard())
        self._set("tensors", self._checked_tensors())

    def _set(self, name, value) -> None:
        object.__setattr__(self, name, value)

    def _checked_shard(self) -> tuple[int, int]:
        try:
            index, count = self.shard
        except (TypeError, ValueError):
            raise ValueError(f"shard must be a pair (index, count), got {self.shard!r}.") from None
        count = checks.integer("shard count", count, 1)
        index = checks.integer("shard index", index, 0, count - 1)
        divides = self.batch_size % count == 0
        checks.require(divides, f"batch_size must be divisible by the shard count {count}, got {self.batch_size}.")
        return index, count

    def _checked_tensors(self) -> tuple[str, ...]:
        names = self.tensors
        listed = isinstance(names, Sequence) and not isinstance(names, str) and all(isinstance(name, str) for name in names)
        if not listed or not names or len(set(names)) < len(names):
            raise ValueError(f"tensors must be one or more different names, such as ('frames',), got {names!r}.")
        return tuple(names)

    @property
    def span(self) -> int:
        """Frames of the video from a window's first to its last."""
        return (self.seq_len - 1) * self.frame_stride + 1

    @property
    def rows(self) -> int:
        """Windows of each global batch that this worker gets."""
        return self.batch_size // self.shard[1]

    @property
    def whole_batches(self) -> bool:
        """Whether all batches have the same size."""
        return self.repeat or self.drop_remainder

    def wanted(self, available: Sequence[str], states: Sequence[str], what: str) -> tuple[str, ...]:
        """The names of the tensors to deliver, of those that the data set `what` has.

        Args:
          available: all names that it has.
          states: those of them that are true states.
        Raises `ValueError` for a name, or states, that it does not have.
        """
        missing = [name for name in self.tensors if name not in available]
        if missing:
            raise ValueError(f"{what} has no tensor {', '.join(map(repr, missing))}; it has: {', '.join(available)}.")
        if self.with_states and not states:
            raise ValueError(f"{what} holds no true states; it has: {', '.join(available)}.")
        return tuple(dict.fromkeys((*self.tensors, *(states if self.with_states else ()))))
