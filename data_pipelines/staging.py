"""Building from a store, or into one: on this machine, by copies, for what decodes videos and writes shards knows no stores."""

import contextlib
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from data_pipelines import described, files
from data_pipelines.checks import require


@contextlib.contextmanager
def built_near(command: Any, root: pathlib.Path) -> Iterator[Any]:
    """`command`, a build into `root`, as one whose source and data folder are on this machine; at the end what it built is sent
    to `root`: the description, by which a data set is known to be whole, last.

    Raises `ValueError` for a build by workers that may run elsewhere.
    """
    source = files.located(command.source, "--source") if command.source else None
    if not files.is_store(source) and not files.is_store(root):
        yield command
        return
    where = source if files.is_store(source) else root
    require(not command.runner, f"--runner: workers need a source and a data folder that are mounted, got {where}.")
    with tempfile.TemporaryDirectory(prefix="svg-data-") as folder:
        changed = {"source": str(files.near(source))} if files.is_store(source) else {}
        if files.is_store(root):
            changed["data_dir"] = folder
        yield dataclasses.replace(command, **changed)
        if files.is_store(root):
            _send(pathlib.Path(folder), root)


def _send(folder: pathlib.Path, root) -> None:
    for description in folder.rglob(described.INFO):
        old = root / description.parent.relative_to(folder).as_posix()
        (old / described.INFO).unlink(missing_ok=True)
        files.remove_folder(old)
    root.put_folder(folder, last=described.INFO)


def require_vacant(place: pathlib.Path, overwrite: bool) -> None:
    """Raises `ValueError` where a whole data set is at `place`, unless it may be replaced."""
    there = not overwrite and (place / described.INFO).exists()
    require(not there, f"{place} is already built. Use another --data-dir, or build it anew with --overwrite.")
