"""Speed of the frame metrics: frames a second of SSIM + PSNR, by protocol and size, with scikit-image beside them."""

import argparse
import json
import statistics
import time

import numpy as np

from data_pipelines import frame_size


def _rate(function, frames: int, repeats: int) -> float:
    """Frames a second: the median of `repeats` calls after one that builds the graph."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return frames / statistics.median(seconds)


def measure(size: frame_size.Size, channels: int, frames: int, repeats: int) -> list[dict]:
    """SSIM + PSNR of pairs of random frames, from TensorFlow tensors to NumPy values, both protocols."""
    import tensorflow as tf

    from svg_tf.evaluation.metrics import psnr, ssim

    random = np.random.default_rng(0)
    x, x_hat = (tf.constant(random.random((frames, *frame_size.pair(size), channels)), tf.float32) for _ in range(2))
    rows = []
    for protocol in ("srvp", "svg"):

        def both(protocol=protocol):
            return ssim(x, x_hat, protocol).numpy(), psnr(x, x_hat).numpy()

        rate = _rate(both, frames, repeats)
        rows.append({"what": "SSIM + PSNR", "protocol": protocol, "channels": channels, "frames_per_s": rate})
    return rows


def measure_scikit_image(size: frame_size.Size, frames: int = 64) -> list[dict]:
    """The same with scikit-image in one process; an empty list where it is not installed."""
    try:
        from skimage.metrics import peak_signal_noise_ratio, structural_similarity
    except ImportError:
        return []
    random = np.random.default_rng(0)
    x, x_hat = (random.random((frames, *frame_size.pair(size))).astype(np.float32) for _ in range(2))
    gauss = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}

    def both():
        for a, b in zip(x, x_hat, strict=True):
            structural_similarity(a, b, **gauss)
            peak_signal_noise_ratio(a, b, data_range=1.0)

    rate = _rate(both, frames, 3)
    return [{"what": "scikit-image, the same", "protocol": "srvp", "channels": 1, "frames_per_s": rate}]


def main(argv=None) -> list[dict]:
    """Prints a table; with --json FILE also writes it as JSON. Returns the rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=frame_size.parse, default=64, help="pixels: 64, or 64x80, height x width")
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--frames", type=int, default=4096, help="pairs of frames in a call")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", help="file for the table as JSON")
    args = parser.parse_args(argv)
    for name in ("channels", "frames", "repeats"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1, got {getattr(args, name)}")
    rows = measure(args.size, args.channels, args.frames, args.repeats) + measure_scikit_image(args.size)
    for row in rows:
        row["size"] = frame_size.text(args.size)
        print(
            f"{row['what']:24} {row['protocol']:5} {row['size']} px x {row['channels']} {row['frames_per_s']:10,.0f} /s"
        )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=2)
    return rows


if __name__ == "__main__":
    main()
