"""Sizes, parameter counts and initial values of the layers (paper appendix)."""

import keras
import numpy as np
import pytest

from svg_tf.families import backbone_cost
from svg_tf.families.svg.config import SVGConfig
from svg_tf.families.svg.model import SVG
from svg_tf.layers import backbones
from svg_tf.layers.convolution import BatchNorm, ConvBlock
from svg_tf.layers.recurrent import LSTM, GaussianLSTM, LSTMLayer
from svg_tf.skip_terms import HeldOverTime

BN = 2  # trainable parameters a channel: gamma and beta


def trainable(layer):
    return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)


def test_parameters_of_dcgan_64_svg_lp():
    """SVG-LP, DCGAN-64, nf 64, C 1, z 10. Biases before batch normalization are left out: 1,088 + 960 fewer."""
    model = SVG(SVGConfig())
    encoder = 16 * (1 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 128) + BN * (64 + 128 + 256 + 512 + 128)
    decoder = 16 * (128 * 512 + 2 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 1)) + BN * (512 + 256 + 128 + 64) + 1
    cell = 256 * 1024 + 256 * 1024 + 1024
    gaussian = 128 * 256 + 256 + cell + 2 * (256 * 10 + 10)
    predictor = (128 + 10) * 256 + 256 + 2 * cell + 256 * 128 + 128
    assert trainable(model.encoder) == encoder == 3_804_288
    assert trainable(model.decoder) == decoder == 6_557_569
    assert trainable(model.latent.posterior) == trainable(model.latent.prior) == gaussian == 563_476
    assert trainable(model.frame_predictor) == predictor == 1_119_104
    assert trainable(model) == encoder + decoder + 2 * gaussian + predictor == 12_607_913

    reference = SVG(SVGConfig(bias_before_norm=True))  # the reference has them
    assert trainable(reference.encoder) - encoder == 64 + 128 + 256 + 512 + 128
    assert trainable(reference.decoder) - decoder == 512 + 256 + 128 + 64


def test_multiply_adds_of_dcgan_64():
    model = SVG(SVGConfig(prior="none"))
    assert round(backbone_cost.encoder_multiply_adds(model.encoder) / 1e6, 1) == 102.8
    main, skip = backbone_cost.decoder_multiply_adds(model.decoder)
    assert round((main + skip) / 1e6, 1) == 204.5
    assert round(skip / 1e6, 1) == 101.7


@pytest.mark.parametrize(("name", "size"), [("dcgan", 32), ("dcgan", 64), ("dcgan", 128), ("vgg", 64), ("vgg", 128)])
def test_backbones_map_frames_to_codes_and_back(name, size):
    encoder, decoder = backbones.build(name, size, channels=3, width=2, g_dim=7)
    x = np.random.default_rng(0).random((4, size, size, 3), np.float32)  # two time steps of two sequences
    h, skips = encoder(x, norm="batch", head=2)
    assert h.shape == (4, 7)
    finest = size if name == "vgg" else size // 2
    assert [s.shape[:2] for s in skips] == [(2, finest >> i) for i in range(len(skips))]
    assert skips[-1].shape[1] == (8 if name == "vgg" else 4)
    frames = decoder(h, skips=decoder.skip_terms(skips, HeldOverTime(1, 2, 2)), norm="batch")
    assert frames.shape == x.shape
    assert 0 < float(frames.numpy().min()) < float(frames.numpy().max()) < 1
    full, _ = encoder(x, norm="batch")
    np.testing.assert_array_equal(full, h)


def test_vgg_64_convolutions():
    encoder, decoder = backbones.build("vgg", 64, channels=1, width=64, g_dim=128)
    widths = [[conv.conv.outputs for conv in block] for block in encoder.blocks]
    assert widths == [[64, 64], [128, 128], [256] * 3, [512] * 3]
    widths = [[f.block.conv.outputs, *(c.conv.outputs for c in r)] for f, r in zip(decoder.first, decoder.rest, strict=True)]
    assert widths == [[512, 512, 256], [256, 256, 128], [128, 64], [64]]


def test_initial_values():
    keras.utils.set_random_seed(0)
    model = SVG(SVGConfig(image_size=32, width=32))
    kernel = np.asarray(model.encoder.levels[2].conv.kernel.value)
    assert abs(kernel.std() / 0.02 - 1) < 0.02 and abs(kernel.mean()) < 1e-3
    gamma = np.concatenate([np.asarray(b.norm.gamma.value) for b in model.encoder.levels])
    assert abs(gamma.mean() - 1) < 0.01 and abs(gamma.std() / 0.02 - 1) < 0.2
    cell = model.frame_predictor.cells[0]
    for weight in (cell.kernel, cell.recurrent_kernel):
        value = np.asarray(weight.value)
        assert abs(value).max() <= 1 / 16
        assert abs(value.std() * 16 * np.sqrt(3) - 1) < 0.06  # uniform; no forget-gate offset in the bias
    assert not np.asarray(model.decoder.out.bias.value).any()


def test_the_bias_of_an_lstm_starts_as_the_sum_of_the_published_cells_two():
    """u + v, both U(-1/16, 1/16): a triangle from -1/8 to 1/8, whose distribution function at -1/16 is 1/8."""
    keras.utils.set_random_seed(0)
    bias = np.concatenate([np.asarray(LSTMLayer(1, 256).bias.value) for _ in range(40)])
    assert abs(bias.std() / (np.sqrt(2 / 3) / 16) - 1) < 0.02 and abs(bias.mean()) < 1e-3  # 0.051
    assert 0.115 < abs(bias).max() <= 0.125
    for quarter, expected in ((-1 / 16, 1 / 8), (0, 1 / 2), (1 / 16, 7 / 8)):
        assert abs((bias < quarter).mean() - expected) < 0.01
    halves = bias.reshape(-1, 2).T
    assert abs(np.corrcoef(halves)[0, 1]) < 0.05


def test_a_frozen_normalization_stays_and_uses_its_averages():
    """As Keras's does, also where a layer above is what was frozen."""
    x = np.random.default_rng(1).normal(2.0, 3.0, (8, 4, 4, 3)).astype("float32")
    block = ConvBlock("down", 3, 4)
    block(x, norm="train")
    expected = block(x, norm="running").numpy()
    kept = [np.asarray(v.value) for v in block.variables]
    for frozen in (block, block.norm):
        frozen.trainable = False
        np.testing.assert_array_equal(block(x, norm="train"), expected)
        for before, variable in zip(kept, block.variables, strict=True):
            np.testing.assert_array_equal(variable.value, before)
        frozen.trainable = True
    assert abs(block(x, norm="train").numpy() - expected).max() > 1e-3
    assert (np.asarray(block.norm.moving_mean.value) != kept[-2]).any()


def test_batch_norm_modes():
    rng = np.random.default_rng(1)
    x = rng.normal(2.0, 3.0, (8, 2, 2, 4)).astype("float32")
    layer = BatchNorm(4)
    before = np.asarray(layer.moving_mean.value)
    in_batch = layer(x, norm="batch").numpy()
    np.testing.assert_array_equal(layer.moving_mean.value, before)
    np.testing.assert_allclose(layer(x, norm="train").numpy(), in_batch)
    np.testing.assert_allclose(layer.moving_mean.value, 0.1 * x.mean((0, 1, 2)), rtol=1e-4)
    for _ in range(200):
        layer(x, norm="train")
    np.testing.assert_allclose(layer(x, norm="running").numpy(), in_batch, atol=0.1)  # unbiased variance


def test_batch_norm_per_step_equals_steps_in_a_row():
    x = np.random.default_rng(2).normal(size=(6, 2, 2, 3)).astype("float32")
    keras.utils.set_random_seed(0)
    together = BatchNorm(3)
    keras.utils.set_random_seed(0)
    in_a_row = BatchNorm(3)
    y = together(x, norm="train", groups=3).numpy()
    rows = [in_a_row(part, norm="train").numpy() for part in np.split(x, 3)]
    np.testing.assert_allclose(y, np.concatenate(rows), atol=1e-5)
    for a, b in zip(together.variables, in_a_row.variables, strict=True):
        np.testing.assert_allclose(a.value, b.value, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [3, 70])  # unrolled, and in a graph loop
def test_lstm_state_goes_in_and_comes_out(steps):
    rng = np.random.default_rng(3)
    lstm = LSTM(4, 5, 2, 3)
    x = rng.normal(size=(steps, 2, 4)).astype("float32")
    whole, state = lstm(x, lstm.initial_state(2))
    assert whole.shape == (steps, 2, 3)
    first, middle = lstm(x[:2], lstm.initial_state(2))
    second, end = lstm(x[2:], middle)
    np.testing.assert_allclose(whole, np.concatenate([first, second]), atol=1e-5)
    for (h, c), (h2, c2) in zip(state, end, strict=True):
        np.testing.assert_allclose(h, h2, atol=1e-5)
        np.testing.assert_allclose(c, c2, atol=1e-5)


def test_gaussian_lstm_keeps_the_log_variance_in_bounds():
    layer = GaussianLSTM(4, 5, 1, 3)
    layer.log_variance.bias.assign([1e4, -1e4, 0.0])
    _, log_variance, _ = layer(np.zeros((2, 1, 4), np.float32), layer.initial_state(1))
    np.testing.assert_allclose(log_variance[0, 0, :2], [10.0, -10.0])
