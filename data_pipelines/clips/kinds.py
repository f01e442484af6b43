"""What a file is, by its name: video, animation, picture, or something that a file manager left."""

import os
import re

VIDEO_SUFFIXES = frozenset(
    {".avi", ".divx", ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2", ".f4v", ".mkv", ".webm", ".mpg", ".mpeg", ".mpe", ".vob"}
    | {".ts", ".m2ts", ".mts", ".wmv", ".asf", ".flv", ".ogv", ".mxf"}
)
"""Containers that PyAV reads (extra [video]) and that tell when they are cut; raw streams do not."""
ANIMATION_SUFFIXES = frozenset({".gif", ".apng"})
"""Read by Pillow; a .webp, .tif or .tiff of several frames is an animation as well."""
PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm"}
)
"""Read by Pillow, one frame each."""
PERHAPS_ANIMATED = frozenset({".webp", ".tif", ".tiff"})
_SYSTEM_NAMES = frozenset(
    {"__macosx", "thumbs.db", "desktop.ini", ".ds_store", "@eadir", "$recycle.bin", "system volume information"}
)


def suffix(name: str | os.PathLike) -> str:
    """ ".png" of "a.PNG"."""
    return os.path.splitext(os.fspath(name))[1].lower()


def of_a_file_manager(name: str) -> bool:
    """Whether macOS or Windows left it: "._a.png" beside each "a.png", "__MACOSX", "Thumbs.db", ..."""
    return name.startswith("._") or name.lower() in _SYSTEM_NAMES


def is_taken(name: str) -> bool:
    """Whether a name can be one of the user's: not hidden, not left by a file manager."""
    return not name.startswith(".") and not of_a_file_manager(name)


def natural_key(name: str) -> list:
    """Sorts frame2 before frame10, and any other characters (also digits of other scripts) as they are."""
    parts = re.split(r"([0-9]+)", name)  # every second part is of the digits 0 to 9
    return [[(1, int(part), "") if i % 2 else (0, 0, part) for i, part in enumerate(parts) if part], name]


def shown(name: str | os.PathLike) -> str:
    """A name as text that can be printed, encoded and stored: bytes that are no UTF-8 become \\xff."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
