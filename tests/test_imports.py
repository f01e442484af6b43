"""Who may import whom: the order of DESIGN, kept by reading the sources."""

import ast
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
ORDER = [
    {"config", "presets"},
    {"kernels", "motion_kernels", "noise", "distributions", "losses", "loss_scale"},
    {"layers"},
    {"models"},
    {"checkpoints"},
    {"callbacks", "report", "comparison", "evaluation", "figures", "serving"},
    {"multi_worker"},
    {"training"},
    {"cli_evaluation", "cli_serving"},
    {"cli"},
]
# Besides the two programs: the exported graph and its client scale pixels and read clips as training does.
MEET_DATA_PIPELINES = {
    "svg_tf/training.py",
    "svg_tf/cli.py",
    "svg_tf/cli_evaluation.py",
    "svg_tf/serving/signatures.py",
    "svg_tf/serving/clips.py",
}
WITHOUT_MODELS = {"metrics", "visualization", "summaries"}


def imported(path: pathlib.Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def modules():
    return sorted(ROOT.glob("svg_tf/**/*.py")) + sorted(ROOT.glob("data_pipelines/**/*.py"))


def part(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[1]


def parts_of(names, package="svg_tf") -> set[str]:
    return {n.split(".")[1] for n in names if n.startswith(f"{package}.") and (ROOT / package / n.split(".")[1]).exists()
            or n.startswith(f"{package}.") and (ROOT / package / f"{n.split('.')[1]}.py").exists()}  # fmt: skip


def test_modules_import_from_their_left_only():
    rank = {name: i for i, names in enumerate(ORDER) for name in names}
    for path in sorted(ROOT.glob("svg_tf/**/*.py")):
        if part(path) not in rank:
            continue
        later = {p for p in parts_of(imported(path)) if rank.get(p, -1) > rank[part(path)]}
        assert not later, f"{path.name} imports {later}"


@pytest.mark.parametrize("name", sorted(WITHOUT_MODELS))
def test_metrics_and_pictures_know_no_models(name):
    for path in [*ROOT.glob(f"svg_tf/{name}.py"), *ROOT.glob(f"svg_tf/{name}/*.py")]:
        assert not parts_of(imported(path)) & {"models", "layers", "training", "callbacks", "evaluation"}, path


def test_special_rooms():
    for path in modules():
        names, relative = imported(path), path.relative_to(ROOT).as_posix()
        roots = {n.split(".")[0] for n in names}
        if relative not in ("svg_tf/distributions.py",):
            assert "tensorflow_probability" not in roots, relative
        if relative.startswith("svg_tf/layers/"):
            assert "tensorflow" not in roots, relative
        if relative.startswith("svg_tf/config/") or relative == "svg_tf/presets.py":
            assert roots <= set(sys.stdlib_module_names) | {"svg_tf"}, relative
        if relative.startswith("svg_tf/") and relative not in MEET_DATA_PIPELINES:
            assert "data_pipelines" not in roots, relative
        assert not roots & {"pickle", "dill", "cloudpickle", "joblib"}, relative
