"""Builds the wheel, and environments that contain little else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE, STDOUT

BASE_DIR = Path(__file__).resolve().parents[2]
PROJECT = Path(__file__).parent / "project"
TIMEOUT = 300.0
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


def build_wheel(folder: Path) -> Path:
    """Builds the wheel of this working tree."""
    run(*PIP, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(BASE_DIR))
    (wheel,) = folder.glob("ratelimit_platform-*.whl")
    return wheel


class Environment:
    """A virtual environment of a separate project."""

    def __init__(self, folder: Path, python: str = sys.executable) -> None:
        self.folder = folder
        self.python = str(folder / "bin" / "python")
        run(python, "-m", "venv", "--without-pip", str(folder))

    def install(self, *requirements: str) -> None:
        run(*PIP, "--python", self.python, "install", "--quiet", "--no-compile", *requirements)

    @property
    def packages(self) -> dict[str, str]:
        """Name → version of all installed packages."""
        listed = run(*PIP, "--python", self.python, "list", "--format", "json")
        return {package["name"].lower(): package["version"] for package in json.loads(listed)}

    def manage(self, *arguments: str, project: Path = PROJECT, **variables: str) -> str:
        """Runs a management command of the project. Raises :class:`Failed`."""
        return run(self.python, "-W", "error", "manage.py", *arguments, folder=project, **variables)


class Failed(Exception):
    """A command ended with a status other than 0; the message contains its output."""


def run(*command: str, folder: Path = BASE_DIR, **variables: str) -> str:
    """Returns the output of a command. Raises :class:`Failed`."""
    environment = bare_environment() | variables
    done = subprocess.run(
        command, cwd=folder, env=environment, stdout=PIPE, stderr=STDOUT, text=True, check=False, timeout=TIMEOUT
    )
    if done.returncode:
        raise Failed(f"{' '.join(command)}\n{done.stdout}")
    return done.stdout


def bare_environment() -> dict[str, str]:
    """The environment of this process, without variables of Django and pytest."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST"))}


def tests_of_the_framework(version: str, folder: Path) -> str:
    """The framework's own throttling tests, from its source distribution, with only the base classes
    replaced by those of ``ratelimit_enforcer.throttling``."""
    source = ("--no-binary", "djangorestframework", f"djangorestframework=={version}")
    run(*PIP, "download", "--quiet", "--no-deps", "--dest", str(folder), *source)
    archive = f"djangorestframework-{version}"
    name = f"{archive}/tests/test_throttling.py"
    text = run("tar", "--extract", "--to-stdout", "--file", str(folder / f"{archive}.tar.gz"), name)
    return swap_base_classes(text)


CLASSES = ("AnonRateThrottle", "ScopedRateThrottle", "SimpleRateThrottle", "UserRateThrottle")
IMPORT = re.compile(r"from rest_framework\.throttling import \([^)]*\)\n")


def swap_base_classes(text: str) -> str:
    """The same tests for our classes. Fails if the import in the tests is not as expected."""
    (imported,) = IMPORT.findall(text)
    assert set(re.findall(r"\w+RateThrottle", imported)) == set(CLASSES)
    ours = ", ".join(f"Atomic{name} as {name}" for name in CLASSES)
    return IMPORT.sub(
        f"from ratelimit_enforcer.throttling import {ours}\nfrom rest_framework.throttling import BaseThrottle\n", text
    )
