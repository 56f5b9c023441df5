"""``make containers``: builds the images, runs all services of the compose file, and checks them.

It needs root and some packages of Debian, and takes minutes. It runs in separate
namespaces for processes, mounts and networks, which end with it. ``CONTAINERS_DIR``: a folder in which the images
are kept for the next run.
"""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.containers import building
from tests.containers.compose import Project, read_project, read_variables
from tests.containers.engine import Engine, missing
from tests.containers.running import run_checks
from tests.containers.world import wait_until
from tests.support.commands import CommandFailed, alone

SECRETS = {"SECRET_KEY": 50, "POSTGRES_PASSWORD": 24, "REDIS_PASSWORD": 24}
"""Secrets that an operator fills in, with the number of bytes of each."""


def main() -> int:
    """Returns the exit status: 0, 1 if a check failed, 2 if a program is missing on this machine."""
    if len(sys.argv) == 3:
        return STAGES[sys.argv[1]](Path(sys.argv[2]))
    signal.signal(signal.SIGTERM, _end)
    problem = _problem()
    if problem:
        print(problem, file=sys.stderr)
        return 2
    return _in_folder(os.environ.get("CONTAINERS_DIR"))


def _end(*_: object) -> None:
    """On SIGTERM, exits with a complete cleanup, even if further signals arrive meanwhile."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + signal.SIGTERM)


def _problem() -> str:
    packages = missing()
    if packages:
        return f"Packages are missing: apt-get install --no-install-recommends {' '.join(packages)}"
    return "" if os.geteuid() == 0 else "Containers run as root here: sudo make containers"


def _in_folder(kept: str | None) -> int:
    folder = Path(kept or tempfile.mkdtemp(prefix="ratelimit-containers-")).resolve()
    try:
        example = read_variables((building.BASE_DIR / "containers" / "env.example").read_text(encoding="utf-8"))
        filled_in = {name: secrets.token_hex(length) for name, length in SECRETS.items()}
        building.copy_project(folder / "project", example | filled_in)
        # Building needs the network for packages; running uses a separate network namespace.
        return _stage("build", folder, alone()) or _stage("run", folder, alone("net"))
    finally:
        _remove(folder / "project" if kept else folder)


def _remove(folder: Path) -> None:
    # Mounts of a killed stage end shortly after it.
    wait_until(lambda: shutil.rmtree(folder, ignore_errors=True) or not folder.exists(), f"{folder} is removed")


def _stage(name: str, folder: Path, alone: list[str]) -> int:
    return subprocess.call([*alone, sys.executable, "-m", "tests.containers", name, str(folder)])


def _build(folder: Path) -> int:
    engine = Engine(folder)
    print(engine.versions(), flush=True)
    try:
        for name, build in building.builds(engine, _project(folder)):
            began = time.monotonic()
            build()
            print(f"built  {time.monotonic() - began:5.1f} s  {name}", flush=True)
    except CommandFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run(folder: Path) -> int:
    variables = _variables(folder)
    return run_checks(Engine(folder), _project(folder), {name: variables[name] for name in SECRETS})


def _variables(folder: Path) -> dict[str, str]:
    return read_variables((folder / "project" / ".env").read_text(encoding="utf-8"))


def _project(folder: Path) -> Project:
    return read_project(folder / "project", _variables(folder))


STAGES = {"build": _build, "run": _run}
"""Name → stage, which runs in separate namespaces."""


if __name__ == "__main__":
    sys.exit(main())
