"""`svg-tf evaluate`, `compare` and `figures` on a run of two steps."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

import data_pipelines
from svg_tf import cli, families, presets
from svg_tf.cli import evaluation as cli_evaluation
from svg_tf.evaluation import figures
from svg_tf.evaluation.figures.moving_digits import trajectory
from svg_tf.training import run_config

TINY = [
    *("--model.width", "2", "--model.g-dim", "4", "--model.rnn-size", "4", "--model.z-dim", "2"),
    *("--data.batch-size", "2", "--data.moving-mnist.digits", "uci"),
    *("--train.epochs", "1", "--train.steps-per-epoch", "2", "--train.checkpoint-every", "1"),
    *("--eval.n-samples", "2", "--eval.n-future", "3", "--eval.validation-steps", "1", "--eval.summary-sequences", "1"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert cli.main(["train", "smmnist_mini", "--run-dir", str(folder), *TINY]) == 0
    return folder


def test_evaluate_then_compare(run, tmp_path, capsys):
    for name, seed in (("a", "0"), ("b", "1")):
        arguments = ["evaluate", str(run), "--out", str(tmp_path / name), "--sequences", "5", "--seed", seed]
        assert cli.main(arguments) == 0
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert (report["n_sequences"], report["options"]["n_future"], report["horizon"]) == (5, 3, 15)
    assert report["description"]["step"] == 2
    capsys.readouterr()
    assert cli.main(["compare", f"one={tmp_path / 'a'}", f"two={tmp_path / 'b'}", "--out", str(tmp_path / "c")]) == 0
    assert "| one − two | late |" in capsys.readouterr().out
    assert (tmp_path / "c" / "comparison.png").is_file()
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "a"), "--out", str(tmp_path / "d")]) == 2
    assert "Two runs are called 'a'" in capsys.readouterr().err


def test_all_figures(run, tmp_path, capsys):
    assert cli.main(["figures", str(run), "--out", str(tmp_path), "--sequences", "3", "--n-samples", "2"]) == 0
    printed = capsys.readouterr().out
    assert "total variation" in printed and "area under the ROC curve" in printed
    for file in ("figure3.gif", "figure3-0.png", "figure5.csv", "figure6.json", "figure11.gif"):
        assert (tmp_path / file).is_file()
    assert list((run / "logs" / "figures").glob("events*"))


def test_figures_that_need_longer_clips_than_there_are_are_skipped(run, tmp_path, capsys, monkeypatch):
    load = cli_evaluation._load

    def short(experiment, split, frames, *arguments, **own):
        if frames > 60:
            raise data_pipelines.ClipsTooShort(f"no clip has the {frames} frames")
        return load(experiment, split, frames, *arguments, **own)

    monkeypatch.setattr(cli_evaluation, "_load", short)
    arguments = ["figures", str(run), "--out", str(tmp_path), "--sequences", "2", "--n-samples", "2"]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "figure 11: skipped, no clip has the 105 frames" in printed and (tmp_path / "figure5.csv").is_file()
    assert cli.main([*arguments, "--figure", "11"]) == 2
    assert "no clip has the 105 frames" in capsys.readouterr().err


def test_random_windows_reach_the_reader(run, monkeypatch, capsys):
    def asked(experiment, split, frames, batch_size, seed, **own):
        raise ValueError(f"{experiment.data.name} {frames} {seed} {own}")

    monkeypatch.setattr(cli_evaluation, "_load", asked)
    assert cli.main(["evaluate", str(run), "--data", "kth/64_all", "--random-windows", "7", "--data-seed", "42"]) == 2
    assert "kth/64_all 8 42 {'random_windows': 7}" in capsys.readouterr().err


def test_figures_and_frame_rate_of_srvp(tmp_path, capsys):
    flags = ["--model.h-dim", "4", "--model.inference-size", "4", "--model.transition-size", "4", "--model.w-dim", "4"]
    svg = ["--model.g-dim", "--model.rnn-size"]
    common = [part for i, part in enumerate(TINY) if part not in svg and TINY[i - 1] not in svg]
    run = str(tmp_path / "srvp")
    assert cli.main(["train", "smmnist_mini_srvp", "--run-dir", run, *common, *flags]) == 0
    for figure in ("frame_rate", "swap", "interpolation"):
        arguments = ["figures", run, "--figure", figure, "--out", str(tmp_path / "drawn"), "--sequences", "2"]
        assert cli.main(arguments) == 0
        assert (tmp_path / "drawn" / f"{figure}.gif").is_file()
    generate = ["generate", run, "--out", str(tmp_path / "a.gif"), "--sequences", "1", "--n-samples", "1"]
    assert cli.main([*generate, "--frame-rate", "2"]) == 0
    with Image.open(tmp_path / "a.gif") as animation:
        assert animation.n_frames == 2 * (5 + 3)
    capsys.readouterr()


def test_figure_5_uses_one_start_and_figure_6_one_motion(run):
    command = cli_evaluation.Figures(run, sequences=20)
    uci = run_config.read_config(run)
    setting = command._setting(figures.FIGURES[0], figures.Setting, None, uci, None, None)
    number, steps = trajectory(setting, 30, lambda t: t[0] >= 9)
    start = setting.clips(30, shared="start", trajectory=number, with_states=True)
    first = steps[0]
    assert np.ptp(start["positions"][:, :first], axis=0).max() == 0
    assert np.ptp(start["positions"][:, first], axis=0).max() > 0
    motion = setting.clips(30, shared="motion", trajectory=number, with_states=True)
    assert np.ptp(motion["positions"], axis=0).max() == 0
    assert len(np.unique(motion["digit_ids"])) > 10


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["evaluate", "RUN", "--n-samples", "-1"], "--n-samples must be an integer of at least 1, got -1"),
        (["evaluate", "RUN", "--random-windows", "3"], "--random-windows is for prepared data sets"),
        (["evaluate", "nowhere"], "not a run directory"),
        (["evaluate", "RUN", "--lpips", "absent.npz"], "absent.npz"),
        (["figures", "RUN", "--sequences", "-1"], "--sequences must be an integer of at least 1, got -1"),
        (["figures", "RUN", "--figure", "7"], "Unknown figure '7'; figures of this run's model: 3, 5, 6, 9, 11, all."),
        (["figures", "RUN", "--data-dir", "s3://bucket"], "s3:// is not supported"),
        (["evaluate", "RUN", "--moving", "--data", "kth"], "--moving is for generated sequences"),
        (["evaluate", "RUN", "--out", "RUN"], "which is read"),
        (["compare", "RUN", "--out", "x"], "at least two"),
        (["compare", "RUN", "s3://bucket/run", "--out", "x"], "s3:// is not supported"),
    ],
)
def test_wrong_arguments(run, arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main([str(run) if a == "RUN" else a for a in arguments]) == 2
    assert message in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_an_unfinished_run_is_refused_unless_asked_for(run, tmp_path, capsys):
    assert (run / "checkpoints").is_dir()
    text = (run / "config.json").read_text()
    unfinished = tmp_path / "unfinished"
    unfinished.mkdir()
    (unfinished / "config.json").write_text(text.replace('"steps_per_epoch": 2', '"steps_per_epoch": 9'))
    (unfinished / "checkpoints").symlink_to(run / "checkpoints")
    assert cli.main(["evaluate", str(unfinished), "--sequences", "2"]) == 2
    assert "unfinished (step 2 of 9)" in capsys.readouterr().err
    assert cli.main(["figures", str(unfinished), "--figure", "3"]) == 2
    assert cli.main(["evaluate", str(unfinished), "--sequences", "2", "--unfinished"]) == 0


def drawable(name):
    """Of a model of the preset's kind, as small as it can be."""
    experiment = presets.get(name)
    small = {"width": 2, "backbone": "dcgan", "g_dim": 4, "rnn_size": 4, "h_dim": 4}
    model = experiment.model
    model = dataclasses.replace(model, **{k: v for k, v in small.items() if hasattr(model, k)})
    model = families.build(model)
    return [figure.name for figure in figures.of(model).values() if not figure.why_not(model, experiment)]


def test_figures_that_need_other_data_or_priors():
    assert drawable("smmnist_mini") == ["3", "5", "6", "9", "11"]
    assert drawable("smmnist_mini_fp") == ["3", "5", "9", "11"]
    assert drawable("smmnist_det") == ["3", "9", "11"]
    assert drawable("kth_lp") == ["3", "9", "11"]
    assert drawable("mmnist_mini") == ["3", "9", "11"]
    states = ["frame_rate", "swap", "interpolation"]
    assert drawable("smmnist_mini_srvp") == ["3", "5", "6", "9", "11", *states]
    assert drawable("smmnist_mini_struct_vrnn") == ["3", "5", "6", "9", "11", "keypoints"]
    assert drawable("smmnist_mini_struct_vrnn_cnn") == ["3", "5", "6", "9", "11"]
    assert drawable("kth_struct_vrnn_det") == ["3", "9", "11", "keypoints"]
    assert drawable("mmnist_mini_srvp_gru") == ["3", "9", "11", "swap", "interpolation"]


def test_what_figures_say_and_where_they_stand_in_tensorboard():
    by_name = {figure.name: figure for figure in figures.FIGURES}
    said = by_name["5"].say({"t": [5, 6], "total_variation": [0.25, 0.5], "total_variation_of_truth_halves": [0.1, 0.125]})
    assert said.splitlines()[1:] == ["  t=5: 0.250 (0.100)", "  t=6: 0.500 (0.125)"]
    said = by_name["6"].say({"auc": 0.8125, "auc_of_mean": 0.9})
    assert said == "area under the ROC curve 0.812 over all sequences, 0.900 of their mean"
    assert by_name["3"].tag("figure3/0") == "figures/03 samples/0"
    assert by_name["6"].tag("figure6") == "figures/06 uncertainty"
