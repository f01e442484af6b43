"""Versions of the software that numbers depend on."""

import importlib.metadata
import platform

PACKAGES = ("svg_tf", "tensorflow", "keras", "tensorflow-probability", "tensorflow-datasets", "numpy", "pillow")


def installed() -> dict[str, str]:
    """Package -> version, and Python's; a package that runs from a checkout says so."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed as a package"
    return found
