"""What fails in a worker is a file, not an engine's error: engines tell one in hundreds of lines, each in its own way.

No TensorFlow here.
"""

import contextlib
import errno
import json
import os
import pathlib
import time
import traceback
from collections.abc import Callable
from typing import Any

_FILE = "failed.json"
_PAUSES = (1.0, 5.0)  # seconds before another try, where storage failed
_FINAL = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EISDIR)


class Failed(RuntimeError):
    """A task failed in a worker; one line. Its `traceback` is the worker's, as text."""

    traceback = ""


def guarded(function: Callable[[Any], None], folder: str, task: Any) -> None:
    """Calls the function; the first failure of a build is left in `folder`, and then other tasks are not begun."""
    if os.path.exists(os.path.join(folder, _FILE)):
        return
    for pause in (*_PAUSES, None):
        try:
            function(task)
        except Exception as error:
            if pause is not None and isinstance(error, OSError) and error.errno and error.errno not in _FINAL:
                time.sleep(pause)
                continue
            _leave(folder, error)
        return


def _leave(folder: str, error: Exception) -> None:
    text = " ".join(str(error).split()) or type(error).__name__
    known = {"type": type(error).__name__, "text": text, "traceback": "".join(traceback.format_exception(error))}
    known |= {"errno": error.errno, "text": error.strerror or text} if isinstance(error, OSError) else {}
    with contextlib.suppress(FileExistsError), open(os.path.join(folder, _FILE), "x", encoding="utf-8") as file:
        json.dump(known | {"filename": getattr(error, "filename", None)}, file, default=str)


def raise_what_failed(folder: str) -> None:
    """Raises `OSError` where storage failed a worker, `Failed` for anything else."""
    path = pathlib.Path(folder, _FILE)
    if not path.exists():
        return
    known = json.loads(path.read_text(encoding="utf-8"))
    if known.get("errno"):
        raise OSError(known["errno"], known["text"], known["filename"])
    failed = Failed(f"{known['type']}: {known['text']}")
    failed.traceback = known["traceback"]
    raise failed
