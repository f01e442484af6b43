"""Files whole or absent, locks that a crash releases, and paths that are not of this machine's file system.

Used by both packages; knows nothing of videos.
"""

import contextlib
import json
import os
import pathlib
import re
import socket
import tempfile
from collections.abc import Iterable
from typing import Any

import filelock

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")


class InUseError(ValueError):
    """Another process holds the folder. The message names it."""


def local(path: str | os.PathLike, what: str = "path") -> pathlib.Path:
    """`path` with `~` expanded. Raises `ValueError` for `scheme://...`, which would become a local folder of that name."""
    match = _SCHEME.match(os.fspath(path))
    if match:
        raise ValueError(
            f"{what} must be on a file system of this machine, got {os.fspath(path)!r}: {match[1]}:// is not supported; "
            "copy the files, or mount the store."
        )
    return pathlib.Path(path).expanduser()


def distinct_outputs(outputs: Iterable[str | os.PathLike], inputs: Iterable[str | os.PathLike] = ()) -> None:
    """Raises `ValueError` where two of `outputs` are one place, or one of them is one of `inputs` (by links, too)."""
    read = {place: path for path in inputs for place in _places(path)}
    written: dict = {}
    for path in outputs:
        for place in _places(path):
            if place in read:
                raise ValueError(f"{path} would be written over {read[place]}, which is read; choose another name.")
        if any(place in written for place in _places(path)):
            raise ValueError(f"Two outputs would have one name, {path}; choose others.")
        written |= dict.fromkeys(_places(path), path)


def _places(path) -> set:
    """What identifies a path: where it leads, and the file that is there."""
    path = pathlib.Path(path).expanduser()
    places: set = {os.path.realpath(path)}
    with contextlib.suppress(OSError):
        facts = path.stat()
        places.add((facts.st_dev, facts.st_ino))
    return places


@contextlib.contextmanager
def whole(path: str | os.PathLike):
    """Gives a temporary name beside `path`. At the end it takes the name `path`; where an error leaves the block, it is removed.

    Missing folders are made. Readers see the old file or the new one.
    """
    path = local(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(descriptor)
    try:
        yield pathlib.Path(name)
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        pathlib.Path(name).unlink(missing_ok=True)
        raise


def write(path: str | os.PathLike, content: bytes | str) -> pathlib.Path:
    """Writes a file whole or not at all; text is UTF-8."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return pathlib.Path(path)


def write_json(path: str | os.PathLike, value: Any, indent: int = 2) -> pathlib.Path:
    """`value` as strict JSON (no NaN) with sorted keys where it is a mapping of settings."""
    return write(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


@contextlib.contextmanager
def locked(folder: str | os.PathLike, what: str, name: str = ".lock"):
    """One process at a time in `folder`, which is made where it is missing.

    The lock goes with the process, however it ends. Raises `InUseError` in one line, naming the holder, where another process has
    it; `what` says what it does ("trains in").
    """
    folder = local(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock, holder = filelock.FileLock(folder / name), folder / f"{name}.holder"
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        with contextlib.suppress(OSError):
            raise InUseError(f"Another process {what} {folder} now: {holder.read_text(encoding='utf-8').strip()}.") from None
        raise InUseError(f"Another process {what} {folder} now.") from None
    try:
        write(holder, f"process {os.getpid()} on {socket.gethostname()}\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()
