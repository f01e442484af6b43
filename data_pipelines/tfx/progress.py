"""How far the pipeline is: a line for each component, bars within one. Needs no TFX."""

import contextlib
import logging
import re
import sys
import time

_RUNNING = re.compile(r"Component (\S+) is (running|finished)\.")
_CACHED = re.compile(r"A cached execution \d+ is used")


@contextlib.contextmanager
def bars():
    """Gives a function of (split, done, total) that draws bars on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from data_pipelines.cli import Progress

    with Progress() as shown:
        yield shown


class Lines(logging.Handler):
    """Turns what TFX's local runner logs of its components into lines: number, name, time, and whether the cache was used."""

    def __init__(self, total: int, show=None):
        super().__init__(logging.INFO)
        self._total, self._show = total, show or (lambda line: print(line, file=sys.stderr, flush=True))
        self._start, self._cached, self.seconds, self.cached = 0.0, False, {}, {}
        self.current: str | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if _CACHED.match(text):
            self._cached = True
            return
        match = _RUNNING.fullmatch(text)
        if match is None:
            return
        name, what = match.groups()
        if what == "running":
            self.current, self._start, self._cached = name, time.monotonic(), False
            self._show(f"[{len(self.seconds) + 1}/{self._total}] {name} ...")
            return
        self.seconds[name], self.cached[name] = time.monotonic() - self._start, self._cached
        self.current = None
        self._show(f"[{len(self.seconds)}/{self._total}] {name}: {'from the cache' if self._cached else 'done'}, "
                   f"{self.seconds[name]:.1f} s")  # fmt: skip


@contextlib.contextmanager
def lines(total: int, show=None):
    """Gives a `Lines` that listens while the block runs; all else that TFX, Beam and TensorFlow log is kept to errors."""
    logger, listener = logging.getLogger("absl"), Lines(total, show)
    level, propagate = logger.level, logger.propagate
    shown = [(handler, handler.level) for handler in (*logger.handlers, *logging.getLogger().handlers)]
    logger.setLevel(logging.INFO)
    for handler, _ in shown:
        handler.setLevel(logging.ERROR)
    logger.addHandler(listener)
    try:
        yield listener
    finally:
        logger.removeHandler(listener)
        logger.setLevel(level)
        logger.propagate = propagate
        for handler, before in shown:
            handler.setLevel(before)
