"""What a request may ask for follows from the bytes of the model's own maps."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from svg_tf.families.srvp import sampling
from svg_tf.families.srvp.model import SRVP
from svg_tf.families.svg.model import SVG
from svg_tf.serving import export, signatures
from svg_tf.serving.limits import Footprint, Limits
from tests.svg_tf.serving.tiny_export import CONFIG
from tests.svg_tf.tiny_models import TINY_SRVP


def test_the_largest_maps_of_vgg_bound_frames_and_samples():
    """They are 64 x 64 of `width` floats, and four of them live at a time."""
    vgg = SVG(dataclasses.replace(CONFIG, image_size=64, backbone="vgg", width=4))
    per_frame, per_predicted = 4 * 4 * 64 * 64 * 4, 4 * 4 * 64 * 64
    asked = Limits(max_bytes=20 * per_frame)
    functions, limits = signatures.build(vgg, 2, 2, asked, least_rows=1)
    assert limits == dataclasses.replace(
        asked, max_given_frames=20, max_samples=20, max_predicted_frames=20 * per_frame // per_predicted
    )
    frames, seeds = tf.zeros([3, 7, 64, 64, 1], tf.uint8), tf.zeros([3, 2], tf.int32)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 20 frames \(batch \* time\)"):
        functions["serving_default"](frames, seeds)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at most 20 samples \(batch \* n_samples\)"):
        functions["generate"](frames[:, :2], seeds, tf.constant(1), tf.constant(7))


def test_limits_within_a_footprint():
    asked = Limits(max_given_frames=50, max_samples=60, max_predicted_frames=70, max_bytes=1000)
    assert asked.within(Footprint(10, 10)) == asked
    found = asked.within(Footprint(20, 100))
    assert (found.max_given_frames, found.max_samples, found.max_predicted_frames) == (50, 50, 10)
    with pytest.raises(ValueError, match="max_bytes must be at least 1001, what one frame of this model takes, got 1000"):
        asked.within(Footprint(1001, 10))
    with pytest.raises(ValueError, match="max_bytes must be an integer in"):
        Limits(max_bytes=0)


def test_an_export_beyond_the_memory_is_refused_before_it_is_written(tmp_path, monkeypatch):
    model = SVG(CONFIG)
    with pytest.raises(ValueError, match="max_bytes must be at least"):
        export.export(model, tmp_path / "a", limits=Limits(max_bytes=1000), with_warmup=False)
    monkeypatch.setattr(export.signatures, "build", lambda *_: signatures.Signatures({}, Limits(max_samples=3)))
    with pytest.raises(ValueError, match="n_samples 4 .* beyond the limits of one request"):
        export.export(model, tmp_path / "a", n_future=2, n_samples=4, with_warmup=False)
    assert not any(tmp_path.iterdir())


def test_srvp_decodes_as_many_frames_as_its_maps_allow(monkeypatch):
    model = SRVP(dataclasses.replace(TINY_SRVP, skips=True))
    assert sampling.frames_at_once(model.decoder) == 1024
    largest = 32 * 32 * 4  # the frame
    monkeypatch.setattr(sampling, "BYTES_AT_ONCE", 4 * 5 * largest)
    assert sampling.frames_at_once(model.decoder) == 5
    frames = np.random.default_rng(0).random((2, 3, 32, 32, 1)).astype(np.float32)
    few = model.generate(frames, 4, 3, seed=1)
    monkeypatch.undo()
    np.testing.assert_allclose(few, model.generate(frames, 4, 3, seed=1), atol=1e-6)
