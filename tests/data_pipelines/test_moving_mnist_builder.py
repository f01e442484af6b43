"""The fixed Moving MNIST test sets as TFDS data sets."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

import data_pipelines
from data_pipelines import clip_storage, motion, moving_mnist
from data_pipelines.example_gen import base
from data_pipelines.example_gen import moving_mnist as builders


@pytest.fixture(scope="module", params=["reference", "srvp"])
def built(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    config = builders.MovingMnistConfig(
        name="small", variant=request.param, num_sequences=60, num_frames=13, digit_source="uci", description="for tests"
    )
    return config, folder, base.build(builders.MovingMnist(config=config, data_dir=folder))


def test_records_match_their_states(built):
    config, _, path = built
    examples = list(tfds.as_numpy(tfds.builder_from_directory(path).as_dataset(split="test")))
    assert len(examples) == 60
    size = 32 if config.variant == "reference" else 28
    renderer = builders._renderer(moving_mnist.Options(variant=config.variant, digits="uci"))
    assert renderer.canvas == 64
    for example in examples[:5]:
        number = int(example["clip_id"].decode().split("-")[1])
        physics = motion.Physics(64 - size, 4, config.variant)
        states = motion.simulate(physics, motion.draw(physics, 42, "test", [number], 13, 2))
        for name, expected in states._asdict().items():
            np.testing.assert_array_equal(example[name], expected[0])
        frames = clip_storage.decode_clip(example)
        drawn = renderer(example["digit_ids"][None], states.positions).numpy()[0]
        np.testing.assert_array_equal(frames.astype(np.float32) / np.float32(255), drawn)


def test_reads_through_the_facade(built):
    config, folder, _ = built
    batch = next(
        iter(
            data_pipelines.load(
                "moving_mnist/small", split="test", seq_len=13, batch_size=4, data_dir=str(folder), with_states=True
            )
        )
    )
    assert batch["frames"].shape == (4, 13, 64, 64, 1) and batch["positions"].shape == (4, 13, 2, 2)
    assert batch["collisions"].dtype == bool and batch["digit_ids"].shape == (4, 2)


def test_srvp_shows_each_test_digit_once():
    ids = builders.srvp_digit_ids(5000, 10_000)
    assert sorted(ids.ravel()) == list(range(10_000))
    assert ids[:2].tolist() == builders.srvp_digit_ids(4999, 10_000)[:2].tolist()
    assert (np.bincount(builders.srvp_digit_ids(60, 50).ravel(), minlength=50) >= 2).all()


def test_published_configurations():
    configs = {config.name: config for config in builders.MovingMnist.BUILDER_CONFIGS}
    assert (configs["srvp"].num_sequences, configs["srvp"].num_frames) == (5000, 25)
    assert configs["reference"].num_frames == 100


def test_bad_configuration_and_source(tmp_path):
    with pytest.raises(ValueError, match="num_frames must be"):
        builders.MovingMnistConfig(name="bad", num_frames=0)
    with pytest.raises(ValueError, match="variant must be"):
        builders.MovingMnistConfig(name="bad", variant="other")
    builder = builders.MovingMnist(config="srvp", data_dir=tmp_path / "out", options=base.BuildOptions(source=str(tmp_path)))
    with pytest.raises(ValueError, match="t10k-images-idx3-ubyte.gz does not exist"):
        base.build(builder)
    assert not list((tmp_path / "out").rglob("*.tfrecord*"))
