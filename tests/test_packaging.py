"""What is packed, and whether it works from outside of the checkout."""

import os
import pathlib
import subprocess
import sys
import tarfile
import zipfile

import pytest

import svg_tf

ROOT = pathlib.Path(__file__).resolve().parents[1]
pytest.importorskip("setuptools")
pytest.importorskip("wheel")


def ran(*arguments, **kwargs):
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=600, **kwargs)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """(names in the sdist, folder of the unzipped wheel that was built from it)."""
    folder = tmp_path_factory.mktemp("packed")
    build = "import sys, setuptools.build_meta as b; print(b.build_sdist(sys.argv[1]))"
    source = folder / "checkout"  # a copy, since building leaves files behind
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True)
    if listed.returncode:
        pytest.skip("this is no checkout")
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    archive = folder / ran("-c", build, str(folder), cwd=source).splitlines()[-1]
    with tarfile.open(archive) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    offline = ("--no-build-isolation", "--no-deps", "--no-index")
    ran("-m", "pip", "wheel", "-q", *offline, "-w", str(folder), str(archive), cwd=folder)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(folder / "wheel")
    return names, folder / "wheel"


def test_the_source_distribution_is_complete(packed):
    names, _ = packed
    wanted = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "constraints.txt", ".ci/run", "tools/test.sh", "tests/conftest.py",
              "tests/toy_family/toy_family.py", "docs/data.md", "saved_models/smmnist_mini/run/config.json",
              "svg_tf/py.typed", "svg_tf/evaluation/metrics/digit_network.npz",
              "svg_tf/evaluation/metrics/digit_network.json"}  # fmt: skip
    assert wanted <= names
    rooms = [ROOT / room for room in ("svg_tf", "data_pipelines", "tests")]
    sources = {path.relative_to(ROOT).as_posix() for room in rooms for path in room.rglob("*.py")}
    assert not sources - names
    assert not any("__pycache__" in name for name in names)


def test_the_wheel_holds_the_packages_and_a_trained_run(packed):
    _, wheel = packed
    for room in ("svg_tf", "data_pipelines"):
        own = {path.relative_to(ROOT).as_posix() for path in (ROOT / room).rglob("*.py")}
        assert own == {path.relative_to(wheel).as_posix() for path in (wheel / room).rglob("*.py")}
        assert (wheel / room / "py.typed").is_file()
    for ending in (".npz", ".json"):
        name = f"svg_tf/evaluation/metrics/digit_network{ending}"
        assert (wheel / name).read_bytes() == (ROOT / name).read_bytes()
    shipped = wheel / "svg_tf" / "shipped" / "smmnist_mini" / "run"
    assert sorted(path.suffix for path in shipped.rglob("*") if path.is_file()) == [".json", ".npz"]
    (metadata,) = wheel.glob("*.dist-info/METADATA")
    text = metadata.read_text(encoding="utf-8")
    headers, _, page = text.partition("\n\n")
    facts = dict(line.split(": ", 1) for line in headers.splitlines())
    assert facts["Version"] == svg_tf.__version__
    assert set(facts["Requires-Python"].split(",")) == {">=3.10", "<3.14"}
    assert {"Author", "Classifier", "Home-page"} <= set(facts)
    assert "](docs/" not in page and "](saved_models/" not in page and 'src="' not in page


def test_the_wheel_works_from_outside(packed, tmp_path):
    _, wheel = packed
    environment = {**os.environ, "PYTHONPATH": str(wheel), "TF_CPP_MIN_LOG_LEVEL": "3"}
    outside = {"cwd": tmp_path, "env": environment}
    assert "smmnist_mini" in ran("-m", "svg_tf.cli", "presets", **outside)
    assert ran("-m", "svg_tf.cli", "--version", **outside).startswith("svg-tf ")
    program = (
        "import numpy as np, svg_tf\n"
        "model = svg_tf.from_preset('smmnist_mini')\n"
        "print(svg_tf.__file__, model.generate(np.zeros([1, 5, 32, 32, 1], np.float32), 2).shape)\n"
        "try: svg_tf.from_preset('kth_lp')\n"
        "except ValueError as error: print(error)"
    )
    printed = ran("-c", program, **outside).splitlines()
    assert printed[-2].startswith(str(wheel)) and printed[-2].endswith("(1, 1, 2, 32, 32, 1)")
    assert "No trained model of 'kth_lp' comes with this package; trained models come with smmnist_mini" in printed[-1]
