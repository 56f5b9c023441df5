"""Processes that measure when they are told to, by lines on their standard input and output.

So what runs in an environment of its own, or must not share a process, is measured in turn with the
rest. Standard library only: peers run it too.
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
    """Runs commands, ``name number number …`` on a line, until the input ends; each answers with a
    line of JSON."""
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *numbers = line.split()
        print(json.dumps(commands[name](*map(int, numbers))), flush=True)


class Process:
    """One that serves lines. Its standard error is ours."""

    def __init__(self, command: Sequence[str], **variables: str) -> None:
        """``variables`` are added to the environment."""
        environment = {**os.environ, **variables}
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(
            command, cwd=BASE_DIR, env=environment, stdin=pipe, stdout=pipe, text=True, bufsize=1
        )
        self._answer("start")

    def call(self, name: str, *numbers: int) -> Any:
        """What a command answers. Raises ``RuntimeError`` where the process ended instead."""
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
        """Closes its input, and waits until it is gone."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(timeout=30)
