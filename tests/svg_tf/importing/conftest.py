"""The references' checkpoints with their answers, where they are beside the checkout."""

import pathlib

import pytest

REFERENCE = pathlib.Path(__file__).resolve().parents[4] / "shared" / "reference"


@pytest.fixture(scope="session")
def reference() -> pathlib.Path:
    if not REFERENCE.is_dir():
        pytest.skip("the references' checkpoints are not beside this checkout")
    return REFERENCE
