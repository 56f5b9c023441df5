"""podman and buildah with separate storage and configuration in one folder."""

import json
import os
import shutil
from pathlib import Path

from tests.support.commands import TIMEOUT, run

PACKAGES = {
    "podman": "podman",
    "buildah": "buildah",
    "runc": "runc",
    "conmon": "conmon",
    "/usr/lib/podman/netavark": "netavark",
    "/usr/lib/podman/aardvark-dns": "aardvark-dns",
    "iptables": "iptables",
    "debootstrap": "debootstrap",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "git": "git",
}
"""Required program → Debian package that contains it."""

# Docker's default limits are too high on machines where the engine itself runs in a container.
_CONTAINERS_CONF = """[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[network]
network_backend = "netavark"
network_config_dir = "{folder}/networks"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
tmp_dir = "{folder}/tmp"
"""
_STORAGE_CONF = """[storage]
driver = "{driver}"
graphroot = "{folder}/storage"
runroot = "{folder}/run"
"""


def missing() -> list[str]:
    """The packages whose programs are missing."""
    return sorted({package for program, package in PACKAGES.items() if not shutil.which(program)})


class Engine:
    """A container engine that stores everything in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("networks", "tmp"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._variables = {
            "CONTAINERS_CONF": self._configuration("containers.conf", _CONTAINERS_CONF),
            "CONTAINERS_STORAGE_CONF": self._configuration("storage.conf", _STORAGE_CONF),
        }

    def _configuration(self, name: str, text: str) -> str:
        file = self.folder / name
        driver = os.environ.get("STORAGE_DRIVER", "overlay")
        file.write_text(text.format(folder=self.folder, driver=driver), encoding="utf-8")
        return str(file)

    def podman(self, *words: str, timeout: float = TIMEOUT, text: str | None = None) -> str:
        """Standard output of ``podman WORDS``. Raises ``CommandFailed``."""
        return run(["podman", *words], timeout=timeout, text=text, variables=self._variables)

    def build(self, *words: str, timeout: float) -> str:
        """``buildah bud WORDS``. Raises ``CommandFailed``."""
        command = ["buildah", "bud", "--isolation", "chroot", *words]
        return run(command, timeout=timeout, variables=self._variables)

    def versions(self) -> str:
        return ", ".join(run([program, "--version"]).splitlines()[0] for program in ("podman", "buildah", "runc"))

    def containers(self) -> list[str]:
        """All existing containers, running or not."""
        return self.podman("ps", "--all", "--format", "{{.Names}}").split()

    def has(self, image: str) -> bool:
        return image in self.podman("images", "--format", "{{.Repository}}:{{.Tag}}").split()

    def state(self, container: str) -> dict[str, object]:
        """``State`` of ``podman inspect``."""
        (found,) = json.loads(self.podman("container", "inspect", container))
        return dict(found["State"])

    def output(self, container: str) -> str:
        """Everything that the container printed, standard error included."""
        return run(["sh", "-c", 'exec podman logs "$0" 2>&1', container], variables=self._variables)
