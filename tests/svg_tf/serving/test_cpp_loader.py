"""The exported model in TensorFlow's C++ loader, which TensorFlow Serving uses, and in `saved_model_cli run`."""

import json
import subprocess
import sys

import numpy as np

from svg_tf.serving import cpp

INVALID_ARGUMENT = 3


def integer(value):
    return np.array(value, np.int32)


def good_requests(frames, seeds):
    floats = frames.astype(np.float32) / 255
    counts = {"n_future": integer(3), "n_samples": integer(4)}
    return [
        ("serving_default", {"frames": frames, "seed": seeds}),
        ("generate", {"frames": frames, "seed": seeds, **counts}),
        ("generate_float", {"frames": floats, "seed": seeds, **counts}),
        ("reconstruct", {"frames": frames, "seed": seeds}),
        ("uncertainty", {"frames": frames}),
    ]


def check(exported, frames, seeds, answers):
    """Against the model's own answers: floats to 1e-5, uint8 within one level."""
    model, floats = exported.model, frames.astype(np.float32) / 255
    futures = model.generate(floats, 3, 4, seeds).numpy()
    default, generated, generated_float, reconstructed, uncertainty = answers
    for answer, expected in (
        (default, model.generate(floats, 4, 2, seeds).numpy()),
        (generated, futures),
        (reconstructed, model.reconstruct(floats, seeds).numpy()),
    ):
        assert answer["frames"].dtype == np.uint8 and answer["frames"].shape == expected.shape
        assert abs(answer["frames"] - np.round(expected * 255)).max() <= 1
    np.testing.assert_allclose(generated_float["frames"], futures, atol=1e-5)
    np.testing.assert_allclose(uncertainty["sigma"], model.prior_scale(floats), atol=1e-5)


def test_cpp_loader_runs_every_signature_and_refuses_bad_requests(exported, frames, seeds, tmp_path):
    f, floats = frames, frames.astype(np.float32) / 255

    def generate(frames=f, seed=seeds, n_future=1, n_samples=1):
        return "generate", {"frames": frames, "seed": seed, "n_future": integer(n_future), "n_samples": integer(n_samples)}

    def generate_float(value):
        return "generate_float", {"frames": value, "seed": seeds, "n_future": integer(1), "n_samples": integer(1)}

    size = r"frames must be uint8 [batch >= 1, time >= 2, 32, 32, 1]; got shape] "
    bad = [
        (generate(frames=f[0]), size + "[6 32 32 1]"),
        (generate(frames=f[..., None]), size + "[3 6 32 32 1 1]"),
        (generate(frames=f[:, :, :16]), size + "[3 6 16 32 1]"),
        (generate(frames=f.repeat(3, -1)), size + "[3 6 32 32 3]"),
        (generate(frames=f[:, :1]), size + "[3 1 32 32 1]"),
        (generate(frames=f[:0], seed=seeds[:0]), size + "[0 6 32 32 1]"),
        (("uncertainty", {"frames": f[:, :1]}), size + "[3 1 32 32 1]"),
        (("reconstruct", {"frames": f[:, :, :, :16], "seed": seeds}), size + "[3 6 32 16 1]"),
        (("serving_default", {"frames": floats, "seed": seeds}), "to be uint8 but float is provided"),
        (("serving_default", {"frames": f, "seed": seeds.astype(np.int64)}), "to be int32 but int64 is provided"),
        (("serving_default", {"frames": f.repeat(6, 1), "seed": seeds}), "at most 30 time steps; got] [36]"),
        (("uncertainty", {"frames": f.repeat(4, 0)}), "at most 60 frames (batch * time); got] [72]"),
        (generate(seed=seeds[:2]), "seed must be int32 [batch, 2]"),
        (generate(seed=seeds[0]), "got batch, and shape of seed] [3] [2]"),
        (generate(seed=seeds[:, :1]), "got batch, and shape of seed] [3] [3 1]"),
        (generate(n_future=0), "n_future must be in [1, 30]; got] [0]"),
        (generate(n_samples=-1), "n_samples must be in [1, 20]; got] [-1]"),
        (generate(n_future=2**31 - 1, n_samples=2**31 - 1), "must be in [1, "),
        (generate(n_samples=7), "at most 20 samples (batch * n_samples); got] [21]"),
        (generate(n_samples=6, n_future=6), "at most 100 predicted frames (batch * n_samples * n_future); got] [108]"),
        (generate(n_future=[1]), "n_future must be a scalar int32; got shape] [1]"),
        (generate(n_samples=[]), "n_samples must be a scalar int32; got shape] [0]"),
        (generate_float(np.full_like(floats, np.nan)), "must be finite and in [0, 1]"),
        (generate_float(floats + np.float32(np.inf)), "must be finite and in [0, 1]"),
        (generate_float(floats * 255), "must be finite and in [0, 1]"),
        (("serving_default", {"frames": f}), "must feed a value for placeholder"),
    ]
    context = f[:, :5]
    good = good_requests(context, seeds)
    answers = cpp.answers(exported.version, [*good, *(request for request, _ in bad), good[0]])
    check(exported, context, seeds, answers[: len(good)])
    for (request, expected), answer in zip(bad, answers[len(good) : -1], strict=True):
        assert isinstance(answer, tuple), f"{request[0]} answered a request that should fail with {expected!r}"
        assert answer[0] == INVALID_ARGUMENT and expected in answer[1], answer
    np.testing.assert_array_equal(answers[-1]["frames"], answers[0]["frames"])  # the next good request is served


def test_cpp_loader_from_16_threads_equals_serial_answers_in_python(exported, local, frames, seeds, tmp_path):
    requests = [
        ("serving_default", {"frames": frames[: 1 + i % 3, : 2 + i % 4], "seed": seeds[: 1 + i % 3] + i}) for i in range(64)
    ]
    answers = cpp.answers(exported.version, requests, threads=16)
    for request, answer in zip(requests, answers, strict=True):
        assert abs(local.call(*request)["frames"].astype(int) - answer["frames"]).max() <= 1


CLI = """
import json, sys
from tensorflow.python.tools import saved_model_cli
for arguments in json.load(open(sys.argv[1])):
    parsed = saved_model_cli.create_parser().parse_args(arguments)
    parsed.func()
assert not any(name.startswith(("svg_tf", "data_pipelines")) for name in sys.modules)
"""


def test_saved_model_cli_runs_every_signature(exported, frames, seeds, tmp_path):
    commands, context = [], frames[:, :5]
    for key, inputs in good_requests(context, seeds):
        files = []
        for name, array in inputs.items():
            np.save(tmp_path / f"{key}-{name}.npy", array)
            files.append(f"{name}={tmp_path / f'{key}-{name}.npy'}")
        commands.append(["run", "--dir", str(exported.version), "--tag_set", "serve", "--signature_def", key,
                         "--inputs", ";".join(files), "--outdir", str(tmp_path / key)])  # fmt: skip
    (tmp_path / "commands.json").write_text(json.dumps(commands))
    (tmp_path / "cli.py").write_text(CLI)
    process = subprocess.run(
        [sys.executable, "-I", "cli.py", "commands.json"], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert process.returncode == 0, process.stderr[-3000:]
    answers = [{p.stem: np.load(p, allow_pickle=False) for p in (tmp_path / command[6]).iterdir()} for command in commands]
    check(exported, context, seeds, answers)
