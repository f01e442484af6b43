"""Whether a file is as long as its container says: what a cut or half-copied file gives away.

Only sizes are compared, which are exact, so that files that are merely sloppy about times or counts pass. A size that a
recorder left open (0, or all bits set) claims nothing.
"""

import mmap
import os

from data_pipelines.clips import kinds
from data_pipelines.clips.errors import ClipError

_SEGMENT, _CLUSTER = 0x18538067, 0x1F43B675
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d01020101")
_BOXES = frozenset(
    {b"ftyp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pnot", b"moof", b"mfra", b"styp", b"sidx", b"uuid", b"meta"}
)


class _Damaged(Exception):
    """At a byte: what stands there cannot be part of the container."""


def check_whole(path: str | os.PathLike) -> None:
    """Raises `ClipError` for a file that ends before its container does, or is empty."""
    size = os.path.getsize(path)
    if not size:
        raise ClipError(f"{kinds.shown(path)}: the file is empty; copy it again or remove it.")
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            claimed = _claimed_size(data)
        except _Damaged as error:
            raise ClipError(
                f"{kinds.shown(path)}: damaged at byte {error.args[0]} of {size}; copy it again, encode it again or remove it."
            ) from None
    if claimed > size:
        raise ClipError(
            f"{kinds.shown(path)}: cut short: the file has {size} bytes, its container goes on until byte {claimed} at least; "
            "copy it again, encode it again or remove it."
        )


def _claimed_size(data) -> int:
    """The least number of bytes that a whole file of this beginning has; 0 where nothing can be said."""
    head = data[:16]
    if head[:4] == b"RIFF":
        return _riff(data)
    if head[4:8] in _BOXES:
        return _boxes(data)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return _ebml(data)
    if head[:3] == b"GIF":
        return _gif(data)
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return _png(data)
    if head[:4] == b"OggS":
        return _ogg(data)
    if head[:3] == b"FLV":
        return _flv(data)
    if head == _ASF_HEADER:
        return _asf(data)
    if head[:13] == _MXF_PARTITION:
        return _mxf(data)
    return _transport_stream(data)


def _number(data, start: int, length: int, order: str = "big") -> int:
    return int.from_bytes(data[start : start + length], order)


def _riff(data) -> int:
    """AVI (with the further RIFF chunks of OpenDML) and WebP."""
    at = 0
    while data[at : at + 4] == b"RIFF":
        length = _number(data, at + 4, 4, "little")
        if not length or length >= 0xFFFFFFF0:
            return 0  # left open by a recorder
        if at + length > len(data):  # some writers count this header of 8 bytes, or leave the last padding byte out
            return at + 8 + length
        if data[at + 8 : at + 11] == b"AVI":  # or AVIX
            _check_chunks(data, at + 12, min(at + 8 + length, len(data)))
        at += 8 + length + length % 2
    return 0


def _check_chunks(data, at: int, end: int) -> None:
    """The chunks of an AVI follow each other. Eight zeros in the place of one are a hole; an empty chunk is a dropped frame."""
    while at + 8 <= end:
        kind, length = data[at : at + 4], _number(data, at + 4, 4, "little")
        if kind == b"LIST" and data[at + 8 : at + 12] in (b"movi", b"rec "):
            at += 12
        elif kind == bytes(4) and not length:
            raise _Damaged(at)
        else:
            at += 8 + length + length % 2


def _boxes(data) -> int:
    """MP4, QuickTime, 3GP."""
    at = 0
    while at + 8 <= len(data):
        kind, length = data[at + 4 : at + 8], _number(data, at, 4)
        if length == 1:
            length = _number(data, at + 8, 8)
        if length < 8:
            return 0  # 0: to the end of the file
        if at + length > len(data) and kind not in _BOXES:
            return 0  # something behind the last box
        at += length
    return at


def _vint(data, at: int, keep_marker: bool) -> tuple[int, int]:
    """A number of EBML and the position after it; all bits set (size unknown): -1."""
    first = data[at] if at < len(data) else 0x80
    length = 9 - first.bit_length()
    if length > 8:
        raise _Damaged(at)
    value = _number(data, at, length)
    if not keep_marker:
        value &= (1 << 7 * length) - 1
        value = -1 if value == (1 << 7 * length) - 1 else value
    return value, at + length


def _ebml(data) -> int:
    """Matroska and WebM, block by block: the segment's size, or that of its last element where it was written to a pipe."""
    at, end = 0, 0
    while at < (end or len(data)):
        element, after = _vint(data, at, True)
        length, after = _vint(data, after, False)
        if element == _SEGMENT and length >= 0:
            end = after + length
            if end > len(data):
                return end
        if element not in (_SEGMENT, _CLUSTER):
            if length < 0:
                return end
            after += length
        at = after
    return at


def _sub_blocks(data, at: int) -> int:
    """The position after a chain of a GIF's sub-blocks."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


def _table(flags: int) -> int:
    """Bytes of a GIF's color table."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _gif(data) -> int:
    """To the trailer, which browsers do not ask for and every encoder writes."""
    at = 13 + _table(data[10] if len(data) > 10 else 0)
    while at < len(data):
        kind = data[at]
        if kind == 0x3B:
            return at + 1
        if kind == 0x21:
            at = _sub_blocks(data, at + 2)
        elif kind == 0x2C and at + 9 < len(data):
            at = _sub_blocks(data, at + 11 + _table(data[at + 9]))
        elif kind == 0x2C:
            break
        else:
            return 0  # no GIF's block: for the decoder to judge
    return max(at, len(data)) + 1


def _png(data) -> int:
    at = 8
    while at + 8 <= len(data):
        length, kind = _number(data, at, 4), data[at + 4 : at + 8]
        at += 12 + length
        if kind == b"IEND":
            return at
    return max(at, len(data)) + 1


def _ogg(data) -> int:
    """The last page must be whole and say that it is the last of its stream."""
    at = data.rfind(b"OggS")
    if at + 27 > len(data):
        return at + 28
    segments = data[at + 26]
    end = at + 27 + segments + sum(data[at + 27 : at + 27 + segments])
    return end if data[at + 5] & 4 else max(end, len(data)) + 1


def _flv(data) -> int:
    at = _number(data, 5, 4) + 4
    while at < len(data):
        if data[at] & 31 not in (8, 9, 18):  # sound, picture, script
            return 0
        at += 11 + _number(data, at + 1, 3) + 4
    return at


def _asf(data) -> int:
    """WMV, ASF: the file's size in its properties, where it is no broadcast. A packet of zeros is a hole."""
    at = data.find(_ASF_FILE, 0, 1 << 16)
    if at < 0 or _number(data, at + 88, 4, "little") & 1:
        return 0
    packet, start = _number(data, at + 92, 4, "little"), data.find(_ASF_DATA, 0, 1 << 20) + 50
    packets = _number(data, start - 10, 8, "little") if start >= 50 else 0
    for begin in range(start, min(start + packets * packet, len(data)), max(packet, 1)):
        if not data[begin] and not any(data[begin : begin + packet]):
            raise _Damaged(begin)
    return _number(data, at + 40, 8, "little")


def _mxf(data) -> int:
    """The footer's place in the header's partition, where the file was closed."""
    at = 17 + (data[16] & 0x7F if data[16] & 0x80 else 0)
    footer = _number(data, at + 24, 8)
    return footer + 25 if footer else 0


def _transport_stream(data) -> int:
    """MPEG-TS and M2TS: whole packets of 188 or 192 bytes, each with its mark."""
    for length, first in ((188, 0), (192, 4)):
        if len(data) > 4 * length and all(data[first + k * length] == 0x47 for k in range(4)):
            lost = next((k for k, sync in enumerate(data[first::length]) if sync != 0x47), None)
            if lost is not None:
                raise _Damaged(first + lost * length)
            return -(-len(data) // length) * length
    return 0
