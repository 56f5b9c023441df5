"""docker-compose.yml, read like Compose and translated to options of ``podman run``.

A key without a translation is an error, so nothing in the file is silently omitted.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$(?:(\$)|\{([A-Z_]+)(?::([-?])([^}]*))?\})")
_DURATION = re.compile(r"(\d+)(s|m)")


class ComposeError(Exception):
    """The file contains something that cannot be translated."""


def read_variables(text: str) -> dict[str, str]:
    """The variables of an ``.env`` file."""
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


def interpolate(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with ``${NAME:-default}``, ``${NAME:?message}`` and ``$$`` replaced. Raises ``ComposeError``."""

    def value(found: re.Match[str]) -> str:
        dollar, name, operator, word = found.groups()
        if dollar:
            return "$"
        if not variables.get(name) and operator == "?":
            raise ComposeError(f"{name}: {word}")
        return variables.get(name) or word or ""

    return _VARIABLE.sub(value, text)


def _interpolate_all(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return interpolate(node, variables)
    if isinstance(node, list):
        return [_interpolate_all(item, variables) for item in node]
    if isinstance(node, dict):
        return {key: _interpolate_all(value, variables) for key, value in node.items()}
    return node


def seconds(duration: str) -> float:
    """The length of ``30s`` or ``2m``. Raises ``ComposeError``."""
    found = _DURATION.fullmatch(duration)
    if not found:
        raise ComposeError(f"{duration} is not a duration that is known here.")
    return float(found[1]) * {"s": 1, "m": 60}[found[2]]


@dataclass(frozen=True)
class HealthCheck:
    """A health check; durations are in seconds."""

    command: tuple[str, ...]
    interval: float
    timeout: float
    retries: int
    start_period: float

    @property
    def unhealthy_after(self) -> float:
        """Seconds after which a container that is never healthy counts as unhealthy."""
        return self.start_period + self.retries * (self.interval + self.timeout)


def _health_check(stated: dict[str, Any]) -> HealthCheck:
    kind, *words = stated["test"]
    if kind not in ("CMD", "CMD-SHELL"):
        raise ComposeError(f"A health check cannot begin with {kind}.")
    command = words if kind == "CMD" else ["/bin/sh", "-c", *words]
    lengths = [seconds(stated.get(name, default)) for name, default in [("interval", "30s"), ("timeout", "30s")]]
    return HealthCheck(tuple(command), *lengths, stated.get("retries", 3), seconds(stated.get("start_period", "0s")))


def _repeated(option: str) -> Callable[[list[str]], list[str]]:
    return lambda values: [word for value in values for word in (option, value)]


def _environment(variables: dict[str, Any]) -> list[str]:
    return _repeated("--env")([f"{name}={value}" for name, value in variables.items()])


def _tmpfs(folders: list[str]) -> list[str]:
    # The mount options of Docker; by default podman would copy the image's files into it.
    return _repeated("--tmpfs")([f"{folder}:rw,noexec,nosuid,nodev,mode=1777,notmpcopyup" for folder in folders])


def _security(options: list[str]) -> list[str]:
    return _repeated("--security-opt")([option.removesuffix(":true") for option in options])


_OPTIONS: dict[str, Callable[[Any], list[str]]] = {
    "environment": _environment,
    "restart": lambda policy: ["--restart", policy],
    # By default podman would add writable folders.
    "read_only": lambda on: ["--read-only", "--read-only-tmpfs=false"] if on else [],
    "tmpfs": _tmpfs,
    "cap_drop": _repeated("--cap-drop"),
    "security_opt": _security,
    "networks": lambda names: ["--network", ",".join(names)],
    "ports": _repeated("--publish"),
    "user": lambda name: ["--user", name],
    "stop_grace_period": lambda duration: ["--stop-timeout", f"{seconds(duration):.0f}"],
    "volumes": _repeated("--volume"),
}
_ELSEWHERE = {"build", "image", "command", "healthcheck", "depends_on"}
"""Keys that are not translated to options."""


@dataclass(frozen=True)
class Service:
    """One service, with all variables replaced."""

    name: str
    stated: dict[str, Any]
    folder: Path

    @property
    def image(self) -> str:
        return str(self.stated["image"])

    @property
    def is_built(self) -> bool:
        """Whether its image is built from the project."""
        return "build" in self.stated

    @property
    def health_check(self) -> HealthCheck | None:
        stated = self.stated.get("healthcheck")
        return stated and _health_check(stated)

    @property
    def depends_on(self) -> dict[str, str]:
        """Other services → the condition that each has to meet before this one starts."""
        return {name: each["condition"] for name, each in self.stated.get("depends_on", {}).items()}

    @property
    def options(self) -> list[str]:
        """Options of ``podman run``. Raises ``ComposeError`` for a key without a translation."""
        unknown = set(self.stated) - set(_OPTIONS) - _ELSEWHERE
        if unknown:
            raise ComposeError(f"{self.name}: there is no translation for {', '.join(sorted(unknown))}.")
        stated = self.stated | {"volumes": [self._volume(text) for text in self.stated.get("volumes", [])]}
        return [word for key, translate in _OPTIONS.items() if key in stated for word in translate(stated[key])]

    def _volume(self, text: str) -> str:
        return f"{self.folder}/{text[2:]}" if text.startswith("./") else text

    @property
    def command(self) -> list[str]:
        """The command after the image; empty for the default command of the image."""
        command = self.stated.get("command", [])
        if isinstance(command, str):
            raise ComposeError(f"{self.name}: a command is a list here, {json.dumps(command)} is not.")
        return list(command)


@dataclass(frozen=True)
class Project:
    """The whole file."""

    services: dict[str, Service]
    networks: dict[str, bool]
    """Name → whether the network is internal."""


def read_project(folder: Path, variables: Mapping[str, str]) -> Project:
    """The compose file in ``folder``. Raises ``ComposeError``."""
    document = yaml.safe_load((folder / "docker-compose.yml").read_text(encoding="utf-8"))
    stated = _interpolate_all(document["services"], variables)
    services = {name: Service(name, each, folder) for name, each in stated.items()}
    return Project(services, {name: bool((each or {}).get("internal")) for name, each in document["networks"].items()})


def in_order(services: Mapping[str, Service]) -> Iterator[Service]:
    """Services in the order of their dependencies. Raises ``ComposeError`` for a cycle."""
    waiting = dict(services)
    while waiting:
        ready = [service for service in waiting.values() if not set(service.depends_on) & set(waiting)]
        if not ready:
            raise ComposeError(f"These depend on each other: {', '.join(waiting)}.")
        for service in ready:
            yield waiting.pop(service.name)
