import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG
from svg_tf.training import callbacks

TINY = SVGConfig(image_size=32, width=2, g_dim=4, z_dim=2, rnn_size=3, n_past=2)
FRAMES = np.random.default_rng(0).random((2, 5, 32, 32, 1)).astype("float32")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    model = SVG(TINY)
    model.compile(keras.optimizers.Adam(2e-3))
    data = tf.data.Dataset.from_tensors({"frames": FRAMES})
    progress = callbacks.Progress(total=8, batch_frames=10, every=2)
    model.fit(
        data.repeat(), validation_data=data, epochs=2, steps_per_epoch=4, verbose=0, shuffle=False,
        callbacks=[
            callbacks.Scalars(folder, batch_frames=10, every=2),
            callbacks.VideoSummary(folder, FRAMES, n_past=2, n_samples=3),
            progress,
        ],
    )  # fmt: skip
    return folder


def scalars(folder, tag):
    events = EventAccumulator(str(folder)).Reload()
    return [(e.step, float(tf.make_ndarray(e.tensor_proto))) for e in events.Tensors(tag)]


def test_scalars_per_step_and_epoch(logs):
    terms = ("loss", "mse", "kl", "beta_kl", "sigma_posterior", "sigma_prior")
    for tag in (*(f"step/{term}" for term in terms), "optimizer/learning_rate"):
        assert [step for step, _ in scalars(logs / "train", tag)] == [2, 4, 6, 8]
    assert all(value > 0 for _, value in scalars(logs / "train", "speed/frames_per_second"))
    assert [value for _, value in scalars(logs / "train", "optimizer/learning_rate")] == pytest.approx([2e-3] * 4)
    losses = [value for _, value in scalars(logs / "train", "step/loss")]
    epochs = [value for _, value in scalars(logs / "train", "epoch/loss")]
    assert epochs == pytest.approx([np.mean(losses[:2]), np.mean(losses[2:])], rel=1e-4)
    assert [step for step, _ in scalars(logs / "validation", "epoch/loss")] == [4, 8]


def test_videos(logs):
    events = EventAccumulator(str(logs / "videos")).Reload()
    tensors = events.Tensors("samples/validation")
    assert [t.step for t in tensors] == [4, 8]
    assert tf.make_ndarray(tensors[0].tensor_proto)[2][:6] == b"GIF89a"


def test_progress_prints_lines_where_there_is_no_terminal(capsys):
    model = SVG(TINY)
    model.compile(keras.optimizers.Adam(2e-3))
    data = tf.data.Dataset.from_tensors({"frames": FRAMES}).repeat()
    progress = callbacks.Progress(total=4, batch_frames=10, every=2)
    model.fit(data, epochs=1, steps_per_epoch=4, verbose=0, shuffle=False, callbacks=[progress])
    printed = capsys.readouterr().out
    assert "step 2/4" in printed and "step 4/4" in printed
    assert all(word in printed for word in ("loss", "mse", "kl", "frames/s", "left"))


@pytest.mark.parametrize("n_past", [0, 5])
def test_video_summary_checks_its_clips(tmp_path, n_past):
    with pytest.raises(ValueError, match="T > n_past"):
        callbacks.VideoSummary(tmp_path, FRAMES, n_past=n_past)
