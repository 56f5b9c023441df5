"""Load that records each request: its start, its end and its answer."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from tests.end_to_end.shop import SECRET
from tests.faults.history import History, Request
from tests.faults.mode import LONG
from tests.support.waiting import wait_until

THREADS = 4
TIMEOUT = 30.0

AT_ONCE = 20
"""Requests that a thread sends in succession before it pauses."""

PAUSE = 0.0 if LONG else 0.05
"""Seconds of a pause; in the short form it leaves half of the processor to other tests."""


class Load:
    """Sends checks to several servers until it is ended, cycling through clients and endpoints."""

    def __init__(self, servers: Sequence[str], clients: Sequence[str], endpoints: Sequence[str]) -> None:
        self.history = History()
        self._servers = [urlsplit(server).netloc for server in servers]
        self._what = list(itertools.product(clients, endpoints))
        self._stop = threading.Event()
        self._failed: list[BaseException] = []
        self._threads = [threading.Thread(target=self._run, args=[number]) for number in range(THREADS)]
        for thread in self._threads:
            thread.start()

    def end(self) -> History:
        """Ends the load. Returns the history after the last answer."""
        self._stop.set()
        for thread in self._threads:
            thread.join()
        if self._failed:
            raise self._failed[0]
        return self.history

    def run_for(self, seconds: float) -> None:
        """Continues for this time."""
        self._stop.wait(seconds)

    def is_shared_since(self, moment: float, enough: int = 40) -> bool:
        """Whether the last ``enough`` requests all began after this time, came from every server, and were
        decided by the store."""
        recent = [request for request in self.history.requests[-enough:] if request.start > moment]
        servers = {request.server for request in recent}
        return len(recent) == enough and len(servers) == len(self._servers) and not any(r.degraded for r in recent)

    def wait_until_shared(self) -> None:
        moment = time.monotonic()
        wait_until(lambda: self.is_shared_since(moment))

    def _run(self, number: int) -> None:
        callers = [Caller(server, address) for server, address in enumerate(self._servers)]
        first = number % len(self._what)
        what = itertools.cycle(self._what[first:] + self._what[:first])
        try:
            for asked, caller, (client, endpoint) in zip(
                itertools.count(1), itertools.cycle(callers), what, strict=False
            ):
                if self._stop.wait(0.0 if asked % AT_ONCE else PAUSE):
                    break
                self.history.requests.append(caller.ask(client, endpoint))
        except BaseException as error:  # noqa: BLE001  raised again by end()
            self._failed.append(error)
        for caller in callers:
            caller.close()


class Caller:
    """One connection to one server."""

    def __init__(self, number: int, address: str) -> None:
        self._number = number
        self._http = http.client.HTTPConnection(address, timeout=TIMEOUT)
        self._headers = {"Authorization": f"Bearer {SECRET}", "Content-Type": "application/json"}

    def close(self) -> None:
        self._http.close()

    def ask(self, client: str, endpoint: str) -> Request:
        body = json.dumps({"client": client, "endpoint": endpoint})
        start = time.monotonic()
        try:
            self._http.request("POST", "/v1/check", body, self._headers)
            answer = self._http.getresponse()
            content = json.loads(answer.read())
        except (OSError, http.client.HTTPException):
            self._http.close()
            return Request(start, time.monotonic(), self._number, client, endpoint, None)
        return Request(
            start,
            time.monotonic(),
            self._number,
            client,
            endpoint,
            answer.status,
            allowed=answer.status == 200 and content["allowed"],
            degraded=content.get("degraded", False),
            version=content.get("ruleset", 0),
        )
