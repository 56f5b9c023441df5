"""The folder in which the processes of one web server store their metrics, so that any of them can report the
totals.

It is prometheus-client's multiprocess mode: every process writes separate files in the folder
``PROMETHEUS_MULTIPROC_DIR``, and the process that answers a scrape adds them up. Counts of a killed process
stay in the totals. A restarted server begins at zero, in a new folder.
"""

import os
import shutil
from pathlib import Path

import psutil

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def prepare_folder(base: Path) -> Path:
    """Creates the folder of this process's server below ``base``, unless the environment names one, and
    removes the folders of servers that have ended. Call it before prometheus-client is imported."""
    if FOLDER_VARIABLE not in os.environ:
        _remove_ended(base)
        os.environ[FOLDER_VARIABLE] = str(base / _name_of(psutil.Process(os.getppid())))
    folder = Path(os.environ[FOLDER_VARIABLE])
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _name_of(server: psutil.Process) -> str:
    """The workers of one server have the same parent. Its start time distinguishes it from a later one."""
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


def remove_gauges_of_ended_processes(folder: Path) -> None:
    """Removes the gauges of processes that have ended: only counters outlive a process."""
    for file in folder.glob("gauge_live*_*.db"):
        if not psutil.pid_exists(int(file.stem.rpartition("_")[2])):
            file.unlink(missing_ok=True)
