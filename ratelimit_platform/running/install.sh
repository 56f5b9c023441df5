#!/usr/bin/env bash
# Makes .venv and installs a requirements file into it: install.sh PYTHON FILE
set -euo pipefail

python=$1 file=$2

if ! "${python:-false}" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null; then
    echo "CPython 3.11 or 3.12 is needed, and ${python:-no python3} is not one. Name it: make PYTHON=/path/to/python3.12" >&2
    exit 1
fi
if [ ! -x .venv/bin/pip ]; then
    echo "… Making .venv"
    "$python" -m venv .venv || { echo "No virtual environment could be made; on Debian: apt-get install python3-venv" >&2; exit 1; }
fi
echo "… Installing $file"
.venv/bin/pip install --quiet --disable-pip-version-check --requirement "$file" || {
    echo "The packages of $file could not be installed; the lines above say which and why." >&2
    exit 1
}
