"""The clips of a folder, the splits that its sub-folders name, and what is left out and why.

A clip is a video file, an animation, or a folder that directly holds two pictures or more and no video. Whatever is not taken is
counted by kind, with an example.
"""

import collections
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from data_pipelines.clips import animations, kinds

SPLITS = ("train", "validation", "test")
_SPELLINGS = {
    "train": "train|training|trn",
    "validation": "validation|validate|valid|val|dev",
    "test": "test|testing|tst|eval|evaluation|holdout|held[-_ ]?out",
}
_WORDS = "|".join(f"(?P<{split}>{words})" for split, words in _SPELLINGS.items())
_SPLIT = re.compile(f"(?:{_WORDS})s?(?:[-_ ]?(?:set|split|data|videos?|clips?|frames?|images?))?", re.IGNORECASE)


class Clip(NamedTuple):
    """name: its path below the source as printable text. split: that its folders name, or None. real: where it is, links
    followed. is_folder: of pictures."""

    path: pathlib.Path
    name: str
    split: str | None
    real: str
    is_folder: bool = False


class LeftOut:
    """Counts what is not taken, by kind, each with its first example."""

    def __init__(self):
        self._counts: dict[str, tuple[int, str]] = {}

    def add(self, kind: str, name: str | Callable[[], str]) -> None:
        """name: of this one, or what makes it, which is called for the first of its kind only."""
        count, example = self._counts.get(kind) or (0, name() if callable(name) else name)
        self._counts[kind] = (count + 1, example)

    def line(self, word: str = "left out") -> str:
        """One line that begins with `word`, or "" where nothing is left out."""
        parts = [f"{count} {kind} (e.g. {example})" for kind, (count, example) in sorted(self._counts.items())]
        return f"{word}: {'; '.join(parts)}" if parts else ""


class Folder(NamedTuple):
    """A folder below a source and the files in it that are not left out; linked: those that a link leads to, or itself."""

    path: pathlib.Path
    files: list[pathlib.Path]
    linked: set[pathlib.Path]


class _Found(NamedTuple):
    """Where a clip was found; linked: a link leads there."""

    path: pathlib.Path
    is_folder: bool
    linked: bool


def folders(root: pathlib.Path, left_out: LeftOut) -> Iterator[Folder]:
    """The folder and those below it, sorted by name, without hidden ones and those that a file manager made.

    A link is followed where it leads to something inside `root`. Each folder is visited at most twice, as itself and by a link.
    """
    inside = root.resolve()
    visited: set[tuple[pathlib.Path, bool]] = {(inside, False)}
    stack = [(root, False)]
    while stack:
        folder, linked = stack.pop()
        files, below, links = [], [], {folder} if linked else set()
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path = folder / entry.name

            def name(path=path):
                return kinds.shown(path.relative_to(root))

            if entry.is_symlink() or linked:
                links.add(path)
            if kinds.of_a_file_manager(entry.name):
                left_out.add("files of a file manager", name)
            elif entry.name.startswith("."):
                left_out.add("hidden", name)
            elif entry.is_symlink() and (fault := _fault_of_link(path, inside)):
                left_out.add(fault, name)
            elif entry.is_dir():
                real, by_link = path.resolve(), linked or entry.is_symlink()
                if (real, by_link) in visited or (entry.is_symlink() and folder.resolve().is_relative_to(real)):  # or a circle
                    left_out.add("links to folders that are taken already", name)
                    continue
                visited.add((real, by_link))
                below.append((path, by_link))
            elif entry.is_file():
                files.append(path)
            else:
                left_out.add("neither files nor folders", name)
        yield Folder(folder, files, links)
        stack += reversed(below)


def _fault_of_link(path: pathlib.Path, inside: pathlib.Path) -> str:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: a circle, before Python 3.13
        return "links that lead nowhere"
    return "" if real.is_relative_to(inside) else "links that lead out of the source (copy the files, or give their folder)"


def split_of(name: str) -> str | None:
    """The split that a folder's name spells: "train", "Training", "val", "test_set", ..."""
    match = _SPLIT.fullmatch(name)
    return match.lastgroup if match else None


class Survey(NamedTuple):
    """clips: sorted by name. spelled: the folders' names of each split that was found. left_out: a line, or ""."""

    clips: list[Clip]
    spelled: dict[str, list[str]]
    left_out: str


def survey(root: pathlib.Path) -> Survey:
    """Finds the clips below `root`.

    The outermost folder whose name spells a split decides on it. Where there is none called train, clips outside of the
    others' folders have the split None; else they are left out.
    Raises `ValueError` where one file stands in two splits by a link.
    """
    left_out, spelled = LeftOut(), {}
    clips = _clips(root, _found(root, left_out), spelled)
    if any(clip.split == "train" for clip in clips):
        for clip in clips:
            if clip.split is None:
                left_out.add("clips outside of the splits' folders", clip.name)
        clips = [clip for clip in clips if clip.split]
    clips = _once(clips, root, left_out)
    found = {clip.split for clip in clips}
    return Survey(clips, {split: spelled[split] for split in SPLITS if split in found}, left_out.line())


def _clips(root: pathlib.Path, found: list[_Found], spelled: dict[str, list[str]]) -> list[Clip]:
    """Much is known of the folder: what is asked of each file is little, of which there may be a million."""
    inside, known, clips = os.fspath(root.resolve()), {}, []
    for path, is_folder, linked in found:
        if is_folder and path == root:
            clips.append(Clip(path, kinds.shown(root.resolve().name).replace(os.sep, "/"), None, inside, is_folder))
            continue
        folder, file = (path, "") if is_folder else (path.parent, path.name)
        if folder not in known:
            below = folder.relative_to(root)
            name = "" if folder == root else kinds.shown(below).replace(os.sep, "/")
            known[folder] = name, _split(below.parts, spelled), os.path.join(inside, below) if name else inside
        name, split, real = known[folder]
        if file:
            shown = kinds.shown(file)
            name, real = f"{name}/{shown}" if name else shown, os.path.join(real, file)
        clips.append(Clip(path, name, split, os.path.realpath(path) if linked else real, is_folder))
    return clips


def _split(parts: tuple[str, ...], spelled: dict[str, list[str]]) -> str | None:
    """Of the folders' names, from the outermost on."""
    for part in parts:
        if split := split_of(part):
            if kinds.shown(part) not in spelled.setdefault(split, []):
                spelled[split].append(kinds.shown(part))
            return split
    return None


def _found(root: pathlib.Path, left_out: LeftOut) -> list[_Found]:
    """The clips' places. Pictures directly in the source, or in a split's folder, are one only where nothing else is below."""
    found: list[_Found] = []
    outer: list[tuple[pathlib.Path, list[pathlib.Path], bool]] = []
    for folder, files, links in folders(root, left_out):
        films, pictures, others = _sorted_by_kind(files)
        for file in others:
            left_out.add(of_kind(file), kinds.shown(file.relative_to(root)))
        found += [_Found(film, False, bool(links) and film in links) for film in films]
        if pictures and films:
            _add(left_out, "pictures beside videos", pictures, root)
        elif len(pictures) == 1:
            _add(left_out, "single pictures", pictures, root)
        elif pictures and (folder == root or (folder.parent == root and split_of(folder.name))):
            outer.append((folder, pictures, folder in links))
        elif pictures:
            found.append(_Found(folder, True, folder in links))
    for folder, pictures, linked in sorted(outer, reverse=True):
        if any(place.path.is_relative_to(folder) for place in found):
            _add(left_out, "pictures beside the folders of clips", pictures, root)
        else:
            found.append(_Found(folder, True, linked))
    return found


def of_kind(file: pathlib.Path) -> str:
    """The kind of a file of no known kind, to be counted."""
    return f"of the kind {kinds.shown(kinds.suffix(file.name)) or 'without a suffix'}"


def _sorted_by_kind(files: list[pathlib.Path]) -> tuple[list[pathlib.Path], list[pathlib.Path], list[pathlib.Path]]:
    """Videos and animations, pictures, others.

    A .webp or .tif that cannot be read is a frame where another of its kind is one; else it is a clip, to be refused by name.
    """
    films, pictures, others, unreadable = [], [], [], []
    for file in files:
        kind = kinds.suffix(file.name)
        animated = kind in kinds.VIDEO_SUFFIXES or animations.is_animation(file)
        if animated is None:
            unreadable.append(file)
        elif animated:
            films.append(file)
        else:
            (pictures if kind in kinds.PICTURE_SUFFIXES else others).append(file)
    still = {kinds.suffix(file.name) for file in pictures}
    for file in unreadable:
        (pictures if kinds.suffix(file.name) in still else films).append(file)
    return films, pictures, others


def _add(left_out: LeftOut, kind: str, files: list[pathlib.Path], root: pathlib.Path) -> None:
    for file in files:
        left_out.add(kind, kinds.shown(file.relative_to(root)))


def _once(clips: list[Clip], root: pathlib.Path, left_out: LeftOut) -> list[Clip]:
    """Each file once, under its own name where that is in a split as well as under a link's."""
    best: dict[str, Clip] = {}
    inside = os.fspath(root.resolve())

    def linked(clip: Clip) -> bool:
        return clip.real != (os.path.join(inside, clip.path.relative_to(root)) if clip.path != root else inside)

    twice = {real for real, count in collections.Counter(clip.real for clip in clips).items() if count > 1}
    for clip in sorted(clips, key=lambda clip: (clip.split is None, clip.real in twice and linked(clip), clip.name)):
        first = best.setdefault(clip.real, clip)
        if first is clip:
            continue
        if clip.split and clip.split != first.split:
            raise ValueError(
                f"{clip.name} and {first.name} are one file in two splits ({clip.split} and {first.split}): a model would be "
                "tested on what it has seen. Remove one of the links."
            )
        left_out.add("links to files that are taken already", clip.name)
    return sorted(best.values(), key=lambda clip: clip.name)
