#!/usr/bin/env python
"""Benchmarks: each prints a small table and the ratio that matters; --json FILE writes the figures too.

python tools/benchmark.py train --preset smmnist_lp --batch-size 16
python tools/benchmark.py sample|data|read|build|metrics|serve|memory|scale [--help]
"""

import importlib
import os
import pathlib
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
HERE = pathlib.Path(__file__).resolve().parent


def main(arguments: list[str]) -> int:
    names = sorted(p.stem for p in (HERE / "benchmarks").glob("*.py") if not p.stem.startswith("_"))
    if not arguments or arguments[0] not in names:
        print(f"{__doc__}\nBenchmarks: {', '.join(names)}", file=sys.stderr)
        return 2
    sys.path.insert(0, str(HERE / "benchmarks"))
    sys.path.insert(0, str(HERE.parent))
    import svg_tf  # noqa: F401  sets TensorFlow's CPU options before it is imported

    return importlib.import_module(arguments[0]).main(arguments[1:]) or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
