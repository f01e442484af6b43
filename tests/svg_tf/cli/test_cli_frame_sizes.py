"""Frames of 16 x 24 pixels from videos to predictions, by the programs' own commands."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import data_pipelines
from data_pipelines import cli as data_cli
from svg_tf import cli
from tests.data_pipelines import media

SIZE = ["--model.image-size", "16x24"]
TINY = [
    *("--model.channels", "3", "--model.n-past", "2", "--model.n-frames", "4", "--model.width", "2", "--model.kernels", "3"),
    *("--model.kernel-size", "3", "--model.lstm-kernel-size", "3", "--model.generator-steps", "0", "--model.latent-steps", "0"),
    *("--model.beta-warmup-steps", "0", "--data.name", "video_folder/mine", "--data.batch-size", "2", "--data.n-future", "2"),
    *("--train.epochs", "1", "--train.steps-per-epoch", "2", "--eval.n-future", "2", "--eval.n-samples", "2"),
    *("--eval.validation-steps", "1", "--eval.summary-sequences", "1"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds source/, data/ and a trained run/."""
    folder = tmp_path_factory.mktemp("sizes")
    for split in ("train", "test"):
        for i in range(2):
            media.write_video(folder / "source" / split / f"{i}.avi", media.moving(i, 8, 16, 24), "ffv1", "bgr0")
    build = ["build", "video_folder", "--source", str(folder / "source"), "--data-dir", str(folder / "data"), "--size", "16x24"]
    assert data_cli.main(build) == 0
    train = ["train", "smmnist_mini_sv2p", "--run-dir", str(folder / "run"), "--data.data-dir", str(folder / "data"), *TINY]
    assert cli.main([*train, *SIZE]) == 0
    return folder


def test_data_and_run_have_the_size(folder, capsys):
    config = json.loads((folder / "run" / "config.json").read_text())["config"]
    assert config["model"]["image_size"] == [16, 24]
    batch = next(iter(data_pipelines.load("video_folder/mine", seq_len=4, batch_size=2, data_dir=str(folder / "data"))))
    assert batch["frames"].shape == (2, 4, 16, 24, 3)
    preview = folder / "preview.gif"
    arguments = ["describe", "video_folder/mine", "--data-dir", str(folder / "data"), "--preview", str(preview)]
    assert data_cli.main(arguments) == 0
    assert "16 x 24" in capsys.readouterr().out.replace("16x24", "16 x 24")
    with Image.open(preview) as picture:
        assert picture.size[0] > picture.size[1]
    logs = list((folder / "run" / "logs").rglob("*tfevents*"))
    assert logs and any(b"GIF8" in path.read_bytes() for path in logs)


def test_samples_figures_and_numbers(folder, capsys):
    run = str(folder / "run")
    assert cli.main(["generate", run, "--out", str(folder / "samples.gif"), "--sequences", "2", "--n-samples", "2"]) == 0
    with Image.open(folder / "samples.gif") as picture:
        assert picture.n_frames == 4
    assert cli.main(["evaluate", run, "--n-samples", "2", "--sequences", "2"]) == 0
    report = json.loads((folder / "run" / "evaluation" / "report.json").read_text())
    assert report["n_sequences"] == 2
    assert cli.main(["figures", run, "--figure", "3", "--sequences", "2", "--n-samples", "2"]) == 0
    out = capsys.readouterr().out
    assert "figure 3: " in out


def test_export_and_predict(folder):
    exported, out = folder / "saved" / "wide", folder / "futures.npz"
    assert cli.main(["export", str(folder / "run"), "--out", str(exported), "--n-samples", "2"]) == 0
    assert "16 x 24 pixels" in (exported / "1" / "assets.extra" / "MODEL_CARD.md").read_text()
    clip = folder / "source" / "test" / "0.avi"
    assert cli.main(["predict", "--model", str(exported), "--input", str(clip), "--n-past", "2", "--out", str(out)]) == 0
    with np.load(out) as file:
        assert (file["context"].shape, file["futures"].shape) == ((2, 16, 24, 3), (2, 2, 16, 24, 3))
    gif = folder / "futures.gif"
    assert cli.main(["predict", "--model", str(exported), "--input", str(clip), "--n-past", "2", "--out", str(gif)]) == 0


def test_what_does_not_fit_is_told_before_work_starts(folder, tmp_path, capsys):
    run = ["--run-dir", str(tmp_path / "run"), *TINY]
    assert cli.main(["train", "smmnist_mini_sv2p", *run, *SIZE, "--data.name", "moving_mnist"]) == 2
    assert "moving_mnist are square: model.image_size must be one number, got 16x24x3" in capsys.readouterr().err
    for flag, value, message in (
        ("--model.image-size", "16x20", "must be divisible by 8, got 16x20"),
        ("--model.image-size", "16,24", "a size is written 64, of a square, or 64x80"),
    ):
        with pytest.raises(SystemExit) as stop:
            cli.main(["train", "smmnist_mini_sv2p", *run, flag, value])
        assert stop.value.code == 2
        assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert not (tmp_path / "run").exists()
    here = ["--data.data-dir", str(folder / "data")]
    assert cli.main(["train", "smmnist_mini_sv2p", *run, *here, "--model.image-size", "24x16"]) == 2
    assert "24, 16, 3" in capsys.readouterr().err
    keras.backend.clear_session()
