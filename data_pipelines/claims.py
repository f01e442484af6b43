"""Pieces of work claimed by processes of several machines, on storage that they share.

A claim is a file that is made exclusively, as NFS can, and stores (`gs://...`) only nearly. Its holder beats: a file of its own
changes every few seconds. A holder whose beat stands still for `patience` seconds is taken to be gone (kill -9, a lost machine),
and its pieces can be had by others, under a name with the next number. Time is measured by the watcher's own clock, so that
clocks of hosts need not agree.

Claims save work, they do not guard it: a holder that was slow and not gone may finish what another has taken over. So what is
done under a claim must come out the same whoever does it, and must be written whole.
"""

import contextlib
import os
import pathlib
import re
import secrets
import socket
import threading
import time

from data_pipelines import files

PATIENCE = 60.0  # seconds; longer than storage hides a file of another machine
_BEATS = 6  # in that time


class Claims:
    """This process's claims in `folder`; a context, at whose end they are given back.

    The folder may be removed by another process once all work is done: nothing is made anew in it then.
    """

    def __init__(self, folder: pathlib.Path, patience: float = PATIENCE):
        self.folder, self.patience = files.located(folder), patience
        self.holder = f"{re.sub('[^A-Za-z0-9]', '-', socket.gethostname())}_{os.getpid()}_{secrets.token_hex(4)}"
        self._held: set[pathlib.Path] = set()
        self._seen: dict[str, tuple[bytes | None, float]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="claims", daemon=True)

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_beat(0)
        self._thread.start()
        return self

    def __exit__(self, *error):
        self._ended.set()
        self._thread.join()
        for path in [*self._held, self._beat_of(self.holder)]:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def take(self, piece: str) -> bool:
        """Whether `piece` (a name of letters, digits and dashes) is this process's now. False where another one holds it, or
        where the folder is gone."""
        last, holder = self._last(piece)
        if holder == self.holder:
            return True
        if holder is not None and not self._is_gone(holder):
            return False
        path = self.folder / f"{piece}.{last + 1}"
        if not files.create(path, self.holder):  # another was faster, or all is done
            return False
        self._held.add(path)
        return True

    def free(self, piece: str) -> bool:
        """Whether `take` would be worth a try."""
        holder = self._last(piece)[1]
        return holder is None or holder == self.holder or self._is_gone(holder)

    def _last(self, piece: str) -> tuple[int, str | None]:
        """(number, holder) of a piece's last claim; (-1, None) where there is none. A claim just made may have no holder yet."""
        found = -1
        while (self.folder / f"{piece}.{found + 1}").exists():
            found += 1
        if found < 0:
            return found, None
        path = self.folder / f"{piece}.{found}"
        return found, (_content(path) or b"").decode("utf-8", "replace") or path.name

    def _is_gone(self, holder: str) -> bool:
        host, _, rest = holder.partition("_")
        number = rest.partition("_")[0]
        if host == self.holder.partition("_")[0] and number.isdigit() and not _lives(int(number)):
            return True
        beat, now = _content(self._beat_of(holder)), time.monotonic()
        seen = self._seen.get(holder)
        if seen is None or seen[0] != beat:
            seen = self._seen[holder] = (beat, now)
        return now - seen[1] >= self.patience

    def _beat_of(self, holder: str) -> pathlib.Path:
        return self.folder / f"{holder}.beat"

    def _write_beat(self, number: int) -> None:
        path = self._beat_of(self.holder)
        with contextlib.suppress(OSError):
            if not files.is_store(path):
                path.write_bytes(str(number).encode())
            elif path.parent.is_dir():
                files.write(path, str(number))

    def _beat(self) -> None:
        number = 0
        while not self._ended.wait(self.patience / _BEATS):
            number += 1
            self._write_beat(number)


def _content(path: pathlib.Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # another user's
        return True
    return True
