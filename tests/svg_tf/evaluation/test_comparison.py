"""Comparison of evaluations, on reports made from given scores."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from svg_tf import evaluation
from svg_tf.config import to_dict
from svg_tf.evaluation import comparison, report
from svg_tf.families.svg.config import SVGConfig

N, S, T = 40, 3, 6


def written(folder, shift, seed, data="d", **options):
    """An evaluation's folder whose scores are those of shared sequences, plus `shift` at late steps."""
    shared, own = np.random.default_rng(0), np.random.default_rng(seed)
    difficulty = shared.normal(15, 5, (N, 1, 1))
    late = np.arange(T) >= T // 2
    scores = {
        "model_psnr": difficulty + shift * late + 0.1 * own.normal(size=(N, S, T)),
        "model_ssim": np.clip(0.5 + 0.01 * difficulty + 0.01 * own.normal(size=(N, S, T)), 0, 1),
        "copy_last_psnr": difficulty[:, 0] - 3 + np.zeros((N, T)),
        "copy_last_ssim": np.full((N, T), 0.3),
        "blank_psnr": np.full((N, T), 9.0),
        "blank_ssim": np.full((N, T), 0.2),
        "moving": np.arange(N) > 1,
        "bound_mse": np.full((N, T), 0.1),
        "bound_kl": np.full((N, T), 2.0),
        "data_sha256": data,
    }
    header = {
        "options": dataclasses.asdict(evaluation.Options(n_past=5, n_future=T, n_samples=S)) | options,
        "model": to_dict(SVGConfig()),
        "weights_sha256": f"{seed}",
        "description": {},
        "horizon": 8,
        "drawn_samples": S,
    }
    kept, result = report.summarize(header, scores, evaluation.HIGHER_IS_BETTER)
    folder.mkdir(parents=True)
    np.savez(folder / "scores.npz", **kept)
    report.write(result, folder)
    return folder


@pytest.fixture
def folders(tmp_path):
    return {
        "LP": written(tmp_path / "lp" / "evaluation", 1.0, 1).parent,  # a run's folder
        "FP": written(tmp_path / "fp", 0.4, 2),
        "deterministic": written(tmp_path / "det", 0.0, 3),
    }


def test_differences_are_paired(folders, tmp_path):
    result = comparison.compare(folders, tmp_path / "out")
    assert [(d["of"], d["minus"]) for d in result["paired_differences"]] == [("LP", "FP"), ("FP", "deterministic")]
    for difference, late in zip(result["paired_differences"], (0.6, 0.4), strict=True):
        entry = difference["psnr"]
        assert entry["mean"] == pytest.approx(late / 2, abs=0.05)
        assert entry["late_half"]["mean"] == pytest.approx(late, abs=0.05)
        assert entry["late_half"]["from_t"] == 8
        # The sequences' spread of 5 dB, 1.5 dB in an unpaired interval, has gone.
        assert entry["half_width"] < 0.05
        np.testing.assert_allclose(entry["per_step"]["mean"], [0, 0, 0, late, late, late], atol=0.06)
    assert result["rows"]["LP"]["psnr"]["half_width"] > 1.0
    assert result["rows"]["copy of the last frame (moving only)"]["psnr"]["n"] == N - 2
    text = (tmp_path / "out" / "comparison.md").read_text()
    assert "LP − FP" in text
    assert "blank frame" in text
    assert "SSIM (srvp)" in text
    assert json.loads((tmp_path / "out" / "comparison.json").read_text()) == result
    assert Image.open(tmp_path / "out" / "comparison.png").size[0] > 600


def test_what_cannot_be_compared_is_refused(folders, tmp_path):
    cases = {
        "protocol": written(tmp_path / "protocol", 0.0, 4, protocol="svg"),
        "SHA-256": written(tmp_path / "data", 0.0, 4, data="other"),
        "no finished": tmp_path,
    }
    for match, folder in cases.items():
        with pytest.raises(ValueError, match=match):
            comparison.compare({**folders, "other": folder}, tmp_path / "out")
    with pytest.raises(ValueError, match="at least two"):
        comparison.compare({"LP": folders["LP"]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_runs_of_several_seeds_are_pooled(folders, tmp_path):
    more = [written(tmp_path / f"lp{seed}", shift, seed) for seed, shift in ((5, 1.2), (6, 1.4))]
    groups = {"LP": [folders["LP"], *more], "FP": [folders["FP"]] * 3, "deterministic": folders["deterministic"]}
    result = comparison.compare(groups, tmp_path / "out")
    row = result["rows"]["LP"]["psnr"]
    assert len(row["runs"]) == 3
    assert row["mean"] == pytest.approx(np.mean(row["runs"]))
    np.testing.assert_allclose(np.diff(row["runs"]), 0.1, atol=0.05)
    first, second = result["paired_differences"]
    assert first["psnr"]["late_half"]["mean"] == pytest.approx(1.2 - 0.4, abs=0.05)
    assert first["psnr"]["mean"] == pytest.approx(np.mean(first["psnr"]["runs"]))
    assert second["psnr"]["runs"] == []  # three runs against one
    assert result["runs"] == {"LP": 3, "FP": 3, "deterministic": 1}
    assert "single runs" in (tmp_path / "out" / "comparison.md").read_text()
    with pytest.raises(ValueError, match="at least one"):
        comparison.compare({"LP": [], "FP": folders["FP"]}, tmp_path / "none")
