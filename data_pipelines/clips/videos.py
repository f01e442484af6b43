"""Video files -> frames, by PyAV (extra [video]).

What comes is compared with what the container claims, so that a damaged file is told from a shorter clip.
"""

import contextlib
import os
from collections.abc import Iterator

from data_pipelines.clips import containers, kinds
from data_pipelines.clips.errors import ClipError, ExtraNeeded
from data_pipelines.clips.shaping import Timed, Wanted, check_size
from data_pipelines.clips.video_frames import VideoPicture, turn_of

_FORMATS = "avi,matroska,webm,mov,mp4,m4a,3gp,3g2,mj2,mpeg,mpegvideo,mpegts,mpegtsraw,asf,asf_o,flv,live_flv,ogg,mxf"
"""Playlists and lists of files (hls, concat, dash, ...) are none of these: they would open further files and addresses."""
_FORMATS_WITH_ESTIMATES = frozenset({"mpeg", "mpegts", "mpegvideo"})


def require_av():
    """The PyAV module. Raises `ExtraNeeded` (a `ValueError`) where it is not installed."""
    try:
        import av
    except ImportError as error:
        raise ExtraNeeded("Decoding video files needs PyAV: pip install 'svg_tf[video]'.") from error
    return av


def read(path: str | os.PathLike, wanted: Wanted) -> Iterator[Timed]:
    """Decoded frames (`VideoPicture`) of the best video stream, with their times.

    Raises `ClipError`, naming the file, for one that is no video or empty, is cut short or damaged, has no decoder here, changes
    its size or exceeds a limit.
    """
    av, name, count = require_av(), kinds.shown(path), 0
    containers.check_whole(path)
    try:
        with _opened(av, path) as container:
            stream = _video_stream(container, name, wanted.max_pixels)
            watch = _Watch(name, container, stream)
            for packet in container.demux(stream):
                watch.packet(packet)
                for frame in packet.decode():
                    count += 1
                    if count > wanted.max_frames:
                        raise ClipError(f"{name}: more than {wanted.max_frames} frames (option --max-frames); cut it into clips.")
                    yield watch.frame(frame, wanted.max_pixels)
            watch.end()
    except av.error.FFmpegError as error:
        raise ClipError(
            f"{name}: not a video that can be decoded ({error.strerror or error}, after {count} frames); copy it again, encode "
            "it again or remove it."
        ) from error


def _opened(av, path):
    options = {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}  # 19 always replaces
    # Not as `options`: PyAV would give those to streams as well, beyond the end where a stream is found later (MPEG-PS).
    return av.open(f"file:{os.fspath(path)}", container_options={"format_whitelist": _FORMATS}, **options)


def _video_stream(container, name: str, max_pixels: int):
    stream = container.streams.best("video")
    if stream is None:
        raise ClipError(f"{name}: holds no video stream{_undecodable(container)}; remove it.")
    if stream.codec_context is None:
        raise ClipError(f"{name}: the video stream has a codec that cannot be decoded here; encode it again or remove it.")
    if stream.width or stream.height:
        check_size(name, stream.width, stream.height, max_pixels)
    stream.codec_context.thread_type = "AUTO"
    return stream


def _undecodable(container) -> str:
    return " with a codec that can be decoded here" if container.streams.video else ""


class _Watch:
    """Follows one stream: times of its frames, and what the container claims against what comes."""

    def __init__(self, name: str, container, stream):
        self._name, self._stream = name, stream
        self._turn, self._aspect = None, _ratio(stream.sample_aspect_ratio)
        self._claimed, self._listed = _claimed_seconds(container, stream), 0.0
        if container.format.name == "mxf":  # others may change their rate, drop frames, or list some that are not shown
            self._listed = self._claimed * float(stream.average_rate or 0)
        self._durations: dict[int, int] = {}
        self._size, self._count, self._first, self._end = None, 0, None, None
        # Where transport streams were joined, FFmpeg marks a corrupt packet; what it shows of a cut one is the last packet.
        self._joined, self._cut = container.format.name == "mpegts", False

    def packet(self, packet) -> None:
        self._cut = self._cut if packet.pts is None and not packet.size else packet.is_corrupt
        if packet.is_corrupt and not self._joined:
            raise self._damaged()
        if packet.pts is not None and packet.duration:
            self._durations[packet.pts] = packet.duration

    def frame(self, frame, max_pixels: int) -> Timed:
        if frame.is_corrupt:
            raise ClipError(f"{self._name}: frame {self._count} is damaged; copy it again, encode it again or remove it.")
        size = frame.width, frame.height
        self._size = self._size or size
        if size != self._size:
            raise ClipError(
                f"{self._name}: frame {self._count} has {size[0]}x{size[1]} pixels, the first one {self._size[0]}x"
                f"{self._size[1]}; expected one size. Encode it again, or remove it."
            )
        check_size(self._name, *size, max_pixels)
        self._turn = self._turn or turn_of(frame, self._name)
        time, base = frame.time, float(frame.time_base or 0)
        seconds = self._durations.pop(frame.pts, 0) * base
        if time is not None:
            self._first = time if self._first is None else min(self._first, time)
            self._end = max(time + seconds, self._end or 0.0)
        self._count += 1
        return Timed(VideoPicture(frame, self._turn, self._aspect), time, seconds or None)

    def end(self) -> None:
        """Raises `ClipError` where much less came than the container claims; small differences are usual."""
        if not self._count:
            raise ClipError(f"{self._name}: no frame could be decoded; copy it again or remove it.")
        if self._cut:
            raise self._damaged()
        if self._count < 0.9 * self._listed - 1:
            raise self._less(f"{self._count} frames could be decoded of {self._listed:.0f}")
        if self._claimed and self._end is not None:
            # A stream's own duration is its length; the others count from the container's begin.
            seconds = self._end - (self._first if self._stream.duration else min(self._first, 0.0))
            if self._claimed - seconds > max(0.1 * self._claimed, 2.5 * seconds / self._count):
                raise self._less(f"{seconds:.3g} seconds could be decoded of {self._claimed:.3g}")

    def _damaged(self) -> ClipError:
        return ClipError(
            f"{self._name}: damaged after {self._count} frames (the container marks a corrupt part); copy it again, encode it "
            "again or remove it."
        )

    def _less(self, what: str) -> ClipError:
        return ClipError(
            f"{self._name}: {what} that its container claims: cut short or damaged; copy it again, encode it again or remove it."
        )


def _claimed_seconds(container, stream) -> float:
    """How long the container says that the video is (not its sound); 0 where it does not, or only estimates."""
    if container.format.name in _FORMATS_WITH_ESTIMATES:
        return 0.0
    if stream.duration and stream.time_base:
        return float(stream.duration * float(stream.time_base))
    with contextlib.suppress(KeyError, ValueError):
        hours, minutes, seconds = stream.metadata["DURATION"].split(":")  # Matroska's statistics
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    alone = len(container.streams) == 1
    return container.duration / 1e6 if alone and container.duration else 0.0


def _ratio(value) -> float:
    """A pixel's width / height; 1 where it is unknown."""
    try:
        return float(value) or 1.0
    except (TypeError, ZeroDivisionError, ValueError):
        return 1.0
