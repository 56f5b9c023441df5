"""Processes that measure on demand, controlled by lines on standard input and output.

So subjects that need a separate environment or process can be measured interleaved with the others. Uses only the
standard library, because peers run it too.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parents[1]


def serve(commands: Mapping[str, Callable[..., object]]) -> None:
    """Runs commands, one ``name number number …`` per line, until the end of the input; each answers with a line
    of JSON."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *numbers = line.split()
        print(json.dumps(commands[name](*map(int, numbers))), flush=True)


class Process:
    """A process that serves lines. It shares our standard error."""

    def __init__(self, command: Sequence[str], **variables: str) -> None:
        """``variables``: added to the environment."""
        environment = {**os.environ, **variables}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=BASE_DIR, env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1
        )
        self._answer("start")

    def call(self, name: str, *numbers: int) -> Any:
        """Runs a command and returns its answer. Raises ``RuntimeError`` if the process ended instead."""
        assert self._process.stdin is not None
        print(name, *numbers, file=self._process.stdin, flush=True)
        return self._answer(name)

    def _answer(self, name: str) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r} ended at {name!r}; its lines above say why.")
        return json.loads(line)

    def stop(self) -> None:
        """Closes the input, and waits for the end of the process."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(timeout=30)
