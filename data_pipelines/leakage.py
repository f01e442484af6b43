"""Leakage: a group (such as a KTH person), a source file, or a clip of identical pixels in two splits; and names given twice.

Found by `identities`, without reading the videos again.
"""

import os
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import tensorflow_datasets as tfds

from data_pipelines import catalogue, clip_records, clip_storage, identities, record_index

MAX_NAMED = 5
FIELDS = {"content": "identical clip", "source": "source file", "group": "group"}


class Shared(NamedTuple):
    """What two splits have in common."""

    field: str
    first: str
    second: str
    text: str


def _clips(builder: tfds.core.DatasetBuilder, split: str, rows: list[int]) -> dict[int, dict[str, str]]:
    """The names of the clips in some rows of a split, as they are stored."""
    shape = clip_storage.frame_shape(builder.info.features)
    index = record_index.load(os.fspath(builder.data_path), split, catalogue.shards(builder, split), shape)
    found = {}
    for row in rows:
        record = clip_records.read_at(index.paths[index.shard[row]], int(index.offset[row]), int(index.size[row]))
        found[row] = {name: record.text(name).decode("utf-8", "replace") for name in identities.NAMES}
    return found


def _named(builder, split: str, values: np.ndarray, wanted: np.ndarray, field: str) -> list[tuple[str, str]]:
    """(name, first clip's id) for each of the identities `wanted`."""
    rows = [int(np.flatnonzero(values == value)[0]) for value in wanted]
    clips = _clips(builder, split, rows)
    return [(clips[row]["clip_id" if field == "content" else field], clips[row]["clip_id"]) for row in rows]


def between_splits(builder: tfds.core.DatasetBuilder, known: dict[str, np.ndarray]) -> Iterator[Shared]:
    """What any two splits share, by their `identities`."""
    splits = sorted(known, key=lambda split: (split != "train", split))
    for number, first in enumerate(splits):
        for second in splits[number + 1 :]:
            for field in FIELDS:
                a, b = (identities.keys(known[split], field) for split in (first, second))
                shared = np.intersect1d(a, b)
                if field != "content":
                    shared = shared[(shared != identities.hash_text(b"")) & (shared != identities.NONE)]
                if shared.size:
                    yield Shared(field, first, second, _text(builder, field, (first, second), (a, b), shared))


def _text(builder, field, splits, values, shared) -> str:
    some = shared[:MAX_NAMED]
    first, second = (_named(builder, split, column, some, field) for split, column in zip(splits, values, strict=True))
    pairs = zip(first, second, strict=True)
    named = [f"{clip_a!r} = {clip_b!r}" if field == "content" else f"{name!r}" for (name, clip_a), (_, clip_b) in pairs]
    more = f" and {shared.size - MAX_NAMED} more" if shared.size > MAX_NAMED else ""
    clips = [int(np.isin(column, shared).sum()) for column in values]
    return (
        f"the same {FIELDS[field]} is in {splits[0]!r} ({clips[0]} clips) and in {splits[1]!r} ({clips[1]} clips): "
        f"{', '.join(named)}{more}. A test on such clips says nothing about new videos."
    )


def repeated_names(known: np.ndarray) -> int:
    """How many clips of a split have the name of another one before them."""
    return len(known) - len(np.unique(known["clip_id"]))
