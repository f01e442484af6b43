"""The digit-motion distance in an evaluation: which clips are compared, and what is said of the result. It is not FVD."""

import numpy as np

from svg_tf.evaluation.metrics import digit_network, video

DRAWS = 5
"""Samples of each sequence, each of which gives a distance."""
ROWS = {"model": "model", "simulator": "simulator (the floor of so many sequences)"}


def fits(frame_shape: tuple[int, ...]) -> bool:
    """Whether the network sees frames of shape (H, W, C)."""
    height, width, channels = frame_shape
    return channels == 1 and height == width and height % digit_network.SIDE == 0


def features(row: str, last, samples) -> dict[str, np.ndarray]:
    """last: the last context frame, float [B, 1, H, W, 1], so that the first motion is seen; samples: [B, S, F, H, W, 1] ->
    {row_digit_motion: float32 [B, min(S, DRAWS), D]}"""
    network = digit_network.shipped()
    drawn = [network.features(np.concatenate([last, samples[:, s]], axis=1)) for s in range(min(DRAWS, samples.shape[1]))]
    return {f"{row}_digit_motion": np.stack(drawn, axis=1).astype(np.float32)}


def summary(scores: dict) -> dict:
    """{row: {"value", "half_width", "draws"}, "n", "frames", "network_sha256", "biased"}: the mean over draws, float64."""
    real = scores["truth_digit_motion"][:, 0].astype(np.float64)
    result: dict = {}
    for row in ROWS:
        if f"{row}_digit_motion" not in scores:
            continue
        drawn = scores[f"{row}_digit_motion"].astype(np.float64)
        values = np.array([digit_network.distance(real, drawn[:, i]) for i in range(drawn.shape[1])])
        mean, half = video.mean_interval(values)
        half = float(half) if np.isfinite(half) else None
        result[row] = {"value": float(mean), "half_width": half, "draws": values.tolist()}
    network = digit_network.shipped()
    facts = {"n": len(real), "frames": int(scores["model_energy"].shape[1]) + 1, "network_sha256": network.sha256}
    return result | facts | {"biased": len(real) <= network.dimensions}


def sentence(entry: dict) -> str:
    parts = []
    for row, name in ROWS.items():
        if row in entry:
            half = "" if entry[row]["half_width"] is None else f" ± {entry[row]['half_width']:.1f}"
            parts.append(f"{name} {entry[row]['value']:.1f}{half}")
    note = ", few sequences: biased upwards" if entry["biased"] else ""
    return (
        f"Digit-motion distance (Fréchet, of this package's own small network; not FVD): {', '.join(parts)}. N {entry['n']}, "
        f"T {entry['frames']} with the last context frame, mean over draws of one sample of each sequence{note}."
    )
