"""One step of the start: told where it takes long, and named where it fails."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SLOW = 1.0
"""Seconds after which a step tells that it is under way."""


class StepFailed(Exception):
    """A step failed; the message says which, why, and what to do."""


@contextmanager
def step(name: str, what_to_do: str) -> Iterator[None]:
    """Runs one step. Raises :class:`StepFailed` in place of what the step raised."""
    timer = threading.Timer(SLOW, lambda: print(f"… {name}", flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        raise StepFailed(f"{name} failed: {_why(error)}\n{what_to_do}") from error
    finally:
        timer.cancel()


def _why(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"it ended with status {error.returncode}."
    return str(error)


def python(*arguments: str) -> None:
    """Runs Python in a process of its own. Raises ``CalledProcessError``."""
    subprocess.run([sys.executable, *arguments], check=True)
