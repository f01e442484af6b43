"""How far the pipeline is: a line for each component, bars within one. Needs no TFX."""

import contextlib
import logging
import sys
import time


@contextlib.contextmanager
def bars():
    """Gives a function of (split, done, total) that draws bars on stderr, where that is a terminal; else None."""
    if not sys.stderr.isatty():
        yield None
        return
    from data_pipelines.cli import Progress

    with Progress() as shown:
        yield shown


class Lines:
    """A line when a component starts, and one when it has ended: number, name, time, whether the cache was used."""

    def __init__(self, total: int, show=None):
        self._total, self._show = total, show or (lambda line: print(line, file=sys.stderr, flush=True))
        self._start = 0.0
        self.seconds: dict[str, float] = {}
        self.cached: dict[str, bool] = {}

    def started(self, name: str) -> None:
        self._start = time.monotonic()
        self._show(f"[{len(self.seconds) + 1}/{self._total}] {name} ...")

    def ended(self, name: str, cached: bool) -> None:
        self.seconds[name], self.cached[name] = time.monotonic() - self._start, cached
        how = "from the cache" if cached else "done"
        self._show(f"[{len(self.seconds)}/{self._total}] {name}: {how}, {self.seconds[name]:.1f} s")


@contextlib.contextmanager
def quiet():
    """TFX, Beam and what they call log errors alone while the block runs."""
    loggers = [logging.getLogger(name) for name in (None, "absl", "apache_beam")]
    shown = [(thing, thing.level) for logger in loggers for thing in (logger, *logger.handlers)]
    for thing, _ in shown:
        thing.setLevel(logging.ERROR)
    try:
        yield
    finally:
        for thing, level in shown:
            thing.setLevel(level)
