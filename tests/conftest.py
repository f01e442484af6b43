"""Shared fixtures. Tests run on CPU, without network, and without the real data files."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pathlib  # noqa: E402
import sys  # noqa: E402

import pytest  # noqa: E402

from svg_tf import families  # noqa: E402

SHARED_DATA = pathlib.Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> pathlib.Path:
    """Folder of real files (MNIST, KTH, BAIR, video) beside the checkout; tests that need it skip without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("real data files are not beside this checkout")
    return SHARED_DATA

TOY_FAMILY = pathlib.Path(__file__).resolve().parent / "toy_family"


@pytest.fixture(scope="session")
def toy():
    """The module of the toy family, found as one of another package is: by its entry point."""
    sys.path.insert(0, str(TOY_FAMILY))
    families.modules.cache_clear()
    import toy_family

    yield toy_family
    sys.path.remove(str(TOY_FAMILY))
    families.modules.cache_clear()
