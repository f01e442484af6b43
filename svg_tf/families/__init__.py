"""The families of models: one folder each. Outside its folder no file names a family, but for the table here.

A family of another package is found by its entry point in the group "svg_tf.families": name = module that holds `FAMILY`.
"""

import functools
import importlib
import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from svg_tf.config.base import ModelConfig
    from svg_tf.families.base import VideoPredictor
    from svg_tf.families.interface import Family
    from svg_tf.families.savp.config import SAVPConfig
    from svg_tf.families.savp.model import SAVP
    from svg_tf.families.srvp.config import SRVPConfig
    from svg_tf.families.srvp.model import SRVP
    from svg_tf.families.struct_vrnn.config import StructVRNNConfig
    from svg_tf.families.struct_vrnn.model import StructVRNN
    from svg_tf.families.sv2p.config import SV2PConfig
    from svg_tf.families.sv2p.model import SV2P
    from svg_tf.families.svg.config import SVGConfig
    from svg_tf.families.svg.model import SVG

TABLE = {
    "svg": "svg_tf.families.svg",
    "srvp": "svg_tf.families.srvp",
    "sv2p": "svg_tf.families.sv2p",
    "struct_vrnn": "svg_tf.families.struct_vrnn",
    "savp": "svg_tf.families.savp",
}
"""Name -> module that holds `FAMILY`."""
DEFAULT = "svg"

__all__ = [
    "SAVP", "SRVP", "SV2P", "SVG", "SAVPConfig", "SRVPConfig", "SV2PConfig", "SVGConfig", "StructVRNN", "StructVRNNConfig",
]  # fmt: skip


@functools.cache
def modules() -> dict[str, str]:
    """Name -> module of all families, this package's and those of others."""
    others = importlib.metadata.entry_points(group="svg_tf.families")
    return {entry.name: entry.value for entry in others} | TABLE


def names() -> list[str]:
    return sorted(modules())


def get(name: str) -> "Family":
    """What the family `name` consists of. Raises `ValueError` for an unknown name."""
    if name not in modules():
        raise ValueError(f"Unknown family {name!r}; families: {', '.join(names())}.")
    return importlib.import_module(modules()[name]).FAMILY


def config_class(name: str) -> type["ModelConfig"]:
    return get(name).load("config")


def build(config: "ModelConfig", **kwargs) -> "VideoPredictor":
    """The model of `config` with fresh weights; kwargs as of `keras.Model`. Its layers follow `dtype`, as the model does."""
    from svg_tf.families.base import dtype_policy

    with dtype_policy(kwargs.get("dtype") or "float32"):
        return get(config.family).load("model")(config, **kwargs)


def doors() -> dict[str, str]:
    """Public name -> "module:object" of the models and their configurations: `svg_tf.SVG`."""
    places = [place for name in names() for place in (get(name).model, get(name).config)]
    return {place.split(":")[1]: place for place in places}


def presets() -> dict[str, tuple[dict, ...]]:
    """Name -> layers of the presets of all families. Raises `ValueError` where two families have one name."""
    found: dict[str, tuple[dict, ...]] = {}
    for name in names():
        own = get(name).load("presets") or {}
        twice = sorted(set(own) & set(found))
        if twice:
            raise ValueError(f"Family {name!r} has a preset that another one has: {twice[0]!r}.")
        found |= own
    return found


def __getattr__(name):
    if name in __all__:
        module, _, attribute = doors()[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    raise AttributeError(f"module 'svg_tf.families' has no attribute {name!r}")
