"""README and docs: the example runs, links lead somewhere, commands are those that there are."""

import pathlib
import re
import shlex

import numpy as np
import pytest
import tyro

from data_pipelines import cli as data_cli
from data_pipelines import flags as written
from svg_tf import cli, config, presets

ROOT = pathlib.Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "saved_models" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 180


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


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_files_are_there(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
    for path in re.findall(r"`((?:svg_tf|data_pipelines|tools|tests|docs)/[\w./-]+\.\w+)`", text):
        assert (ROOT / path).exists(), f"{page.name} names {path}"


def commands():
    for page in PAGES:
        for block in re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                if line.startswith(("svg-tf ", "svg-data ")):
                    words = shlex.split(line, comments=True)
                    yield pytest.param(words, id=f"{page.stem}: {' '.join(words)}"[:70])


@pytest.mark.parametrize("words", commands())
def test_commands_are_understood(words):
    """Names of commands and flags, and the types of their values; nothing is run."""
    program, name, *rest = words
    rest = [word.replace("NAME", "name") for word in rest]
    if name == "train":
        flags = tyro.conf.AvoidSubcommands[config.ExperimentConfig]
        where = rest.index("--run-dir")
        tyro.cli(flags, default=presets.get(rest[0]), args=rest[1:where] + rest[where + 2 :], registry=written.REGISTRY)
    elif (program, name) == ("svg-data", "build"):
        tyro.cli(data_cli.BUILDERS[rest[0]], args=rest[1:], registry=written.REGISTRY)
    else:
        tyro.cli((cli.COMMANDS if program == "svg-tf" else data_cli.COMMANDS)[name], args=rest)


def test_records_of_the_human36m_recipe_hold_a_test_window():
    (segment,) = re.findall(r"--segment-frames (\d+)", (ROOT / "docs" / "data.md").read_text(encoding="utf-8"))
    experiment = presets.get("h36m_srvp")
    span = (experiment.model.n_past + experiment.eval.n_future - 1) * experiment.data.frame_stride + 1
    assert 300 < span <= int(segment)
