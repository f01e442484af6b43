"""Files whole or absent, locks that a crash releases, and paths that are of this machine or of a store (`gs://...`).

Used by both packages; knows nothing of videos. What a store can is in `stores`, which is loaded when a path names one.
"""

import atexit
import contextlib
import functools
import hashlib
import json
import logging
import os
import pathlib
import re
import shutil
import socket
import tempfile
from collections.abc import Iterable
from typing import Any

import filelock

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/")
_OF_THIS_MACHINE = re.compile(r"file:(?=/(?!/)|///)/*(?=/)")
log = logging.getLogger(__name__)


class InUseError(ValueError):
    """Another process holds the folder. The message names it."""


def located(path: str | os.PathLike, what: str = "path") -> pathlib.Path:
    """The place that a user names: with `~` expanded, or a `stores.StorePath` for `scheme://...` of any scheme that TensorFlow's
    file system layer knows. `file:///x` is /x. Both are used alike, as a `pathlib.Path` is.

    Raises `ValueError` in one line for another scheme, which would become a local folder of that name.
    """
    if is_store(path):
        return path
    text = os.fspath(path)
    if isinstance(text, bytes) or not _SCHEME.match(text):
        return pathlib.Path(path).expanduser()
    if text.startswith("file:"):
        return _of_this_machine(text, what)
    from data_pipelines import stores

    return stores.located(text, what)


def _of_this_machine(text: str, what: str) -> pathlib.Path:
    if not _OF_THIS_MACHINE.match(text):
        raise ValueError(f"{what} must be file:///FOLDER, or the folder itself; got {text!r}.")
    return pathlib.Path(_OF_THIS_MACHINE.sub("", text))


def is_store(path) -> bool:
    """Whether `path` is a place in a store, as `located` gives it."""
    return hasattr(path, "put_folder")


def local(path: str | os.PathLike, what: str = "path") -> pathlib.Path:
    """As `located`, but raises `ValueError` for what is not on a file system of this machine."""
    match = _SCHEME.match(os.fspath(path))
    if match and match[1] != "file":
        raise ValueError(
            f"{what} must be on a file system of this machine, got {os.fspath(path)!r}: {match[1]}:// is not supported; "
            "copy the files, or mount the store."
        )
    return located(path, what)


def near(path: str | os.PathLike, what: str = "path") -> pathlib.Path:
    """A file or folder where libraries that know no stores can read it: as it is, or a copy that goes when this process ends.

    Raises `FileNotFoundError` for what is in no store, too.
    """
    found = located(path, what)
    if not is_store(found):
        return found
    target = _copies() / hashlib.sha256(str(found).encode()).hexdigest()[:16] / found.name
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        log.info("Copying %s to this machine.", found)
        found.fetch(target)
    return target


@functools.cache
def _copies() -> pathlib.Path:
    folder = tempfile.mkdtemp(prefix="svg_tf-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return pathlib.Path(folder)


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
    path = located(path)
    if is_store(path):
        return {str(path)}
    places: set = {os.path.realpath(path)}
    with contextlib.suppress(OSError):
        facts = path.stat()
        places.add((facts.st_dev, facts.st_ino))
    return places


@contextlib.contextmanager
def whole(path: str | os.PathLike, name: str | None = None):
    """Gives a temporary name beside `path`. At the end it takes the name `path`; where an error leaves the block, it is removed.

    Missing folders are made. Readers see the old file or the new one. For a store the temporary file is on this machine, and is
    sent at the end. name: the temporary one, where that matters.
    """
    path = located(path)
    if is_store(path):
        with tempfile.TemporaryDirectory() as folder:
            temporary = pathlib.Path(folder) / path.name
            yield temporary
            path.put(temporary)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    if name is None:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(descriptor)
    else:
        temporary = os.fspath(path.with_name(name))
    try:
        yield pathlib.Path(temporary)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        pathlib.Path(temporary).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def whole_folder(out: str | os.PathLike, last: str):
    """Gives a temporary folder, which becomes `out` at the end, or is removed where an error leaves the block.

    last: name of the files by which a folder is known to be whole; a store, which cannot rename folders, gets them in the end.
    """
    out = located(out)
    if is_store(out):
        with tempfile.TemporaryDirectory() as folder:
            yield pathlib.Path(folder)
            out.put_folder(pathlib.Path(folder), last)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        os.chmod(temporary, 0o755)
        yield temporary
        os.replace(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def write(path: str | os.PathLike, content: bytes | str) -> pathlib.Path:
    """Writes a file whole or not at all; text is UTF-8."""
    with whole(path) as temporary:
        temporary.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return located(path)


def write_json(path: str | os.PathLike, value: Any, indent: int = 2) -> pathlib.Path:
    """`value` as strict JSON (no NaN) with sorted keys where it is a mapping of settings."""
    return write(path, json.dumps(value, indent=indent, allow_nan=False) + "\n")


def create(path: pathlib.Path, content: str) -> bool:
    """Makes a file that is not there yet; False where it is, or where its folder is gone.

    Of several processes one makes it, as NFS can. Stores cannot: there the last one may have overwritten the others'.
    """
    if is_store(path):
        if path.exists() or not path.parent.is_dir():
            return False
        write(path, content)
        return path.read_text() == content
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except (FileExistsError, FileNotFoundError):
        return False
    with open(descriptor, "wb") as file:
        file.write(content.encode())
    return True


def duplicate(source: pathlib.Path, target: pathlib.Path) -> None:
    """Gives a file a second name beside it, whatever that was before: by a link where there are such, else as a copy."""
    if is_store(source):
        source.copy(target, overwrite=True)
        return
    temporary = target.with_name(f".{target.name}")
    temporary.unlink(missing_ok=True)
    try:
        os.link(source, temporary)
    except OSError:  # a file system without links
        shutil.copyfile(source, temporary)
    os.replace(temporary, target)
    temporary.unlink(missing_ok=True)  # renaming one link of a file onto another does nothing


def remove_folder(path: pathlib.Path) -> None:
    """Removes a folder with all that is in it, as far as that can be done."""
    if is_store(path):
        with contextlib.suppress(OSError):
            path.rmtree()
    else:
        shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def locked(folder: str | os.PathLike, what: str, name: str = ".lock"):
    """One process at a time in `folder`, which is made where it is missing.

    The lock goes with the process, however it ends. Raises `InUseError` in one line, naming the holder, where another process has
    it; `what` says what it does ("trains in"). Stores have no locks: one line in the log says so.
    """
    folder = located(folder)
    if is_store(folder):
        log.warning("%s cannot be locked: see to it that no other process %s it meanwhile.", folder, what)
        yield
        return
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
