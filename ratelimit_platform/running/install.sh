#!/usr/bin/env bash
# Creates .venv and installs a requirements file into it: install.sh FILE
# PYTHON in the environment names the interpreter; by default, the first suitable one is used.
set -euo pipefail

file=$1

is_fit() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
}

find_python() {
    local candidate candidates=(python3 python3.14 python3.13 python3.12 python3.11)
    # One name or path, which may contain spaces.
    [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
    for candidate in "${candidates[@]}"; do
        if is_fit "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "CPython 3.11 to 3.14 is required, but not found under these names: ${candidates[*]}." >&2
    echo "Specify the interpreter: make PYTHON=/path/to/python3.13" >&2
    exit 1
}

is_whole() {
    is_fit .venv/bin/python && .venv/bin/python -m pip --version >/dev/null 2>&1
}

if ! is_whole; then
    python=$(find_python)
    echo "… Creating .venv with $python"
    "$python" -m venv --clear .venv || {
        echo "The virtual environment could not be created; on Debian: apt-get install python3-venv" >&2
        exit 1
    }
fi
echo "… Installing $file"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement "$file" || {
    echo "The packages in $file could not be installed; see the lines above." >&2
    exit 1
}
