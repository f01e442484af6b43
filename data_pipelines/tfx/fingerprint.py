"""The content of a source folder: one fingerprint, and a checksum for each clip.

TFX's own fingerprint is made of names, sizes and modification times. Ours is made of names and contents: a copied or touched file
changes nothing, a changed clip always does. Contents are read once: `Hashes` remembers them by size and times.
"""

import contextlib
import hashlib
import json
import os
import pathlib

from data_pipelines import files

MAX_BYTES = 1 << 28


class Hashes:
    """SHA-256 of files, remembered in a JSON file as long as size and times stay.

    The time of the last change of status is among them: a copy that keeps size and modification time is read again.
    """

    def __init__(self, memory: str | os.PathLike | None = None):
        self._path = None if memory is None else pathlib.Path(memory)
        self._known: dict[str, list] = {}
        self._changed = False
        if self._path is not None and self._path.is_file() and self._path.stat().st_size <= MAX_BYTES:
            with contextlib.suppress(ValueError):  # damaged: hashed anew
                known = json.loads(self._path.read_text(encoding="utf-8"))
                self._known = known if isinstance(known, dict) else {}

    def of(self, path: pathlib.Path) -> str:
        """64 hexadecimal digits."""
        found = path.stat()
        key, state = str(path.resolve()), [found.st_size, found.st_mtime_ns, found.st_ctime_ns]
        known = self._known.get(key)
        if isinstance(known, list) and known[:3] == state and isinstance(known[-1], str) and len(known[-1]) == 64:
            return known[-1]
        with open(path, "rb") as file:
            digest = _digest(file)
        self._known[key], self._changed = [*state, digest], True
        return digest

    def save(self) -> None:
        if self._path is not None and self._changed:
            files.write_json(self._path, self._known, indent=0)


def _digest(file) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _files(folder: pathlib.Path):
    """Regular files below a folder, in an order of their names alone."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def of_folder(folder: str | os.PathLike, hashes: Hashes) -> str:
    """Of the names and contents of all files below `folder`. Raises `ValueError` where it is no folder."""
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise ValueError(f"The source must be a folder, got {str(folder)!r}.")
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{hashes.of(path)}\n".encode("utf-8", "surrogateescape"))
    hashes.save()
    return digest.hexdigest()


def of_clip(path: str | os.PathLike, hashes: Hashes) -> str:
    """Of a clip, which is a file or a folder of pictures."""
    path = pathlib.Path(path)
    return of_folder(path, hashes) if path.is_dir() else hashes.of(path)


def clips(jobs: dict[str, list], source: str | os.PathLike, built: dict[str, set[str]], hashes: Hashes) -> list[dict]:
    """The clips of a data set: [{"split", "clip", "sha256"}], sorted.

    Args:
      jobs: split -> the jobs of a builder's plan.
      source: the folder they come from.
      built: split -> values of `source` in the records; a clip that was left out is not among them.
    """
    source, found = pathlib.Path(source).resolve(), []
    for split, planned in jobs.items():
        paths = {pathlib.Path(job.path): getattr(job, "source", "") for job in planned if hasattr(job, "path")}
        if paths:
            kept = [path for path, name in paths.items() if {name or path.name, path.name} & built.get(split, set())]
        else:  # generated from the source as a whole
            kept = _files(source) if planned else []
        for path in kept:
            shown = path.relative_to(source).as_posix() if path.is_relative_to(source) else str(path)
            found.append({"split": split, "clip": shown, "sha256": of_clip(path, hashes)})
    hashes.save()
    return sorted(found, key=lambda clip: (clip["split"], clip["clip"]))
