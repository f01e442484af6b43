"""Small videos, pictures and animations for tests; needs no TensorFlow."""

import fractions
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

LAYOUTS = {1: "gray", 3: "rgb24", 4: "rgba"}


def moving(seed: int, frames: int, height: int = 24, width: int = 32, channels: int = 3) -> np.ndarray:
    """uint8 [frames, height, width, channels]: a smooth picture that drifts, another one for each seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, channels))
    picture = np.kron(coarse, np.ones((height // 4, width // 4, 1))).astype(np.uint8)
    return np.stack([np.roll(picture, t, axis=1) for t in range(frames)])


def write_video(path: pathlib.Path, frames: np.ndarray, codec="mjpeg", pixels="yuvj420p", fps=25, **options) -> None:
    """Writes a video file. codec "ffv1" with pixels "gray" is lossless. See `write_videos`."""
    write_videos(path, [frames], codec, pixels, fps, **options)


def write_videos(
    path: pathlib.Path, parts: list[np.ndarray], codec="mjpeg", pixels="yuvj420p", fps=25, *,
    layout="", milliseconds=None, aspect=None, matrix=None, sound=0.0, codec_options=None, **container_options,
) -> None:  # fmt: skip
    """Parts one after the other in one stream; their sizes may differ.

    layout: of the frames ("gray16le", ...); else told from their channels. milliseconds: time stamps of the frames. aspect: a
    pixel's width / height. matrix: (a, b, c, d) of the display matrix. sound: seconds of silence beside the video.
    """
    import av

    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", options=container_options) as container:
        stream = container.add_stream(codec, rate=fractions.Fraction(fps).limit_denominator(1000), options=codec_options or {})
        stream.height, stream.width, stream.pix_fmt = *parts[0].shape[1:3], pixels
        if aspect:
            stream.codec_context.sample_aspect_ratio = fractions.Fraction(aspect)
        if matrix:
            a, b, c, d = (round(value * 65536) for value in matrix)
            stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        if milliseconds:
            stream.codec_context.time_base = fractions.Fraction(1, 1000)
        silence = container.add_stream("mp2", rate=44100) if sound else None
        number = 0
        for part in parts:
            encoder = stream
            if part is not parts[0]:
                encoder = av.CodecContext.create(codec, "w")
                encoder.height, encoder.width, encoder.pix_fmt = *part.shape[1:3], pixels
                encoder.time_base = stream.codec_context.time_base
            for frame in [*part, None]:
                picture = None if frame is None else _video_frame(frame, layout)
                if picture is not None:
                    picture.pts = milliseconds[number] if milliseconds else number
                    if milliseconds:
                        picture.time_base = fractions.Fraction(1, 1000)
                    number += 1
                for packet in encoder.encode(picture):
                    packet.stream = stream
                    container.mux(packet)
        if sound:
            add_silence(container, silence, sound)


def _video_frame(frame: np.ndarray, layout: str):
    import av

    layout = layout or LAYOUTS[frame.shape[-1]]
    return av.VideoFrame.from_ndarray(frame[..., 0] if layout == "gray" else frame, format=layout)


def add_silence(container, stream, seconds: float) -> None:
    """Encodes silence into a sound stream (mp2) of an open container."""
    import av

    for number in range(round(seconds * 44100 / 1152)):
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 2 * 1152), np.int16), format="s16", layout="stereo")
        sound.sample_rate, sound.pts = 44100, number * 1152
        container.mux(stream.encode(sound))
    container.mux(stream.encode(None))


def write_pictures(folder: pathlib.Path, frames: np.ndarray, suffix: str = ".png") -> None:
    """frame0, frame1, ... in a new folder."""
    folder.mkdir(parents=True)
    for t, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame{t}{suffix}")


def write_animation(path: pathlib.Path, frames: np.ndarray, milliseconds: int | list[int] = 40, **options) -> None:
    """A GIF, WebP, APNG or TIFF by Pillow."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pictures = [Image.fromarray(frame) for frame in frames]
    kind = "PNG" if path.suffix == ".apng" else None
    times = {} if path.suffix == ".tif" else {"duration": milliseconds}
    pictures[0].save(path, format=kind, save_all=True, append_images=pictures[1:], **times, **options)


GIF_COLORS = ((0, 0, 255), (255, 0, 0), (0, 255, 0), (255, 255, 255))


def gif(patches, size: tuple[int, int] = (16, 16), background: int = 0) -> bytes:
    """A GIF of four colors, written block by block.

    patches: (left, top, indices [H, W], disposal, transparent index or None, delay in 1/100 s) for each frame.
    """
    stream = b"GIF89a" + struct.pack("<HHBBB", *size, 0xF1, background, 0) + bytes(sum(GIF_COLORS, ()))
    for left, top, indices, disposal, transparent, delay in patches:
        flags = disposal << 2 | (transparent is not None)
        stream += b"\x21\xf9\x04" + struct.pack("<BHB", flags, delay, transparent or 0) + b"\0"
        height, width = indices.shape
        stream += b"\x2c" + struct.pack("<HHHHB", left, top, width, height, 0) + _codes(indices.ravel().tolist())
    return stream + b"\x3b"


def _codes(indices: list[int]) -> bytes:
    """LZW of two bits that never grows: the table is cleared after every second pixel."""
    codes = [code for i, index in enumerate(indices) for code in ([4, index] if i % 2 == 0 else [index])] + [5]
    packed = sum(code << (3 * i) for i, code in enumerate(codes)).to_bytes(-(-3 * len(codes) // 8), "little")
    blocks = [packed[i : i + 255] for i in range(0, len(packed), 255)]
    return b"\x02" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"


def png(width: int, height: int, bits: int, color: int, rows: bytes, transparent: tuple[int, ...] = ()) -> bytes:
    """A PNG from its rows, each after its filter's byte. color: 0 gray, 2 RGB, 4 gray and alpha, 6 RGBA."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)
    key = chunk(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent)) if transparent else b""
    picture = chunk(b"IDAT", zlib.compress(rows, 9))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + key + picture + chunk(b"IEND", b"")


def png16(array: np.ndarray, transparent: tuple[int, ...] = ()) -> bytes:
    """uint16 [H, W, 1 to 4] as a PNG of 16 bits."""
    height, width, channels = array.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    return png(width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], rows, transparent)
