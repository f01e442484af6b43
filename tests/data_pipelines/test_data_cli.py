"""`svg-data` from end to end on small sources."""

import clip_files
import numpy as np
import pytest
from PIL import Image

from data_pipelines import catalogue, cli
from tests.data_pipelines import media


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("cli")
    names = ("person01_boxing_d1", "person02_walking_d2", "person21_boxing_d1")
    clips = {name: media.moving(i, 30, 48, 64, 1) for i, name in enumerate(names)}
    clip_files.write_kth(root / "kth", clips)
    assert cli.main(["build", "kth", "--source", str(root / "kth"), "--data-dir", str(root / "data")]) == 0
    return root


def run(capsys, *arguments):
    code = cli.main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_build_tells_what_it_made(made, capsys):
    code, out, err = run(capsys, "build", "kth", "--source", made / "kth", "--data-dir", made / "fresh", "--ranges", "all")
    assert code == 0 and "3 clips found" in out and "Downloading" not in out
    assert "train: 2 clips, 60 frames; lengths 30 to 30" in out and "test: 1 clips, 30 frames" in out
    assert "2/2" in err  # progress


def test_list(made, capsys):
    code, out, _ = run(capsys, "list", "--data-dir", made / "data")
    assert code == 0 and "kth/64:1.0.0" in out and "To build: kth, bair, video_folder, moving_mnist" in out
    code, out, _ = run(capsys, "list", "--data-dir", made / "nothing")
    assert code == 0 and "No data set is prepared in" in out


def test_describe_with_preview(made, capsys, tmp_path):
    gif = tmp_path / "preview.gif"
    code, out, _ = run(capsys, "describe", "kth", "--data-dir", made / "data", "--preview", gif, "--clips", 2)
    assert code == 0 and "frames: 64x64x1 uint8" in out and "citation: @inproceedings{schuldt2004" in out and "license:" in out
    with Image.open(gif) as picture:
        assert picture.n_frames == 30 and picture.size == (256, 128)
        assert np.asarray(picture.convert("L")).std() > 10
    assert [path.name for path in tmp_path.iterdir()] == ["preview.gif"]
    code, _, err = run(capsys, "describe", "kth", "--data-dir", made / "data", "--preview", tmp_path / "preview.mp4")
    assert code == 2 and "must be a .gif file" in err
    code, _, err = run(capsys, "describe", "kth", "--data-dir", made / "data", "--preview", gif, "--clips", 0)
    assert code == 2 and "--clips must be an integer in [1, 64], got 0" in err


def test_stats_schema_validate(made, capsys):
    code, out, _ = run(capsys, "stats", "kth/64:1.0.0", "--data-dir", made / "data")
    assert code == 0 and "train: 2 clips" in out and "motion_energy: mean" in out
    code, out, _ = run(capsys, "schema", "kth", "--data-dir", made / "data")
    assert code == 0 and 'name: "num_frames"' in out
    code, out, _ = run(capsys, "validate", "kth", "--data-dir", made / "data", "--previous", "kth/64")
    assert (code == 0) == ("no anomalies" in out) and "ERROR" not in out
    folder = made / "data" / "kth" / "64" / "1.0.0"
    for place in ("statistics/Split-train/FeatureStats.pb", "schema/schema.pbtxt", "anomalies/Split-test/SchemaDiff.pb"):
        assert (folder / place).is_file() and (folder / "measurements" / place).is_file()
    code, out, _ = run(capsys, "schema", "kth", "--data-dir", made / "data", "--table", "measurements")
    assert code == 0 and 'name: "motion_energy"' in out and "frame_chunks" not in out


def test_leakage_exits_with_one(tmp_path, capsys):
    film = media.moving(0, 6, 16, 16)
    for split in ("train", "test"):
        media.write_video(tmp_path / "videos" / split / "same.avi", film)
    arguments = (
        "video_folder",
        "--source",
        tmp_path / "videos",
        "--data-dir",
        tmp_path / "data",
        "--name",
        "leaky",
        "--size",
        16,
    )
    assert run(capsys, "build", *arguments)[0] == 0
    code, out, _ = run(capsys, "validate", "video_folder/leaky", "--data-dir", tmp_path / "data")
    assert code == 1 and "ERROR leakage" in out and "'train/same.avi/0' = 'test/same.avi/0'" in out


def test_bad_clips_are_listed(tmp_path, capsys):
    for name in "abc":
        media.write_video(tmp_path / "videos" / f"{name}.avi", media.moving(ord(name), 6, 16, 16))
    (tmp_path / "videos" / "d.avi").write_text("text")
    arguments = ["build", "video_folder", "--source", tmp_path / "videos", "--data-dir", tmp_path / "data", "--test-percent", 0]
    code, out, err = run(capsys, *arguments)
    assert code == 2 and "d.avi: not a video" in err and "--max-bad-clips" in err and not out
    clip_files.nothing_built(tmp_path / "data")
    code, out, _ = run(capsys, *arguments, "--max-bad-clips", 1)
    assert code == 0 and "skipped in 'train'" in out and "d.avi" in out and "train: 3 clips" in out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["build", "kth", "--source", "/nowhere"], "--source must be a folder, got '/nowhere', which is not there"),
        (["build", "bair"], "needs the folder of the original files"),
        (["build", "video_folder", "--name", "../../up", "--source", "."], "name must be letters"),
        (["describe", "kth/../.."], "A data set is named"),
        (["stats", "nothing"], "No data set 'nothing'"),
        (["validate", "nothing"], "No data set 'nothing'"),
        (["schema", "kth:9.9.9"], "No data set 'kth:9.9.9'"),
        (["describe", "kth", "--clips", "0"], "--clips must be an integer in [1, 64], got 0"),
    ],
)
def test_errors_are_one_message_and_status_two(tmp_path, capsys, arguments, message):
    code, out, err = run(capsys, *arguments, "--data-dir", tmp_path / "data")
    assert code == 2 and message in err and "Traceback" not in err and not out


def test_other_stores_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for command in (["list"], ["describe", "kth"], ["build", "kth", "--source", "."]):
        code, out, err = run(capsys, *command, "--data-dir", "s3://bucket/data")
        assert code == 2 and "s3:// is not supported" in err and not out and not list(tmp_path.iterdir())


def test_version(capsys):
    code, out, _ = run(capsys, "--version")
    assert code == 0 and out.startswith("svg-data ")


def test_no_place_to_write(made, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "build", "kth", "--source", made / "kth", "--data-dir", tmp_path / "file")
    assert code == 2 and "Cannot write into" in err and "Choose another --data-dir" in err


def test_help_of_every_command(capsys):
    for command in ([], ["build"], *[["build", name] for name in cli.BUILDERS], *[[name] for name in cli.COMMANDS]):
        with pytest.raises(SystemExit) as stop:
            cli.main([*command, "--help"])
        assert stop.value.code == 0 and "usage: svg-data" in capsys.readouterr().out


def test_default_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert catalogue.root_dir() == tmp_path
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert catalogue.root_dir().name == "tensorflow_datasets"
