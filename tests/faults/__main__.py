"""``make faults``: the long form of every fault, and a table of the stated bounds and the measured values."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

SECONDS = "10"

COLUMNS = (
    *("store", "fault", "requests", "degraded", "over quota: bound", "found", "local: bound", "found"),
    *("back after: bound", "found", "old rules after: bound", "found", "counts lost", ""),
)


def main() -> int:
    """Runs the tests of this folder one after another. Returns pytest's exit status."""
    with tempfile.TemporaryDirectory() as folder:
        table = Path(folder) / "table.md"
        table.touch()
        environment = {"FAULT_SECONDS": SECONDS} | os.environ | {"FAULT_TABLE": str(table)}
        command = [sys.executable, "-m", "pytest", "tests/faults", "--numprocesses", "0", "-q", *sys.argv[1:]]
        status = subprocess.run(command, env=environment, check=False).returncode
        head = f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}"
        print(f"\n{head}\n{table.read_text(encoding='utf-8')}")
    return status


if __name__ == "__main__":
    sys.exit(main())
