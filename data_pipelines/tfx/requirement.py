"""Whether TFX can be used, in one line. Standard library only."""

import importlib
import importlib.util
import platform

MODULES = {"tfx": "tfx", "ml_metadata": "ml-metadata", "tensorflow_data_validation": "tensorflow-data-validation"}
LEAST_GLIBC = (2, 39)


def _is_there(module: str) -> bool:
    """A folder that happens to be called so is none."""
    found = importlib.util.find_spec(module)
    return found is not None and found.origin is not None


def missing() -> str:
    """What keeps TFX from being used here, in one line; empty where nothing does."""
    absent = [package for module, package in MODULES.items() if not _is_there(module)]
    if not absent:
        return ""
    name, version = platform.libc_ver()
    text = f"The pipeline needs TFX 1.21, and {', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed"
    if name == "glibc" and tuple(int(part) for part in version.split(".")[:2]) < LEAST_GLIBC:
        wanted = ".".join(map(str, LEAST_GLIBC))
        return f"{text}: its wheels need glibc {wanted} (Debian 13, Ubuntu 24.04), here is {version}; see tools/tfx_check.sh."
    return f"{text}: pip install 'svg_tf[tfx]'."


def require() -> None:
    """Raises `ValueError` with that line."""
    text = missing()
    if text:
        raise ValueError(text)
    try:
        importlib.import_module("tfx.v1")
    except ImportError as error:
        raise ValueError(f"TFX is installed and cannot be imported: {error}.") from error
