"""Packages of npm that tests use, in the versions of their lock file."""

import fcntl
import subprocess
from pathlib import Path


def install(folder: Path) -> None:
    """Installs the locked packages of this folder, unless they are installed."""
    lock = folder / "package-lock.json"
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        installed = folder / "node_modules" / ".package-lock.json"
        if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True)
            installed.touch()
