"""The images: the platform's from its Dockerfile, and stand-ins from Debian's packages for the public ones."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.containers.compose import Project, Service
from tests.containers.engine import Engine
from tests.support.commands import run

BASE_DIR = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).parent / "stand_ins"
SUITE = os.environ.get("DEBIAN_SUITE", "sid")
BASE = f"localhost/debian-{SUITE}-python:latest"
"""Stands in for the base image of the Dockerfile."""

TRUSTED = "/etc/ssl/certs/ca-certificates.crt"
TIMEOUT = 1800.0
"""The timeout for building one image in seconds, including the download of packages."""

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PACKAGES = "python3,python3-venv,ca-certificates"

# A mirror's package lists may be older than their validity.
_APT = """Acquire::Check-Valid-Until "false";
APT::Install-Recommends "false";
quiet "2";
"""


def build_base(engine: Engine) -> None:
    """Builds an image of a Debian root with Python, unless it already exists."""
    if engine.has(BASE):
        return
    root, archive = engine.folder / "root", engine.folder / "root.tar"
    run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(root)], timeout=TIMEOUT)
    _prepare(root)
    run(["tar", "--create", "--file", str(archive), "--directory", str(root), "."], timeout=TIMEOUT)
    engine.podman("import", "--change", f"ENV PATH={PATH}", str(archive), BASE, timeout=TIMEOUT)
    shutil.rmtree(root)
    archive.unlink()


def _prepare(root: Path) -> None:
    (root / "etc" / "apt" / "apt.conf.d" / "images").write_text(_APT, encoding="utf-8")
    # Packages must not start their servers while an image is built.
    policy = root / "usr" / "sbin" / "policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="utf-8")
    policy.chmod(0o755)
    shutil.rmtree(root / "var" / "cache" / "apt")


def copy_project(folder: Path, variables: dict[str, str]) -> None:
    """Copies the files in git, and writes an ``.env`` file with these variables."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    names = subprocess.run(["git", "ls-files", "-z"], cwd=BASE_DIR, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (BASE_DIR / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(BASE_DIR / name, folder / name)
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    (folder / ".env").write_text(lines, encoding="utf-8")


def build_platform(engine: Engine, service: Service) -> None:
    """Builds the project's image, from a base image on this machine."""
    trusted = ["--volume", f"{TRUSTED}:{TRUSTED}:ro"] if Path(TRUSTED).exists() else []
    arguments = ["--build-arg", f"BASE_IMAGE={BASE}", "--pull-never", *trusted]
    engine.build(*arguments, "--tag", service.image, str(service.folder), timeout=TIMEOUT)


def build_stand_in(engine: Engine, service: Service) -> None:
    """Builds the image that stands in for a public one."""
    if engine.has(f"{image_of(service)}:latest"):
        return
    file = STAND_INS / f"{service.name}.Containerfile"
    arguments = ["--build-arg", f"BASE={BASE}", "--pull-never", "--file", str(file)]
    engine.build(*arguments, "--tag", image_of(service), str(STAND_INS), timeout=TIMEOUT)


def image_of(service: Service) -> str:
    """The image that is run: the project's image, or a stand-in for a public one."""
    return service.image if service.is_built else f"localhost/stand-in-{service.name}"


def builds(engine: Engine, project: Project) -> Iterator[tuple[str, Callable[[], None]]]:
    """Every image of the project once, as (name, function that builds it)."""
    yield f"the base: Debian {SUITE} with Python", lambda: build_base(engine)
    platform = next(service for service in project.services.values() if service.is_built)
    yield platform.image, lambda: build_platform(engine, platform)
    for service in project.services.values():
        if not service.is_built:
            yield f"in place of {service.image}", lambda service=service: build_stand_in(engine, service)  # type: ignore[misc]
