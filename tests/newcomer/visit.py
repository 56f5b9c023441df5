"""The steps of a newcomer: clone, ``make run``, requests until a 429, Ctrl-C, ``make test``."""

import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.newcomer.root import USER, Root

HOME = f"/home/{USER}"
READY = "Everything is running."
ASKS = 30
"""The demo's client may send ten requests per minute."""


RUN_TIMEOUT = 600
"""Seconds from ``make run`` to the first 429."""


class Failed(Exception):
    """A step did not work as described in the README."""


class Visit:
    """One newcomer, with a clock that starts with the clone."""

    def __init__(self, root: Root, say: Callable[[str], None]) -> None:
        self._root, self._say = root, say
        self._began = time.monotonic()

    def clone(self, bundle: Path) -> None:
        """``bundle``: a git bundle of the tree to test."""
        target = self._root.folder / HOME.lstrip("/") / "platform.bundle"
        target.write_bytes(bundle.read_bytes())
        self._do("git clone --quiet platform.bundle platform")
        self._done("git clone")

    def run_and_ask(self) -> None:
        """Runs ``make run``, repeats its ``curl`` command until a 429, and presses Ctrl-C."""
        # The shell stays the first process, because make as the first process would not end by a signal.
        process = self._root.start("cd platform && make run; exit $?")
        lines = process.stdout or iter(())
        # If an expected line is not printed, the loop that waits for it ends with the process.
        timer = threading.Timer(RUN_TIMEOUT, os.killpg, (process.pid, signal.SIGINT))
        timer.start()
        try:
            printed = "".join(self._until(READY, lines))
            self._done("make run answers")
            self._ask(lines)
        finally:
            timer.cancel()
            os.killpg(process.pid, signal.SIGINT)
            rest = "".join(lines)
            process.wait(60)
        if "Everything is stopped." not in rest:
            raise Failed(f"Ctrl-C did not end it:\n{printed}{rest}")
        self._done("Ctrl-C ended everything")

    def _until(self, text: str, lines: Iterator[str]) -> Iterator[str]:
        for line in lines:
            self._say(f"    {line.rstrip()}")
            yield line
            if text in line:
                return
        raise Failed(f"It ended without “{text}”.")

    def _ask(self, lines: Iterator[str]) -> None:
        """Repeats the printed ``curl`` command, which has two lines."""
        printed = "".join(self._until("-d '", lines))
        line = printed[printed.index("curl ") :].strip().replace("\\\n", " ")
        answers = []
        for _ in range(ASKS):
            answers.append(_status(self._do(line)))
            if answers[-1].startswith("429"):
                self._done(f"first 429, after {len(answers) - 1} times {answers[0]}")
                return
        raise Failed(f"No 429 came: {answers}")

    def test(self, packages: Sequence[str]) -> None:
        """``make test`` with the Debian packages that it needs, and its last lines."""
        # A mirror's package lists may be older than Debian permits.
        self._root.run("apt-get", "-o", "Acquire::Check-Valid-Until=false", "update", "-qq")
        self._root.run("apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages)
        self._done(f"apt-get install {' '.join(packages)}")
        process = self._root.start("cd platform && make test; exit $?")
        lines = [line.rstrip() for line in process.stdout or ()]
        for line in lines[-15:]:
            self._say(f"    {line}")
        if process.wait():
            raise Failed("make test failed:\n" + "\n".join(lines[-200:]))
        self._done("make test")

    def _do(self, script: str) -> str:
        process = self._root.start(script)
        printed: str = process.communicate(timeout=300)[0]
        if process.returncode:
            raise Failed(f"{script} failed:\n{printed}")
        return printed

    def _done(self, step: str) -> None:
        self._say(f"{time.monotonic() - self._began:6.1f} s  {step}")


def _status(answer: str) -> str:
    """``HTTP/1.1 200 OK`` → ``200 OK``"""
    match = re.search(r"^HTTP/\S+ (.+?)\r?$", answer, re.MULTILINE)
    return match[1] if match else answer
