"""Folders that appear whole or not at all."""

import contextlib
import os
import pathlib
import shutil
import tempfile

from data_pipelines import files


def vacant(out, what: str) -> pathlib.Path:
    """`out` as a path, which must not exist or be an empty folder. Raises `ValueError`."""
    out = files.local(out, what)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"{out} exists and is not an empty folder.")
    return out


@contextlib.contextmanager
def whole(out: pathlib.Path):
    """Gives a temporary folder beside `out`, which takes its name at the end, or is removed where an error leaves the block."""
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        os.chmod(temporary, 0o755)
        yield temporary
        os.replace(temporary, out)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
