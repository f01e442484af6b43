"""The README's example runs as it is written."""

import pathlib
import re

import numpy as np

from svg_tf import presets

README = pathlib.Path(__file__).resolve().parents[1] / "README.md"


def test_the_example_runs_as_written(tmp_path, monkeypatch):
    (code,) = re.findall(r"<!-- example -->\n```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    samples = names["samples"].numpy()
    assert samples.shape == (1, 100, 25, 64, 64, 1) and samples.dtype == np.float32
    assert 0 <= samples.min() < samples.max() <= 1
    assert names["reconstruction"].shape == (4, 29, 64, 64, 1)
    assert names["sigma"].shape == (4, 29, 10) and float(names["sigma"].numpy().min()) > 0
    assert (tmp_path / "svg.keras").stat().st_size > 1_000_000
    assert list((tmp_path / "logs" / "videos").glob("events*"))


def test_records_of_the_human36m_recipe_hold_a_test_window():
    (segment,) = re.findall(r"--segment-frames (\d+)", README.read_text(encoding="utf-8"))
    experiment = presets.get("h36m_srvp")
    span = (experiment.model.n_past + experiment.eval.n_future - 1) * experiment.data.frame_stride + 1
    assert 300 < span <= int(segment)
