"""Load from wrk (HTTP/1.1) and h2load (gRPC), and the processor time that the server and Redis needed for it."""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

from benchmarks.doors.processes import processor_seconds
from benchmarks.measuring import Sample, Subject

SECONDS = 3
STEADY_CONNECTIONS = 16
CHECK = b'{"client":"client-1","endpoint":"one"}'
SCRIPT = Path(__file__).parent.parent / "web" / "requests.lua"
_SUCCEEDED = re.compile(r"requests: .* (\d+) succeeded, (\d+) failed, (\d+) errored")


class Answered(NamedTuple):
    """What a load generator measured."""

    answers: int
    seconds: float
    p50_ms: float
    p99_ms: float


def subject(generate: Callable[[], Answered], server: int, redis: int) -> Subject:
    """A subject whose figures include the processor time of the processes with these ids, for each answer."""

    def measure() -> Sample:
        before = processor_seconds(server), processor_seconds(redis)
        found = generate()
        after = processor_seconds(server), processor_seconds(redis)
        used = [(late - early) / found.answers * 1e6 for early, late in zip(before, after, strict=True)]
        return {
            "answers": found.answers / found.seconds,
            "p50": found.p50_ms,
            "p99": found.p99_ms,
            "server_us": used[0],
            "redis_us": used[1],
        }

    return measure


def wrk(url: str, kind: str, token: str, connections: int) -> Callable[[], Answered]:
    """Requests of a kind of ``requests.lua``, a thousand clients in turn."""
    command = ("wrk", "--threads", "1", "--connections", str(connections), "--duration", f"{SECONDS}s")

    def generate() -> Answered:
        whole = (*command, "--timeout", "10s", "--script", str(SCRIPT), url, "--", kind, token)
        printed = subprocess.run(whole, check=True, capture_output=True, text=True).stdout
        found = json.loads(printed.strip().splitlines()[-1])
        assert not found["bad"], f"{url} answered {found['bad']} of {found['requests']} requests with an error."
        return Answered(found["requests"], found["us"] / 1e6, found["p50_us"] / 1e3, found["p99_us"] / 1e3)

    return generate


def h2load(port: int, path: str, message: bytes, token: str, connections: int) -> Callable[[], Answered]:
    """Unary calls with this message, one at a time on each connection."""
    return _calls(port, path, message, token, connections, SECONDS)


def steady_calls(port: int, path: str, message: bytes, token: str, rate: float, seconds: int) -> Callable[[], Answered]:
    """Unary calls at a rate (calls per second), on 16 connections."""
    return _calls(port, path, message, token, STEADY_CONNECTIONS, seconds, "--rps", str(rate / STEADY_CONNECTIONS))


def _calls(
    port: int, path: str, message: bytes, token: str, connections: int, seconds: int, *options: str
) -> Callable[[], Answered]:
    headers = ("content-type: application/grpc", "te: trailers", f"authorization: Bearer {token}")
    body = b"\0" + len(message).to_bytes(4, "big") + message
    return lambda: _h2load(f"http://127.0.0.1:{port}{path}", body, headers, connections, seconds, *options)


def steady_checks(url: str, token: str, rate: float, seconds: int) -> Callable[[], Answered]:
    """Checks of one client over HTTP/1.1 at a rate (checks per second), on 16 connections."""
    headers = ("content-type: application/json", f"authorization: Bearer {token}")
    options = ("--h1", "--rps", str(rate / STEADY_CONNECTIONS))
    return lambda: _h2load(url, CHECK, headers, STEADY_CONNECTIONS, seconds, *options)


def _h2load(url: str, body: bytes, headers: Sequence[str], connections: int, seconds: int, *options: str) -> Answered:
    with tempfile.TemporaryDirectory(prefix="ratelimit-bench-") as folder:
        data, log = Path(folder) / "body", Path(folder) / "log"
        data.write_bytes(body)
        sent = [option for header in headers for option in ("--header", header)]
        command = ("h2load", "-c", str(connections), "-m", "1", "-D", str(seconds), "-d", str(data))
        whole = (*command, "--log-file", str(log), *options, *sent, url)
        printed = subprocess.run(whole, check=True, capture_output=True, text=True).stdout
        return _read(printed, log, seconds)


def _read(printed: str, log: Path, seconds: int) -> Answered:
    match = _SUCCEEDED.search(printed)
    assert match, printed
    succeeded, failed, errored = map(int, match.groups())
    assert not failed + errored, f"{failed + errored} of {succeeded} calls failed."
    # One line for each call: when it began, the status, and how many microseconds it took.
    took = [int(line.split("\t")[2]) / 1e3 for line in log.read_text(encoding="utf-8").splitlines()]
    cuts = quantiles(took, n=100)
    return Answered(succeeded, seconds, cuts[49], cuts[98])
