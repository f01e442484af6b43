"""Means of the metrics over the steps between two looks, from `logs` alone."""


class IntervalMeans:
    """Means over the steps since the last `take`, from the running means of the epoch that every step's `logs` hold.

    No metric's variable is read: on several machines that is a collective operation. A metric counts the steps whose updates
    moved it.
    """

    def __init__(self, model):
        self._model = model
        self.reset()

    def reset(self):
        """At an epoch's start."""
        self._now: dict[str, tuple[int, float]] = {}  # name -> (steps, running mean)
        self._last: dict[str, tuple[int, float]] = {}
        self._step = self._model.step

    def update(self, logs: dict) -> None:
        """After a training step, or several in one execution."""
        step = self._model.step
        for taken in range(self._step + 1, step + 1):
            for name in self._model.metrics_at(taken):
                if name in logs:
                    self._now[name] = (self._now.get(name, (0, 0.0))[0] + 1, float(logs[name]))
        self._step = step

    def take(self) -> dict[str, float]:
        means = {}
        for name, (count, mean) in self._now.items():
            seen, before = self._last.get(name, (0, 0.0))
            if count > seen:
                means[name] = (count * mean - seen * before) / (count - seen)
        self._last = dict(self._now)
        return means

    def state(self) -> dict:
        """JSON-serializable; `restore` takes it."""
        parts = {"now": self._now, "last": self._last}
        return {part: {name: list(pair) for name, pair in values.items()} for part, values in parts.items()}

    @staticmethod
    def of_0_1_0(state: dict, steps: int) -> dict:
        """A state of 0.1.0, written `steps` after the epoch began, as one of today: there totals counted sequences."""
        now = state.get("totals", {})

        def pair(name, total, count):
            sequences = now.get(name, [0, 0])[1] / max(1, steps)  # of a step
            return [round(count / sequences) if sequences else 0, total / count if count else 0.0]

        parts = {"now": now, "last": state.get("last", {})}
        return {part: {name: pair(name, *found) for name, found in values.items()} for part, values in parts.items()}

    def restore(self, state: dict) -> None:
        self._now, self._last = ({n: tuple(pair) for n, pair in state.get(part, {}).items()} for part in ("now", "last"))
        self._step = self._model.step
