"""What the two programs share: one message for an error, a line for ctrl-C, output that nobody reads, the version.

Standard library only.
"""

import contextlib
import importlib.metadata
import io
import logging
import os
import sys
from collections.abc import Callable

BAD_INPUT, INTERRUPTED = 2, 130


class _Output(io.FileIO):
    """A stream that stays usable when its reader has gone: what nobody reads is dropped, and the work goes on."""

    def write(self, data) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            _silence(self.fileno())
            return len(data)


def _silence(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _lasting(stream):
    """`stream` so that a closed pipe is no error and every file name can be printed; streams of no file as they are."""
    try:
        descriptor = stream.fileno()
        stream.reconfigure(errors="backslashreplace")  # names that are not UTF-8, terminals that are ASCII
    except (AttributeError, OSError):  # in memory, as under tests and in notebooks
        return stream
    if stream.isatty():
        return stream
    stream.flush()
    buffer = io.BufferedWriter(_Output(descriptor, "w", closefd=False))
    kept = {name: getattr(stream, name) for name in ("encoding", "errors", "line_buffering", "write_through")}
    return io.TextIOWrapper(buffer, **kept)


def _flush(program: str) -> bool:
    """Whether all output has left. A full disk is told on stderr."""
    try:
        sys.stdout.flush()
        return True
    except OSError as error:
        print(f"{program}: {error}", file=sys.stderr)
        _silence(sys.stdout.fileno())  # Python would try again at its end
        return False


def run(program: str, command: Callable[[], int | None], errors: tuple[type[Exception], ...] = (ValueError, OSError)) -> int:
    """Runs `command` as a program does, and gives its exit status.

    The status is what `command` returns (None: 0). One of `errors`, which what the user gave can cause, becomes one message on
    stderr and 2; ctrl-C one line and 130; others are faults of the program and are raised. `SystemExit` (--help) passes. A
    reader that goes away early (`| head`) is no error: the work is finished, and its status is given.
    """
    with contextlib.ExitStack() as stack:
        if sys.stdout is not None:
            stack.enter_context(contextlib.redirect_stdout(_lasting(sys.stdout)))
            stack.callback(_flush, program)
        if sys.stderr is not None:
            stack.enter_context(contextlib.redirect_stderr(_lasting(sys.stderr)))
        try:
            status = command() or 0
        except errors as error:
            status = BAD_INPUT
            print(f"{program}: {str(error) or type(error).__name__}", file=sys.stderr)
        except KeyboardInterrupt:
            status = INTERRUPTED
            logging.disable()  # TensorFlow complains of what an interruption leaves behind
            print(f"{program}: stopped by ctrl-C", file=sys.stderr)
        if sys.stdout is not None and not _flush(program):
            status = status or BAD_INPUT
        return status


def version() -> str:
    """The installed package's version; "unknown" in a checkout that is not installed."""
    try:
        return importlib.metadata.version("svg_tf")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
