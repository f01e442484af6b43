"""A fresh process that loads an exported model in TensorFlow's C++ loader; times and peak memory as JSON.

python _serve_cold_start.py JOB.json: {"library", "model", "signatures", "warm_up": .npz or null, "request": .npz}
"""

import json
import pathlib
import resource
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "svg_tf" / "serving"))  # alone, without the package
from cpp_loader import CppModel  # noqa: E402

DEFAULT = "serving_default"


def arrays(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def main(job_file: str) -> int:
    job = json.loads(pathlib.Path(job_file).read_text())
    start = time.perf_counter()
    model = CppModel(job["library"], job["model"], job["signatures"])
    loaded = time.perf_counter()
    if job["warm_up"]:
        model.run(DEFAULT, arrays(job["warm_up"]))
    warm = time.perf_counter()
    request = arrays(job["request"])
    seconds = []
    for _ in range(5):
        before = time.perf_counter()
        model.run(DEFAULT, request)
        seconds.append(time.perf_counter() - before)
    print(
        json.dumps(
            {
                "load_seconds": loaded - start,
                "warm_up_seconds": warm - loaded,
                "first_request_seconds": seconds[0],
                "later_request_seconds": sorted(seconds[1:])[len(seconds[1:]) // 2],
                "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
