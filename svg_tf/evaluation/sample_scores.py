"""Proper scores and calibration of samples, group by group as they are drawn; what the report says of them.

Of pixels: the energy score of each predicted frame (root mean squared pixel difference), and the rank of the true frame by its
distance to the mean of the group. Of places, on Moving MNIST: the same of each digit's position in pixels, over the first group:
where the digit is in a model's sample is located by correlation; truth and simulator are known.
"""

import numpy as np

from svg_tf.evaluation import positions
from svg_tf.evaluation.metrics import proper, video

ROWS = {"model": "samples", "copy_last": "copy of the last frame", "blank": "blank frame", "simulator": "simulator"}
TITLES = {"energy": "energy score", "place_energy": "energy score of positions (px)"}
ERRORS = {"rank": "calibration error, frames", "place_rank": "calibration error, positions"}


class Places:
    """Where the digits of a chunk's sequences are, in pixels.

    future: float [B, F, H, W, 1], the true frames; at: float [B, F, N, 2], true positions in them; last: float [B, N, 2], in the
    last context frame; images: float [B, N, d, d], digits as they are drawn.

    A single digit of true or simulated frames is where its state says. Of several, which hide each other, the places are found in
    these frames as in a model's, so that the error of locating is the same for all.
    """

    def __init__(self, future, at, last, images):
        self._locators = [positions.Locator(own, future.shape[2]) for own in images]
        self.last, known = np.rint(last).astype(np.float32), np.rint(at).astype(np.float32)
        found = self.of(future[:, None])[:, 0]
        self.locating_error = np.linalg.norm(found - known, axis=-1).mean(axis=(1, 2))  # pixels [B]
        self.known = images.shape[1] == 1
        self.truth = known if self.known else found

    def of(self, frames) -> np.ndarray:
        """frames [B, S, F, H, W, 1] -> float32 [B, S, F, N, 2]"""
        found = [
            locate(own.reshape(-1, *own.shape[2:4])).reshape(*own.shape[:2], -1, 2)
            for locate, own in zip(self._locators, frames, strict=True)
        ]
        return np.stack(found).astype(np.float32)


class SampleScores:
    """Collects the groups of one row. future: float [B, F, H, W, C]; size: samples of a whole group; seed: for ties."""

    def __init__(self, row: str, future, size: int, seed: tuple[int, ...], places: Places | None = None):
        self._row, self._future, self._size, self._places = row, future, size, places
        self._chance = np.random.default_rng(seed)
        self._groups, self._ranks, self._of_places = [], [], {}

    def add(self, samples, where=None) -> None:
        """samples: float [B, n, F, H, W, C]; where: float [B, n, F, N, 2] where the digits' places are known."""
        truth = self._future.reshape(*self._future.shape[:2], -1)
        flat = np.moveaxis(samples.reshape(*samples.shape[:3], -1), 1, 0)
        group = proper.Group(truth, flat)
        self._groups.append(group)
        whole = group.size == self._size and group.size > 1
        if whole:
            self._ranks.append(group.rank(self._chance.random(truth.shape[:2])))
        if self._places is None or self._of_places:
            return
        exact = where is not None and self._places.known
        where = np.rint(where) if exact else self._places.of(samples)
        group = proper.Group(self._places.truth, np.moveaxis(where, 1, 0))
        self._of_places = {"place_energy": (np.sqrt(2) * proper.energy([group])).mean(axis=-1)}  # the distance in the plane
        if whole:
            self._of_places["place_rank"] = group.rank(self._chance.random(self._places.truth.shape[:3]))

    def result(self) -> dict[str, np.ndarray]:
        """{row_energy [B, F], row_rank [B, groups, F], row_place_energy [B, F], row_place_rank [B, F, N]}"""
        out = {"energy": proper.energy(self._groups), **self._of_places}
        out = {name: value.astype(np.int16 if "rank" in name else np.float32) for name, value in out.items()}
        if self._ranks:
            out["rank"] = np.stack(self._ranks, axis=1).astype(np.int16)
        return {f"{self._row}_{name}": value for name, value in out.items()}


def of_point(row: str, future, predicted, places: Places | None = None, where=None) -> dict[str, np.ndarray]:
    """A prediction that is one point: the energy score is its distance. where: float [B, N, 2] of its digits, if it has any."""
    scores = SampleScores(row, future, 1, (0,), places if where is not None else None)
    shape = (len(future), 1, future.shape[1], *where.shape[1:]) if where is not None else None
    scores.add(predicted[:, None], None if where is None else np.broadcast_to(where[:, None, None], shape))
    return scores.result()


def summary(scores: dict, statistics, share) -> dict:
    """The report's entry: {score: {row: statistics}}, calibration {which: {row: {"error", "histogram", "n"}}}, shares.

    statistics: values [N, F] -> their statistics. share: as `ceiling.share`.
    """
    result: dict = {
        name: {row: statistics(scores[f"{row}_{name}"]) for row in ROWS if f"{row}_{name}" in scores} for name in TITLES
    }
    result = {name: rows for name, rows in result.items() if rows}
    calibration: dict = {}
    for name in ERRORS:
        for row in ("model", "simulator"):
            ranks = scores.get(f"{row}_{name}")
            if ranks is None or f"{row}_energy" not in scores:
                continue
            size = int(scores[f"{row}_group"][0])
            shares = proper.histogram(ranks, size)
            entry = {"error": proper.calibration_error(shares), "group": size, "histogram": shares.tolist(), "n": int(ranks.size)}
            calibration.setdefault(name, {})[row] = entry
    if calibration:
        result["calibration"] = calibration
    if "simulator_energy" in scores:
        ends = [scores[f"{row}_energy"].mean(axis=1) for row in ("model", "blank", "simulator")]
        result["share_in_energy"] = share(*ends, higher_is_better=False)
    if "locating_error" in scores:
        mean, _ = video.mean_interval(scores["locating_error"])
        result["locating_error"] = float(mean)
    return result


def table(entry: dict, text, share_text, label: str = ROWS["model"]) -> list[str]:
    """Markdown. text: (statistics, digits) -> a cell."""
    scores = [name for name in TITLES if name in entry]
    errors = [name for name in ERRORS if name in entry.get("calibration", {})]
    shared = ["share in energy score"] if "share_in_energy" in entry else []
    titles = [*(TITLES[name] for name in scores), *shared, *(ERRORS[name] for name in errors)]
    lines = ["| | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for row in entry["energy"]:
        cells = [text(entry[name][row], 4 if name == "energy" else 2) if row in entry[name] else "" for name in scores]
        if shared:
            cells.append({"model": share_text(entry["share_in_energy"]), "blank": "0", "simulator": "1"}.get(row, ""))
        calibrations = [entry["calibration"][name].get(row) for name in errors]
        cells += [f"{c['error']:.3f}" if c else "" for c in calibrations]
        lines.append(f"| {label if row == 'model' else ROWS[row]} | " + " | ".join(cells) + " |")
    return lines


def sentence(entry: dict) -> str:
    """What the numbers of the table are."""
    lines = (
        "Proper scores, smaller is better: the fair energy score of each predicted frame (root mean squared pixel difference), "
        "which rewards the right distribution, not scatter."
    )
    if "place_energy" in entry:
        error = f", which errs by {entry['locating_error']:.2f} px in true frames" if "locating_error" in entry else ""
        lines += f" Positions: of the first samples, digits located by correlation{error}."
    if "calibration" in entry:
        size = max(c["group"] for rows in entry["calibration"].values() for c in rows.values())
        lines += (
            f" Calibration error: of the ranks of the truth among up to {size} samples, by the distance to their common mean; 0 "
            "where every rank is as frequent, 0.5 at most; that of the simulator, which is calibrated, is owed to chance."
        )
    return lines
