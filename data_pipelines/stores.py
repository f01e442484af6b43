"""Paths in the stores that TensorFlow's file system layer knows: `gs://bucket/run`, `hdfs://host:8020/run`, `ram://run`, ...

`epath.Path`, which TFDS uses, knows some of these schemes and raises TensorFlow's own errors. This class is an `epath.Path` for
all of them, raises `OSError` as pathlib does, and is registered there, so that TFDS reads where this package does.

Files are read in parts, and written from a file of this machine by `StorePath.put`, so that a reader sees a whole file or none.
"""

import contextlib
import errno
import fnmatch
import functools
import importlib.util
import io
import logging
import os
import pathlib
import re
import secrets
from collections.abc import Iterator
from typing import NamedTuple

from etils import epath

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
OBJECT_STORES = frozenset({"gs", "s3", "az", "oss"})
"""They show an object when it has been sent as a whole, and rename by copying."""
_OF_EPATH = frozenset({"gs", "s3", "az", "hf"})
_BLOCK = 1 << 18
_PLUGIN = "tensorflow_io"
log = logging.getLogger(__name__)


def schemes() -> list[str]:
    """Those that TensorFlow knows here, this machine's own file system left out."""
    import tensorflow as tf

    found = {bytes(name).decode() if isinstance(name, bytes) else name for name in tf.io.gfile.get_registered_schemes()}
    return sorted(found - {"", "file"})


def located(text: str, what: str) -> "StorePath":
    """The place at `scheme://...`. Raises `ValueError` in one line where TensorFlow does not know the scheme."""
    scheme, known = SCHEME.match(text)[1], schemes()
    if scheme not in known and _load_plugin():
        known = schemes()
    if scheme not in known:
        raise ValueError(
            f"{what}: {scheme}:// is not supported, got {text!r}. TensorFlow's file system layer knows "
            f"{', '.join(f'{name}://' for name in known)} here; install TensorFlow I/O, copy the files, or mount the store."
        )
    host, _, _ = SCHEME.sub("", text, count=1).partition("/")
    if not host or (scheme == "hdfs" and ":" not in host):
        raise ValueError(f"{what} must be {scheme}://{'HOST:PORT' if scheme == 'hdfs' else 'NAME'}/..., got {text!r}.")
    _register(*known)
    return StorePath(text)


@functools.cache
def _load_plugin() -> bool:
    """Whether TensorFlow I/O, which has more stores, is there and fits this TensorFlow."""
    if importlib.util.find_spec(_PLUGIN) is None:
        return False
    try:
        importlib.import_module(_PLUGIN)
    except Exception as error:  # it raises whatever loading a library of another version raises
        log.warning("%s cannot be loaded (%s).", _PLUGIN, next(iter(str(error).splitlines()), type(error).__name__))
        return False
    return True


@functools.cache
def _register(*known: str) -> None:
    epath.register_path_cls([f"{name}://" for name in known if name not in _OF_EPATH])(StorePath)


class Stat(NamedTuple):
    """What is known of a file; `st_ino` is 0."""

    st_size: int
    st_mtime: float
    st_mtime_ns: int
    st_ino: int = 0


_NUMBERS = {
    "NOT_FOUND": errno.ENOENT,
    "ALREADY_EXISTS": errno.EEXIST,
    "PERMISSION_DENIED": errno.EACCES,
    "UNAUTHENTICATED": errno.EACCES,
    "RESOURCE_EXHAUSTED": errno.ENOSPC,
    "UNIMPLEMENTED": errno.ENOTSUP,
    "FAILED_PRECONDITION": errno.EINVAL,
}


@contextlib.contextmanager
def _gfile(path):
    """TensorFlow's functions for files. Within it their errors become `OSError` of the kind that pathlib raises."""
    import tensorflow as tf

    names = {getattr(tf.errors, name): number for name, number in _NUMBERS.items()}
    try:
        yield tf.io.gfile
    except tf.errors.OpError as error:
        reason = next(iter((error.message or "").splitlines()), "") or type(error).__name__
        raise OSError(names.get(error.error_code, errno.EIO), reason, str(path)) from error


class _Reader(io.RawIOBase):
    """A file of a store, read where it is wanted."""

    _file = None  # where opening fails there is none to close

    def __init__(self, path: "StorePath"):
        super().__init__()
        self._path, self._place, self._size = path, 0, path.stat().st_size
        with _gfile(path) as gfile:
            self._file = gfile.GFile(str(path), "rb")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence])
        return self._place

    def readinto(self, buffer) -> int:
        count = min(len(buffer), self._size - self._place)
        if count <= 0:
            return 0
        with _gfile(self._path):
            self._file.seek(self._place)
            content = self._file.read(count)
        buffer[: len(content)] = content
        self._place += len(content)
        return len(content)

    def close(self) -> None:
        if not self.closed and self._file is not None:
            self._file.close()
        super().close()


class StorePath(epath.Path):
    """A place in a store, used as a `pathlib.Path` is. Made by `located`; pathlib writes "gs:/b/x" for what is called gs://b/x."""

    def __str__(self) -> str:
        return SCHEME.sub(r"\1://", super().__str__(), count=1)

    def __fspath__(self) -> str:
        return str(self)

    def resolve(self, strict: bool = False) -> "StorePath":
        return self

    def expanduser(self) -> "StorePath":
        return self

    def exists(self) -> bool:
        with _gfile(self) as gfile:
            return gfile.exists(str(self))

    def is_dir(self) -> bool:
        with _gfile(self) as gfile:
            return gfile.isdir(str(self))

    def iterdir(self) -> Iterator["StorePath"]:
        with _gfile(self) as gfile:
            names = {name.rstrip("/") for name in gfile.listdir(str(self))}
        for name in sorted(names - {"", ".", ".."}):
            yield self / name

    def glob(self, pattern: str) -> Iterator["StorePath"]:
        first, _, rest = pattern.partition("/")
        if first == "**":
            yield from self.glob(rest)
            for child in self.iterdir() if self.is_dir() else ():
                yield from child.glob(pattern)
        elif not rest:
            yield from (child for child in (self.iterdir() if self.is_dir() else ()) if fnmatch.fnmatchcase(child.name, first))
        else:
            for child in self.glob(first):
                yield from child.glob(rest)

    def stat(self) -> Stat:
        with _gfile(self) as gfile:
            found = gfile.stat(str(self))
        return Stat(found.length, found.mtime_nsec / 1e9, found.mtime_nsec)

    def open(self, mode: str = "r", encoding: str | None = None, errors: str | None = None, **kwargs):
        if mode not in ("r", "rb"):
            with _gfile(self) as gfile:
                return gfile.GFile(str(self), mode)
        stream = io.BufferedReader(_Reader(self), _BLOCK)
        return stream if mode == "rb" else io.TextIOWrapper(stream, encoding=encoding or "utf-8", errors=errors)

    def mkdir(self, mode: int | None = None, parents: bool = False, exist_ok: bool = False) -> None:
        if not exist_ok and self.exists():
            raise FileExistsError(errno.EEXIST, "It exists", str(self))
        with _gfile(self) as gfile:
            gfile.makedirs(str(self))

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with _gfile(self) as gfile:
                gfile.remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmtree(self, missing_ok: bool = False) -> None:
        try:
            with _gfile(self) as gfile:
                gfile.rmtree(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rename(self, target) -> "StorePath":
        return self.replace(target)

    def replace(self, target) -> "StorePath":
        """Renames a file; where the store cannot, it is copied first and removed then."""
        target = type(self)(target)
        if not _renamed(self, target):
            _sent(self, target)
            self.unlink()
        return target

    def copy(self, dst, overwrite: bool = False) -> "StorePath":
        """Copies this file within its store, so that `dst` is whole or absent."""
        if not overwrite and (target := type(self)(dst)).exists():
            raise FileExistsError(errno.EEXIST, "It exists", str(target))
        return _put(self, type(self)(dst))

    def put(self, source: str | os.PathLike) -> None:
        """Sends a file of this machine here, whole or not at all. Missing folders are made."""
        _put(source, self)

    def put_folder(self, source: pathlib.Path, last: str) -> None:
        """Sends a folder of this machine here; the files called `last`, whose presence says that a folder is whole, in the end.

        Files called `last` that are here are removed first. Names that begin with a dot (locks) stay behind.
        """
        sent = (path for path in source.rglob("*") if path.is_file() and not path.name.startswith("."))
        everything = sorted(sent, key=lambda path: (path.name == last, path))
        for path in everything:
            if path.name == last:
                (self / path.relative_to(source).as_posix()).unlink(missing_ok=True)
        for path in everything:
            (self / path.relative_to(source).as_posix()).put(path)

    def fetch(self, target: pathlib.Path) -> None:
        """Copies this file, or folder with all that is in it, to this machine."""
        if self.is_dir():
            target.mkdir(parents=True, exist_ok=True)
            for child in self.iterdir():
                child.fetch(target / child.name)
        else:
            with _gfile(self) as gfile:
                gfile.copy(str(self), str(target), overwrite=True)


def _put(source, target: StorePath) -> StorePath:
    """A copy of a file. Beside the target first, and renamed then; but at once where the store shows whole objects only, or
    cannot rename."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if SCHEME.match(str(target))[1] in OBJECT_STORES:
        return _sent(source, target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        _sent(source, temporary)
        if not _renamed(temporary, target):
            _sent(source, target)
            temporary.unlink(missing_ok=True)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return target


def _sent(source, target: StorePath) -> StorePath:
    with _gfile(target) as gfile:
        gfile.copy(os.fspath(source), str(target), overwrite=True)
    return target


def _renamed(source: StorePath, target: StorePath) -> bool:
    """False where the store has no such thing as to rename."""
    try:
        with _gfile(target) as gfile:
            gfile.rename(str(source), str(target), overwrite=True)
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        return False
    return True
