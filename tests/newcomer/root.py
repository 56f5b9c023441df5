"""The file system of a new Debian machine, made by ``debootstrap``, with an ordinary user."""

import os
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.commands import alone, run

USER = "newcomer"
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
TIMEOUT = 1_800.0
"""The timeout for installing Debian's packages in seconds."""

NETWORK_FILES = ("etc/resolv.conf", "etc/ssl/certs/ca-certificates.crt", "etc/pip.conf")
"""The network configuration of this machine, with which it reaches the package registries."""

NETWORK_VARIABLES = ("PIP_", "SSL_CERT", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "no_proxy")


class Root:
    """A root file system in a folder. Everything here needs root privileges."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(self, suite: str, packages: Sequence[str]) -> None:
        """Debian's smallest system with these packages, and a user."""
        chosen = f"--include={','.join(packages)}"
        self._run("debootstrap", "--variant=minbase", chosen, suite, str(self.folder))
        self.run("useradd", "--create-home", "--shell", "/bin/bash", USER)
        for name in NETWORK_FILES:
            if (source := Path("/") / name).exists():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, self.folder / name)
        (self.folder / "etc" / "hosts").write_text("127.0.0.1 localhost\n::1 localhost\n", encoding="utf-8")

    def run(self, *command: str) -> None:
        """Runs a command as root. Raises ``CommandFailed``."""
        self._run("chroot", str(self.folder), *command)

    @staticmethod
    def _run(*command: str) -> None:
        run(command, timeout=TIMEOUT, variables={"PATH": PATH, "DEBIAN_FRONTEND": "noninteractive"})

    def start(self, script: str) -> "subprocess.Popen[str]":
        """Runs a script as the user, in a new session with all devices; processes that it leaves running
        end with it."""
        folder = shlex.quote(str(self.folder))
        steps = (
            f"mount -t proc proc {folder}/proc",
            f"mount --rbind /dev {folder}/dev",
            f"mount -t tmpfs -o mode=1777 shm {folder}/dev/shm",
            # Not with su, which creates another session that does not receive Ctrl-C.
            f"exec chroot --userspec={USER}:{USER} {folder} env --ignore-environment HOME=/home/{USER} USER={USER}"
            f" bash --login -c {shlex.quote(f'cd; {_exports()}{script}')}",
        )
        return subprocess.Popen(
            [*alone(), "bash", "-c", " && ".join(steps)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env={"PATH": PATH},
        )


def _exports() -> str:
    """The variables of the network."""
    named = {name: value for name, value in os.environ.items() if name.startswith(NETWORK_VARIABLES)}
    return "".join(f"export {name}={shlex.quote(value)}; " for name, value in named.items())
