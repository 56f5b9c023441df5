"""Where the processes of one web server keep their metrics, so that each can tell those of all.

prometheus-client's multiprocess mode: every process writes to files of its own in a folder that
``PROMETHEUS_MULTIPROC_DIR`` names, and whoever is asked adds them up. What a killed process counted
stays in the sums. A server that is started anew begins at nothing, in a new folder.
"""

import os
import shutil
from pathlib import Path

import psutil

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def prepare(base: Path) -> Path:
    """Makes the folder of this process's server below ``base``, unless the environment names one,
    and removes those of servers that have ended. Call it before prometheus-client is imported."""
    if VARIABLE not in os.environ:
        _remove_ended(base)
        os.environ[VARIABLE] = str(base / _name_of(psutil.Process(os.getppid())))
    folder = Path(os.environ[VARIABLE])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _name_of(server: psutil.Process) -> str:
    """The workers of one server have the same parent. Its start tells it from a later one."""
    return f"{server.pid}-{server.create_time():.2f}"


def _remove_ended(base: Path) -> None:
    for folder in base.glob("*-*"):
        if not _is_running(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


def _is_running(name: str) -> bool:
    try:
        return _name_of(psutil.Process(int(name.partition("-")[0]))) == name
    except (psutil.Error, ValueError):
        return False


def forget_dead_processes(folder: Path) -> None:
    """Drops what processes that have ended said of their present state: only counts outlive them."""
    for file in folder.glob("gauge_live*_*.db"):
        if not psutil.pid_exists(int(file.stem.rpartition("_")[2])):
            file.unlink(missing_ok=True)
