"""What stands in the event file is what TensorBoard's images plugin serves."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from svg_tf import summaries, visualization


def written(folder):
    values = []
    for path in sorted(folder.glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            values += [(event.step, value) for value in event.summary.value]
    return values


def clip(steps=5):
    return visualization.grid([[("truth", np.random.default_rng(0).random((steps, 16, 16, 1)))]], 2)


def test_gif_is_stored_for_the_images_plugin(tmp_path):
    frames = clip()
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        assert summaries.gif("samples", frames, step=7, fps=4)
    ((step, value),) = written(tmp_path)
    assert (step, value.tag) == (7, "samples")
    assert value.metadata.plugin_data.plugin_name == "images"
    width, height, content = tf.make_ndarray(value.tensor)
    assert (int(width), int(height)) == (frames.shape[2], frames.shape[1])
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.n_frames, image.size) == ("GIF", 5, (frames.shape[2], frames.shape[1]))
    assert image.info["duration"] == 250


def test_tensorboards_own_plugin_serves_it_as_gif(tmp_path):
    from urllib.parse import parse_qs

    from tensorboard import context
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.image import images_plugin

    with tf.summary.create_file_writer(str(tmp_path / "run")).as_default():
        summaries.gif("samples", clip(), step=1)
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    multiplexer.AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = data_provider.MultiplexerDataProvider(multiplexer, str(tmp_path))
    plugin = images_plugin.ImagesPlugin(base_plugin.TBContext(data_provider=provider, logdir=str(tmp_path)))
    (entry,) = plugin._image_response_for_run(context.RequestContext(), "", "run", "samples", 0)
    query = parse_qs(entry["query"])
    content = plugin._get_generic_data_individual_image(context.RequestContext(), query["blob_key"][0])
    image = Image.open(io.BytesIO(content))
    assert (image.format, image.n_frames) == ("GIF", 5)


def test_pictures(tmp_path):
    picture = clip()[0]
    path = visualization.save_png(tmp_path / "figure.png", picture)
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        assert summaries.picture("array", picture, step=1)
        assert summaries.picture("file", path, step=1)
    values = {value.tag: (step, value) for step, value in written(tmp_path)}
    for tag in ("array", "file"):
        width, height, content = tf.make_ndarray(values[tag][1].tensor)
        assert (int(width), int(height)) == picture.shape[1::-1]
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), picture)


def test_without_a_writer_nothing_is_written():
    assert summaries.gif("samples", clip(), step=0) is False


def test_wrong_input_is_named(tmp_path):
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        with pytest.raises(ValueError, match="name"):
            summaries.gif("", clip(), step=0)
        with pytest.raises(ValueError, match="step"):
            summaries.gif("samples", clip(), step=-1)
        with pytest.raises(ValueError, match="int64"):
            summaries.gif("samples", np.zeros((2, 8, 8, 3), np.int64), step=0)
        (tmp_path / "text.png").write_text("no picture")
        with pytest.raises(ValueError, match="neither a PNG nor a GIF"):
            summaries.picture("x", tmp_path / "text.png", step=0)
        with pytest.raises(ValueError, match="shape"):
            summaries.picture("x", clip(), step=0)
