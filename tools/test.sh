#!/usr/bin/env bash
# Installs what the tests need and runs them all. Arguments go to pytest.
. "$(dirname "$0")/setup_env.sh" all
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3}
.venv/bin/python -m ruff check .
# Two processes: much of the time goes to building graphs, which keeps one core busy.
exec .venv/bin/python -m pytest -n 2 --dist loadfile "$@"
