"""SV2P through the command line: phases within a run, every command on it, and beside runs of other families."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from PIL import Image

from svg_tf import cli, presets, training
from svg_tf.serving import cpp
from svg_tf.training import checkpoints, run_config
from svg_tf.training.state import TrainingState

TINY = [
    *("--model.width", "2", "--model.kernels", "2", "--model.kernel-size", "5", "--model.n-past", "2"),
    *("--model.n-frames", "4", "--model.generator-steps", "1", "--model.latent-steps", "2", "--model.beta-warmup-steps", "1"),
]
RUN = [
    *("--data.batch-size", "2", "--data.n-future", "2", "--data.moving-mnist.digits", "uci"),
    *("--train.steps-per-epoch", "2", "--train.checkpoint-every", "1"),
    *("--eval.n-samples", "2", "--eval.n-future", "3", "--eval.validation-steps", "1", "--eval.summary-sequences", "1"),
]
OTHERS = {
    "smmnist_mini": {"width": 2, "g_dim": 4, "rnn_size": 4, "n_past": 2},
    "smmnist_mini_srvp": {"width": 2, "h_dim": 4, "inference_size": 4, "transition_size": 4, "w_dim": 4, "n_past": 2, "k": 2},
}


def train(preset, folder, *flags, epochs=2):
    return cli.main(["train", preset, "--run-dir", str(folder), *RUN, "--train.epochs", str(epochs), *flags])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Of three families: name -> folder; SV2P's over its three phases."""
    folder = tmp_path_factory.mktemp("runs")
    found = {"sv2p": folder / "sv2p"} | {name: folder / name for name in OTHERS}
    assert train("smmnist_mini_sv2p", found["sv2p"], *TINY) == 0
    for name, sizes in OTHERS.items():
        untrained(name, sizes, found[name])
    return found


def untrained(preset, sizes, folder):
    """A run of the same data whose weights are those of its start."""
    like = run_config.read_config(folder.parent / "sv2p")
    experiment = presets.get(preset)
    experiment = dataclasses.replace(
        experiment, model=dataclasses.replace(experiment.model, **sizes), data=like.data, train=like.train, eval=like.eval
    )
    training.open_run(experiment, folder)
    keras.utils.set_random_seed(1)
    checkpoints.save(folder / "checkpoints", TrainingState(training.build(experiment)), experiment.train.steps, {}, keep=1)


def test_a_run_goes_on_within_a_phase_and_across_its_end(runs, tmp_path):
    """Stopped after step 1, where phase 1 ends; each later checkpoint is that of the run that was not stopped."""
    whole, again = runs["sv2p"] / "checkpoints", tmp_path / "again" / "checkpoints"
    again.mkdir(parents=True)
    (tmp_path / "again" / "config.json").write_text((runs["sv2p"] / "config.json").read_text())
    steps = sorted(path.name for path in whole.glob("step-*.npz"))
    (again / steps[-3]).write_bytes((whole / steps[-3]).read_bytes())
    assert train("smmnist_mini_sv2p", tmp_path / "again", *TINY) == 0
    for name in steps[-2:]:
        with np.load(whole / name) as a, np.load(again / name) as b:
            assert set(a.files) == set(b.files)
            for key in a.files:
                np.testing.assert_array_equal(a[key], b[key], err_msg=f"{name}: {key}")


def test_evaluations_of_three_families_are_one_comparison(runs, tmp_path, capsys):
    """Fig. 8: SSIM and PSNR of each step with bands, and the horizon of training."""
    for name, run in runs.items():
        assert cli.main(["evaluate", str(run), "--sequences", "3", "--out", str(tmp_path / name)]) == 0
    report = json.loads((tmp_path / "sv2p" / "report.json").read_text())
    assert report["horizon"] == 4 and report["description"]["step"] == 4
    assert report["options"]["n_past"] + report["options"]["n_future"] == 5
    assert report["bound"]["n_frames"] == 3  # of the first 4 frames, all that the posterior can read, 3 are predicted
    labelled = [f"{label}={tmp_path / name}" for label, name in zip(("SV2P", "SVG-LP", "SRVP"), runs, strict=True)]
    assert cli.main(["compare", *labelled, "--out", str(tmp_path / "fig8")]) == 0
    assert "| SV2P − SVG-LP | all |" in capsys.readouterr().out
    rows = json.loads((tmp_path / "fig8" / "comparison.json").read_text())["rows"]
    for label in ("SV2P", "SVG-LP", "SRVP"):
        for metric in ("psnr", "ssim"):
            curve = rows[label][metric]["per_step"]
            assert curve["t"] == [2, 3, 4] and len(curve["mean"]) == 3 and min(curve["half_width"]) >= 0
    with Image.open(tmp_path / "fig8" / "comparison.png") as picture:
        assert picture.size[0] > 1000  # two panels


def test_figure_9_of_three_families(runs, tmp_path, capsys):
    beside = ["--beside", f"SVG-LP={runs['smmnist_mini']}", "--beside", str(runs["smmnist_mini_srvp"]), "--label", "SV2P"]
    common = ["figures", str(runs["sv2p"]), "--out", str(tmp_path), "--sequences", "2", "--n-samples", "3"]
    assert cli.main([*common, "--figure", "9", *beside]) == 0
    assert "PSNR of the best, mean over sequences: SV2P " in capsys.readouterr().out
    values = json.loads((tmp_path / "figure9.json").read_text())
    assert list(values["models"]) == ["SV2P", "SVG-LP", "smmnist_mini_srvp"]
    assert values["n_past"] == 2 and {np.shape(model["psnr"]) for model in values["models"].values()} == {(2, 3)}
    with Image.open(tmp_path / "figure9-0.png") as strip:
        assert strip.size[1] > 10 * 64  # truth, and three rows of each run
    assert {file.name for file in tmp_path.glob("figure*")} == {"figure9-0.png", "figure9-1.png", "figure9.gif", "figure9.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--figure", "9"], "Figure 9 needs another run: --beside RUN."),
        (["--figure", "5", "--beside", "SVG"], "--beside is not for figure 5"),
        (["--figure", "9", "--beside", "SVG", "--deterministic", "SVG"], "--deterministic is not for figure 9"),
        (["--figure", "9", "--beside", "SELF"], "Two runs are called 'sv2p'; name them: LABEL=RUN."),
        (["--figure", "9", "--beside", "=SVG"], "A run is [LABEL=]RUN, got '="),
        (["--figure", "9", "--beside", "nowhere"], "not a run directory"),
        (["--figure", "9", "--beside", "OTHER"], "data.moving_mnist.num_digits is 1 for 'sv2p' and 2 for 'other'"),
        (["--figure", "3", "--deterministic", "OTHER"], "num_digits is 1 for 'sv2p' and 2 for '--deterministic'"),
    ],
)
def test_runs_that_cannot_stand_side_by_side(runs, arguments, message, tmp_path, capsys):
    other = tmp_path / "other"
    (other / "checkpoints").parent.mkdir()
    text = (runs["smmnist_mini"] / "config.json").read_text()
    (other / "config.json").write_text(text.replace('"num_digits": 1', '"num_digits": 2'))
    (other / "checkpoints").symlink_to(runs["smmnist_mini"] / "checkpoints")
    places = {"SVG": runs["smmnist_mini"], "SELF": runs["sv2p"], "OTHER": other, "=SVG": f"={runs['smmnist_mini']}"}
    given = [str(places.get(argument, argument)) for argument in arguments]
    assert cli.main(["figures", str(runs["sv2p"]), "--out", str(tmp_path / "out"), *given]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model.n-frames", "5"], "n_frames must be n_past + data.n_future = 4"),
        (["--model.latent-steps", "3"], "= 5 must be at most the run's 4 steps"),
        (["--model.image-size", "36"], "divisible by 8, got 36"),
        (["--model.kernel-size", "33"], "kernel_size must be at most image_size, 32; got 33"),
        (["--model.kernel-size", "4"], "kernel_size must be odd, got 4"),
    ],
)
def test_bad_settings_are_one_line_before_work(flags, message, tmp_path, capsys):
    try:
        status = train("smmnist_mini_sv2p", tmp_path / "run", *TINY, *flags)
    except SystemExit as stopped:  # by the parser of flags
        status = stopped.code
    assert status == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()


def test_an_export_answers_as_the_model_also_in_the_cpp_loader(runs, tmp_path):
    assert cli.main(["export", str(runs["sv2p"]), "--out", str(tmp_path / "exported")]) == 0
    model = training.load_run(runs["sv2p"]).model
    frames = np.random.default_rng(0).integers(0, 256, (2, 4, 32, 32, 1), np.uint8)
    seeds = np.array([[3, 0], [3, 1]], np.int32)
    floats, counts = frames.astype(np.float32) / 255, {"n_future": np.int32(3), "n_samples": np.int32(2)}
    requests = [
        ("generate_float", {"frames": floats[:, :3], "seed": seeds, **counts}),
        ("reconstruct", {"frames": frames, "seed": seeds}),
    ]
    futures, reconstructed = cpp.answers(tmp_path / "exported" / "1", requests)
    np.testing.assert_allclose(futures["frames"], model.generate(floats[:, :3], 3, 2, seeds), atol=1e-5)
    expected = np.round(model.reconstruct(floats, seeds).numpy() * 255)
    assert abs(reconstructed["frames"] - expected).max() <= 1
