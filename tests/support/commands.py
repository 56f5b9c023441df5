"""Running commands of this machine, also with isolated processes and mounts."""

import os
import subprocess
from collections.abc import Sequence

TIMEOUT = 120.0
"""The default timeout of a command in seconds."""


class CommandFailed(Exception):
    """A command ended with a status other than 0, or timed out."""


def alone(*kinds: str) -> list[str]:
    """The beginning of a command in new namespaces: its processes and mounts end with it, and it ends with this
    process.

    ``kinds``: further namespaces, such as ``net``.
    """
    private = ["--mount", "--pid", "--fork", "--mount-proc", "--kill-child", *(f"--{kind}" for kind in kinds)]
    return ["setpriv", "--pdeathsig", "KILL", "unshare", *private]


def run(
    command: Sequence[str],
    *,
    timeout: float = TIMEOUT,
    text: str | None = None,
    variables: dict[str, str] | None = None,
) -> str:
    """Returns standard output. ``text``: standard input. Raises ``CommandFailed`` with the end of the output."""
    environment = os.environ | (variables or {})
    try:
        done = subprocess.run(
            command, input=text or "", capture_output=True, text=True, check=False, timeout=timeout, env=environment
        )
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{' '.join(command[:3])} … took longer than {timeout:.0f} s.") from None
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise CommandFailed(f"{' '.join(command[:3])} … ended with status {done.returncode}. {said}")
    return done.stdout
