"""How the two programs write values that are no plain numbers as flags."""

import tyro

from data_pipelines import frame_size

REGISTRY = tyro.constructors.ConstructorRegistry()
"""For `tyro.cli(..., registry=REGISTRY)`: sizes of frames as 64 or 64x80."""


@REGISTRY.primitive_rule
def _size(info: tyro.constructors.PrimitiveTypeInfo) -> tyro.constructors.PrimitiveConstructorSpec | None:
    if info.type != frame_size.Size:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N|HxW",
        instance_from_str=lambda words: frame_size.parse(words[0]),
        is_instance=lambda value: isinstance(value, int | tuple),
        str_from_instance=lambda size: [frame_size.text(size)],
    )
