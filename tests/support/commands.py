"""Commands of this machine, and such that have processes and mounts of their own."""

import os
import subprocess
from collections.abc import Sequence

TIMEOUT = 120.0
"""Seconds that one command may take, unless told otherwise."""


class CommandFailed(Exception):
    """A command ended with another status than 0, or not at all."""


def alone(*kinds: str) -> list[str]:
    """What begins a command whose processes and mounts end with it, and it with this process.

    ``kinds``: more that it has for itself, ``net``.
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
    """Standard output. ``text``: standard input. Raises ``CommandFailed`` with the end of what it said."""
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
