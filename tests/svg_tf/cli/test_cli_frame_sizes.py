"""Frames of 16 x 24 pixels from videos to predictions, by the programs' own commands."""

import json

import keras
import numpy as np
import pytest
from PIL import Image

import data_pipelines
from data_pipelines import cli as data_cli
from svg_tf import cli
from svg_tf.serving import client
from tests.data_pipelines import media

SIZE = ["--model.image-size", "16x24"]
SHORT = [
    *("--data.name", "video_folder/mine", "--data.batch-size", "2", "--train.epochs", "1", "--train.steps-per-epoch", "2"),
    *("--eval.n-future", "2", "--eval.n-samples", "2", "--eval.validation-steps", "1", "--eval.summary-sequences", "1"),
]
TINY = [
    *("--model.channels", "3", "--model.n-past", "2", "--model.n-frames", "4", "--model.width", "2", "--model.kernels", "3"),
    *("--model.kernel-size", "3", "--model.lstm-kernel-size", "3", "--model.generator-steps", "0", "--model.latent-steps", "0"),
    *("--model.beta-warmup-steps", "0", "--data.n-future", "2", *SHORT),
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


def test_savp_plays_its_game_on_them(folder, tmp_path, capsys):
    """A discriminator, moved copies, latents at every layer; TensorBoard's samples, and an export's."""
    run, exported = tmp_path / "run", tmp_path / "saved" / "wide"
    tiny = [
        *("--model.variant", "gan", "--model.channels", "3", "--model.n-past", "2", "--model.width", "2"),
        *("--model.discriminator-width", "1", "--model.z-dim", "2", "--model.kernel-size", "3", "--model.lstm-kernel-size", "3"),
        *("--model.transformed-images", "2", "--model.clip-length", "4", "--data.n-future", "3"),
        *("--train.optimizer.schedule.steps", "1"),
    ]
    own = ["--data.data-dir", str(folder / "data"), *SHORT, *tiny]
    assert cli.main(["train", "smmnist_mini_savp", "--run-dir", str(run), *own, *SIZE]) == 0
    assert cli.main(["export", str(run), "--out", str(exported), "--n-samples", "2", "--no-warmup"]) == 0
    with client.connect(exported) as model:
        assert client.predict(model, np.zeros((2, 16, 24, 3), np.uint8), n_future=2).shape == (2, 2, 16, 24, 3)
    capsys.readouterr()
    assert cli.main(["generate", str(run), "--out", str(tmp_path / "samples.gif"), "--image-size", "24x16"]) == 2
    assert "do not fit frames of 24x16: some belong to a place in the frame" in capsys.readouterr().err


@pytest.fixture(scope="module")
def maps(folder):
    """A run of a model whose weights do not depend on the size of frames, and data of another size: video_folder/wide."""
    build = ["build", "video_folder", "--source", str(folder / "source"), "--data-dir", str(folder / "data"), "--name", "wide"]
    assert data_cli.main([*build, "--size", "24x32"]) == 0
    tiny = ["--model.channels", "3", "--model.n-past", "2", "--model.width", "1", "--model.g-dim", "3", "--model.rnn-size", "2"]
    own = ["--data.data-dir", str(folder / "data"), "--data.n-future", "2", *SHORT, *tiny, "--model.z-dim", "1"]
    assert cli.main(["train", "smmnist_mini_spatial", "--run-dir", str(folder / "maps"), *own, *SIZE]) == 0
    return folder / "maps"


OTHER = ["--image-size", "24x32"]
WIDE = [*OTHER, "--data", "video_folder/wide"]


def test_weights_of_one_size_at_another(maps, tmp_path, capsys):
    run, gif, exported = str(maps), tmp_path / "samples.gif", tmp_path / "saved" / "wide"
    assert cli.main(["generate", run, "--out", str(gif), "--sequences", "1", "--n-samples", "1", *WIDE]) == 0
    assert cli.main(["evaluate", run, "--n-samples", "1", "--sequences", "2", *WIDE]) == 0
    assert cli.main(["figures", run, "--figure", "3", "--sequences", "1", "--n-samples", "1", *WIDE]) == 0
    measured = maps / "evaluation-24x32"
    report = json.loads((measured / "report.json").read_text())
    assert report["model"]["image_size"] == [24, 32] and report["description"]["data"] == "video_folder/wide"
    assert report["description"]["image_size"] == "24x32, trained at 16x24"
    pictures = list((maps / "figures-24x32").glob("*.gif")) + list((maps / "figures-24x32").glob("*.png"))
    assert pictures and not (maps / "evaluation").exists() and not (maps / "figures").exists()
    capsys.readouterr()
    export = ["export", run, "--out", str(exported), "--n-samples", "2", "--no-warmup", "--evaluation", str(measured)]
    assert cli.main(export) == 2
    assert "is an evaluation of frames of 24x32; this export takes 16x24" in capsys.readouterr().err
    assert cli.main([*export, *OTHER]) == 0
    card = (exported / "1" / "assets.extra" / "MODEL_CARD.md").read_text()
    assert "24 x 32 pixels" in card and "Trained on frames of 16x24 pixels; this export takes others." in card
    told = json.loads((exported / "1" / "assets.extra" / "config.json").read_text())
    assert (told["trained_image_size"], told["config"]["model"]["image_size"]) == ([16, 24], [24, 32])
    with client.connect(exported) as model:
        assert client.answers_of(model).frame_shape == (24, 32, 3)
        assert client.predict(model, np.zeros((2, 24, 32, 3), np.uint8), n_future=2).shape == (2, 2, 24, 32, 3)


def test_a_size_that_a_run_cannot_have_is_told(maps, folder, tmp_path, capsys):
    out = ["--out", str(tmp_path / "out")]
    for command, run, size, message in (
        ("evaluate", maps, "24x20", "divisible by 8 for latents 'map', got 24x20"),
        ("evaluate", maps, "24x", "a size is written 64, of a square, or 64x80"),
        ("figures", maps, "20", "divisible by 8 for latents 'map', got 20"),
        ("export", maps, "12x24", "divisible by 8 for latents 'map', got 12x24"),
        ("evaluate", maps, "24x32", "24, 32, 3"),  # of data of 16x24
        ("figures", folder / "run", "24x32", "trained at 16x24, do not fit frames of 24x32: generator/"),
        ("export", folder / "run", "24x16", "do not fit frames of 24x16: some belong to a place in the frame"),
    ):
        assert cli.main([command, str(run), *out, "--image-size", size]) == 2
        assert message in capsys.readouterr().err
    digits = ["--image-size", "24x32", "--data", "moving_mnist"]
    assert cli.main(["generate", str(maps), "--out", str(tmp_path / "a.gif"), *digits]) == 2
    assert "moving_mnist are square" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
