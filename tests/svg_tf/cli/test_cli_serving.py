"""`svg-tf export` and `svg-tf predict`."""

import json

import numpy as np
import pytest
from PIL import Image

from svg_tf import cli
from svg_tf.evaluation import report as report_file
from tests.svg_tf.serving import serving_standin
from tests.svg_tf.serving.tiny_export import N_FUTURE, N_SAMPLES, NAME


def predict(*arguments):
    return cli.main(["predict", *map(str, arguments)])


@pytest.fixture
def clip(tmp_path, frames):
    np.savez(tmp_path / "clip.npz", frames=frames[0])
    return tmp_path / "clip.npz"


def test_predict_from_disk(exported, clip, tmp_path, capsys):
    out = tmp_path / "out.gif"
    assert predict("--input", clip, "--model", exported.path, "--out", out) == 0
    assert capsys.readouterr().out.strip() == str(out)
    with Image.open(out) as picture:
        assert picture.n_frames == 6 + N_FUTURE


def test_predict_several_clips_equals_a_server(exported, clip, tmp_path):
    save = tmp_path / "other.npz"
    with np.load(clip) as file:
        np.savez(save, frames=file["frames"][::-1])
    common = ["--input", clip, save, "--n-past", 4, "--format", "npz", "--seed", 3]
    assert predict(*common, "--model", exported.version, "--out", tmp_path / "local") == 0
    with serving_standin.serve(exported.version, NAME) as (_, grpc_address, rest_address):
        for address, out in ((grpc_address, "grpc"), (rest_address, "rest")):
            assert predict(*common, "--url", address, "--name", NAME, "--out", tmp_path / out) == 0
    for name in ("clip.npz", "other.npz"):
        answers = []
        for out in ("local", "grpc", "rest"):
            with np.load(tmp_path / out / name) as file:
                answers.append(file["futures"])
                assert file["context"].shape == (4, 32, 32, 1)
        assert answers[0].shape == (N_SAMPLES, N_FUTURE, 32, 32, 1)
        np.testing.assert_array_equal(answers[0], answers[1])
        np.testing.assert_array_equal(answers[0], answers[2])


def test_wrong_arguments_are_one_line_on_stderr(exported, clip, tmp_path, capsys):
    model, out = ["--model", exported.path], tmp_path / "out.gif"
    for arguments, message in (
        (["--input", "none.gif", "--out", out, *model], "--input none.gif does not exist"),
        (["--input", clip, "--out", tmp_path / "out.avi", *model], "--out must be a .gif, .mp4 or .npz file"),
        (["--input", clip, clip, "--out", out, *model], "2 clips need a folder"),
        (["--input", clip, "--out", out, "--n-past", -1, *model], "--n-past must be an integer in [1, 256], got -1"),
        (["--input", clip, "--out", out, "--fps", 0, *model], "--fps must be an integer in [1, 50], got 0"),
        (["--input", clip, "--out", out, "--n-past", 1, *model], "time >= 2, 32, 32, 1]; got shape [1 1 32 32 1]"),
        (["--input", clip, "--out", out, "--n-future", 31, *model], "n_future must be in [1, 30]; got [31]"),
        (["--input", clip, "--out", out, "--model", tmp_path], "holds no SavedModel"),
        (["--input", clip, "--out", out, "--url", "localhost:1"], "--url must be grpc://host:port or http://host:port"),
        (["--input", clip, "--out", out, "--url", "http://localhost:1", "--retries", 0], "UNAVAILABLE"),
    ):
        assert predict(*arguments) == 2, arguments
        error = capsys.readouterr().err
        assert error.startswith("svg-tf: ") and message in error, error
        assert not out.exists()


def test_export_refuses_before_it_writes(exported, tmp_path, capsys):
    out = tmp_path / "saved_models" / "a"
    (tmp_path / "file").write_text("")
    for arguments, message in (
        ([tmp_path / "none", "--out", out], "is not a run directory"),
        ([exported.run, "--out", out, "--n-samples", 0], "--n-samples must be an integer of at least 1, got 0"),
        ([exported.run, "--out", out, "--n-future", -1], "--n-future must be an integer of at least 1, got -1"),
        ([exported.run, "--out", tmp_path / "file"], "must be a folder"),
        ([exported.run, "--out", tmp_path / "a b"], "A model's name must be"),
        ([exported.run, "--out", out, "--evaluation", tmp_path], "holds no finished evaluation"),
        ([exported.run, "--out", out], "is unfinished (step 7 of "),
        ([exported.run, "--out", out, "--unfinished", "--n-samples", 999], "beyond the limits of one request"),
    ):
        assert cli.main(["export", *map(str, arguments)]) == 2, arguments
        assert message in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


def test_the_card_quotes_the_evaluation(exported):
    pytest.importorskip("matplotlib")
    from svg_tf import evaluation
    from svg_tf.serving import card, export

    clips = np.random.default_rng(0).random((2, 5, 32, 32, 1), np.float32)
    options = evaluation.Options(n_past=2, n_future=3, n_samples=2, random_shown=0)
    out = exported.run / "evaluation"
    report = evaluation.evaluate(exported.model, clips, options, out, description={"run": "tiny"}, progress=lambda line: None)
    served = {"n_future": 3, "n_samples": 2, "limits": {}, "signatures": []}
    text = card.text("tiny", exported.model, export.Facts(evaluation=report), served)
    assert "running statistics, the mode of this export" in text and "- run: tiny" in text
    assert f"{report['results']['psnr']['best']['all']['mean']:.2f}" in text
    assert "![" not in text and "\n\n\n" not in text


def test_the_evaluation_of_other_weights_is_refused(exported, tmp_path, capsys):
    report = {"format": report_file.FORMAT, "weights_sha256": "0" * 64}
    (tmp_path / "report.json").write_text(json.dumps(report))
    np.savez(tmp_path / "scores.npz", a=np.zeros(1))
    arguments = ["export", str(exported.run), "--out", str(tmp_path / "a"), "--evaluation", str(tmp_path), "--unfinished"]
    assert cli.main(arguments) == 2
    assert "is the evaluation of other weights" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("kind", ["folder", "link", "file"])
def test_predict_never_writes_over_its_input(exported, clip, tmp_path, capsys, kind):
    before, out = clip.read_bytes(), {"folder": tmp_path, "link": tmp_path / "link.npz", "file": clip}[kind]
    if kind == "link":
        out.symlink_to(clip)
    assert predict("--input", clip, "--out", out, "--format", "npz", "--model", exported.path) == 2
    assert "would be written over" in capsys.readouterr().err and clip.read_bytes() == before


def test_two_clips_never_have_one_output(exported, clip, tmp_path, capsys):
    for name in ("x/a", "y/a", "z/a-0"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / f"{name}.npz").write_bytes(clip.read_bytes())
    inputs = [tmp_path / f"{name}.npz" for name in ("x/a", "y/a", "z/a-0")]
    assert predict("--input", *inputs, "--out", tmp_path / "out", "--model", exported.path) == 2
    assert "Two outputs would have one name" in capsys.readouterr().err and not (tmp_path / "out").exists()
