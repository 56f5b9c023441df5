#!/usr/bin/env bash
# All checks of CI, the quick ones first. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
bin=.venv/bin

# Each process that a test starts would compile every module of the project again.
unset PYTHONDONTWRITEBYTECODE

check() {
    echo "── $1"
    shift
    "$@"
}

# The type checker imports the settings and connects to nothing.
settings=(SECRET_KEY=unused ALLOWED_HOSTS=unused DATABASE_URL=postgresql:///unused REDIS_URL=redis://unused)

check "format" $bin/ruff format --check --quiet .
check "lint" $bin/ruff check --quiet .
check "types" env "${settings[@]}" $bin/mypy
check "import contracts" $bin/lint-imports --no-cache
check "tests" $bin/python -m pytest "$@"
