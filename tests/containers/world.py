"""The containers of one project, started in the order and under the conditions of the compose file."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.containers.building import image_of
from tests.containers.compose import HealthCheck, Project, Service
from tests.containers.engine import Engine
from tests.support.commands import CommandFailed

LOOK_EVERY = 0.5
DOCKERS_RESOLVER = "resolver 127.0.0.11 "
TIMEOUT = 180.0
"""The default timeout on a busy machine in seconds."""


class CheckFailed(Exception):
    """A check found a difference from the expected state."""


def wait_until(is_so: Callable[[], bool], what: str, timeout: float = TIMEOUT) -> None:
    """Waits until ``is_so()`` is true. Raises ``CheckFailed`` with ``what`` after the timeout."""
    end = time.monotonic() + timeout
    while not is_so():
        if time.monotonic() > end:
            raise CheckFailed(f"{what}: not within {timeout:.0f} s.")
        time.sleep(LOOK_EVERY)


class World:
    def __init__(self, engine: Engine, project: Project) -> None:
        self.engine = engine
        self.project = project

    def create_networks(self) -> None:
        for name, internal in self.project.networks.items():
            self.engine.podman("network", "create", *(["--internal"] if internal else []), name)
        self._tell_the_proxy_who_resolves_names()

    def _tell_the_proxy_who_resolves_names(self) -> None:
        """Sets the address of the network's name server, which differs between Docker and podman."""
        file = self.project.services["proxy"].folder / "containers" / "nginx.conf"
        text = file.read_text(encoding="utf-8")
        if text.count(DOCKERS_RESOLVER) != 1:
            raise CheckFailed(f"{file.name} does not say “{DOCKERS_RESOLVER}” once.")
        (front,) = self.project.services["proxy"].stated["networks"]
        gateway = self.engine.podman("network", "inspect", front, "--format", "{{(index .Subnets 0).Gateway}}").strip()
        file.write_text(text.replace(DOCKERS_RESOLVER, f"resolver {gateway} "), encoding="utf-8")

    def start(self, service: Service, name: str = "", *options: str) -> None:
        """Starts a container. ``name``: default is that of the service; ``options``: more options of ``podman run``."""
        words = ["--name", name or service.name, *service.options, *options, image_of(service), *service.command]
        self.engine.podman("run", "--detach", *words)

    def wait_for(self, name: str, condition: str) -> None:
        """Waits for a condition of Compose. Raises ``CheckFailed``."""
        if condition == "service_healthy":
            self.wait_until_healthy(name)
        elif condition == "service_completed_successfully":
            self._wait_until_completed(name)
        else:
            raise CheckFailed(f"{condition} is no condition that is known here.")

    def wait_until_healthy(self, name: str, check: HealthCheck | None = None) -> None:
        """``check``: default is that of the service ``name``."""
        check = check or self.project.services[name].health_check
        if not check:
            raise CheckFailed(f"{name} has no health check.")
        wait_until(lambda: self.is_healthy(name, check), f"{name} is healthy", max(check.unhealthy_after, TIMEOUT))

    def is_healthy(self, name: str, check: HealthCheck) -> bool:
        """Runs the health check in the container, with its timeout."""
        try:
            self.engine.podman("exec", name, *check.command, timeout=check.timeout)
        except CommandFailed:
            return False
        return True

    def _wait_until_completed(self, name: str) -> None:
        status = self.engine.podman("wait", name, timeout=TIMEOUT).strip()
        if status != "0":
            raise CheckFailed(f"{name} ended with status {status}: {self.engine.output(name)[-2000:]}")

    def process(self, name: str) -> int:
        """The process id of a container's first process on this machine; 0 if it is not running."""
        return int(str(self.engine.state(name)["Pid"]))

    def crash(self, name: str) -> None:
        """Kills a container from outside, and waits until its restart policy has restarted it."""
        before = self.process(name)
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: self.process(name) not in (0, before), f"{name} is started again")

    def stop(self, name: str) -> float:
        """Stops a container. Returns the duration in seconds. Raises ``CheckFailed`` if it had to be killed."""
        began = time.monotonic()
        self.engine.podman("stop", name)
        took = time.monotonic() - began
        if self.engine.state(name)["ExitCode"] == 128 + signal.SIGKILL:
            raise CheckFailed(f"{name} did not end when it was asked to; it was killed after {took:.0f} s.")
        return took

    def remove(self) -> None:
        """Stops and removes all containers, volumes and networks."""
        self.engine.podman("rm", "--all", "--force", "--time", "0")
        self.engine.podman("volume", "prune", "--force")
        for name in self.project.networks:
            self.engine.podman("network", "rm", "--force", name)


def proc(process: int, file: str) -> str:
    """A file of ``/proc`` about a process."""
    return Path(f"/proc/{process}/{file}").read_text(encoding="utf-8")
