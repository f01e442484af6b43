#!/usr/bin/env bash
# Installs what the tests need and runs them all. Arguments go to pytest.
. "$(dirname "$0")/setup_env.sh" all
export TF_CPP_MIN_LOG_LEVEL=${TF_CPP_MIN_LOG_LEVEL:-3}
.venv/bin/python -m ruff check .
exec .venv/bin/python -m pytest "$@"
