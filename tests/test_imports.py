"""Who may import whom, and who may name a family: kept by reading the sources."""

import ast
import pathlib
import re
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
FAMILIES = sorted(path.name for path in (ROOT / "svg_tf" / "families").iterdir() if (path / "model.py").is_file())
# A module imports from its own line and earlier ones. The longest name that a module starts with says where it stands.
ORDER = [
    ["version", "versions", "protocols", "clusters", "kernels", "motion_kernels", "noise", "distributions", "losses",
     "skip_terms", "layers", "families.interface", "families.settings", "families.shapes", "families.inputs", "families.compiled",
     "visualization", "markers", "evaluation.metrics"],
    ["config", "presets", "families.__init__", "families.reference", "sources",
     *(f"families.{name}.{part}" for name in FAMILIES for part in ("__init__", "config", "presets"))],
    ["training.program", "training.loss_scale"],
    ["families"],
    ["summaries", "evaluation", *(f"families.{name}.figures" for name in FAMILIES)],
    ["training"],
    ["doors", "importing", "serving"],
    ["cli"],
    ["__init__"],
]  # fmt: skip
RANK = {name: i for i, names in enumerate(ORDER) for name in names}
# Files that may write these words for something else than a family: definitions of measurements and physics by their papers.
PAPERS = {"svg_tf/protocols.py", "svg_tf/evaluation/metrics/frame.py", "svg_tf/evaluation/fvd.py", "svg_tf/evaluation/options.py",
          "svg_tf/evaluation/figures/moving_digits.py", "svg_tf/config/experiment.py"}  # fmt: skip

PACKAGES_OWN = ("svg_tf", "svg_callbacks")  # called after the package, not after the family
LATER = {("families.__init__", "svg_tf.families.base")}  # within `build`, which is called when all is imported


def modules(*rooms):
    return sorted(path for room in rooms for path in ROOT.glob(f"{room}/**/*.py"))


def tree_of(path: pathlib.Path) -> ast.Module:
    """Without what type checkers alone see, and without docstrings."""

    class Running(ast.NodeTransformer):
        def visit_If(self, node):
            return None if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING" else self.generic_visit(node)

        def visit_Expr(self, node):
            return ast.Pass() if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    return Running().visit(ast.parse(path.read_text(encoding="utf-8")))


def is_module(name: str) -> bool:
    place = ROOT.joinpath(*name.split("."))
    return place.with_suffix(".py").is_file() or place.is_dir()


def imported(path: pathlib.Path) -> set[str]:
    """Modules, those within functions too; `from a import b` is a.b where that is a module."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import"
            names |= {n if is_module(n) else node.module for n in (f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def rank(name: str, what: str) -> int:
    """name: a module within svg_tf."""
    parts = (f"{name}.__init__" if (ROOT / "svg_tf" / name.replace(".", "/")).is_dir() else name).split(".")
    found = next((RANK[".".join(parts[:n])] for n in range(len(parts), 0, -1) if ".".join(parts[:n]) in RANK), None)
    assert found is not None, f"{what} has no place in ORDER: {name}"
    return found


@pytest.mark.parametrize("path", modules("svg_tf"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_module_has_its_place_and_imports_from_before_it(path):
    name = ".".join(path.relative_to(ROOT / "svg_tf").with_suffix("").parts)
    own = rank(name, "A module")
    for other in imported(path):
        if other.startswith("svg_tf.") and (name, other) not in LATER:
            assert rank(other.removeprefix("svg_tf."), name) <= own, f"{name} imports {other}"


TRAINS = {f"data_pipelines/tfx/{name}.py" for name in ("blessing", "infra_validator", "pusher", "run", "training")}
"""Components of the TFX pipeline that train, measure and push models: they import the library, within functions."""


def test_the_data_layer_knows_nothing_of_models():
    for path in modules("data_pipelines"):
        relative = path.relative_to(ROOT).as_posix()
        names = imported(path)
        if relative in TRAINS:
            top = [node for node in tree_of(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
            names = {getattr(node, "module", None) or node.names[0].name for node in top}
        assert "svg_tf" not in {name.split(".")[0] for name in names if name}, path


def test_metrics_and_pictures_know_no_models():
    for path in [*modules("svg_tf/evaluation/metrics"), ROOT / "svg_tf/visualization.py", ROOT / "svg_tf/summaries.py",
                 ROOT / "svg_tf/evaluation/plots.py"]:  # fmt: skip
        own = {name for name in imported(path) if name.startswith("svg_tf.")}
        allowed = ("svg_tf.evaluation.metrics", "svg_tf.visualization", "svg_tf.protocols")
        assert all(name.startswith(allowed) for name in own), (path, own)


def test_families_do_not_know_each_other():
    for family in FAMILIES:
        for path in modules(f"svg_tf/families/{family}"):
            others = {f"svg_tf.families.{name}" for name in FAMILIES if name != family}
            assert not {n for n in imported(path) if any(n == o or n.startswith(f"{o}.") for o in others)}, path


def test_outside_of_its_folder_no_file_names_a_family():
    """Neither as an identifier (SVG, SRVPConfig, of_svg, families.svg) nor as a string by which one is told from another."""
    words = "|".join(FAMILIES)
    identifier = re.compile(rf"(?:^|_)({words})(?:_|$|Config$)", re.IGNORECASE)
    for path in modules("svg_tf"):
        relative = path.relative_to(ROOT).as_posix()
        own = relative.split("/")[:2] == ["svg_tf", "families"] and relative.split("/")[2] in FAMILIES
        if own or relative in ("svg_tf/families/__init__.py", "svg_tf/families/settings.py"):
            continue
        for node in ast.walk(tree_of(path)):
            names = [getattr(node, field, None) for field in ("id", "attr", "name", "arg", "module")]
            for name in filter(lambda n: isinstance(n, str), names):
                named = [part for part in name.split(".") if identifier.search(part) and part not in PACKAGES_OWN]
                assert not named, f"{relative}:{getattr(node, 'lineno', 0)} names {named}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and relative not in PAPERS:
                assert node.value.lower() not in FAMILIES, f"{relative}:{node.lineno} compares {node.value!r}"


def test_special_rooms():
    for path in modules("svg_tf", "data_pipelines"):
        relative, roots = path.relative_to(ROOT).as_posix(), {name.split(".")[0] for name in imported(path)}
        if relative != "svg_tf/distributions.py":
            assert "tensorflow_probability" not in roots, relative
        if relative.startswith("svg_tf/layers/"):
            assert "tensorflow" not in roots, relative
        if relative.startswith("svg_tf/config/") or relative in ("svg_tf/presets.py", "svg_tf/sources.py", "svg_tf/protocols.py"):
            assert roots <= set(sys.stdlib_module_names) | {"svg_tf", "data_pipelines"}, relative
        assert not roots & {"pickle", "dill", "cloudpickle", "joblib"}, relative
