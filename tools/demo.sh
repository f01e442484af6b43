#!/usr/bin/env bash
# Trains the preset smmnist_mini on digits that come with scikit-learn, then measures it. Flags go to tools/demo.py:
#   --smoke            40 steps, to see that everything works
#   --run-dir DIR      default runs/demo; an interrupted demo continues there
. "$(dirname "$0")/setup_env.sh" demo
mkdir -p runs
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3} PYTHONUNBUFFERED=1
log=runs/demo-stderr.log # TensorFlow's start-up notices
if ! .venv/bin/python tools/demo.py "$@" 2>"$log"; then
    tail -n 30 "$log" >&2
    exit 1
fi
