"""Which requests the gateway recognises by their heads: checks whose token the present rules accept."""

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256

import pytest
from django.test import override_settings

from gateway.application import GatewayApplication
from gateway.engine_threads import EngineThreads
from gateway.http1.connection import Http1Connection
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.domain.rules import Plan
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset
from ratelimit_enforcer.engine import Engine
from ratelimit_platform.gateway.process import _checked
from ratelimit_platform.logs import RequestIdMiddleware
from tests.gateway.http1.serving import post
from tests.gateway.http1.test_any_bytes import RecordingTransport
from tests.support.servers import Store

TOKEN = ApiToken("shop", sha256(b"secret").hexdigest(), frozenset({Scope.CHECK}))
RULES = Ruleset(plans=(Plan("free", "Free"),), default_plan="free", tokens=(TOKEN,))


class Asking:
    """The application with one connection, in an event loop that runs while answers are awaited."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._loop = asyncio.new_event_loop()
        self.threads = EngineThreads(engine, self._loop)
        self.application = GatewayApplication(self.threads, identified=RequestIdMiddleware, checked=_checked)
        self._transport = RecordingTransport()
        self._connection = Http1Connection(self.application, set())
        self._connection.connection_made(self._transport)

    def status(self, data: bytes) -> int:
        """The status of the response to a request."""
        self._connection.data_received(data)
        # Not in this thread: a browser test may have left a running loop in it.
        runner = threading.Thread(target=lambda: self._loop.run_until_complete(self._answered()))
        runner.start()
        runner.join(30)
        status = int(self._transport.written.split()[1])
        self._transport.written.clear()
        return status

    async def _answered(self) -> None:
        while not self._transport.written:
            await asyncio.sleep(0)

    def recognises(self, data: bytes) -> bool:
        return self.application.find(data, "127.0.0.1") is not None

    def close(self) -> None:
        self.threads.stop()
        self._loop.close()


@pytest.fixture
def asking(store: Store) -> Iterator[Asking]:
    store.publish(RULES)
    store.load()
    engine = store.engine()
    engine.refresh()
    asking = Asking(engine)
    yield asking
    asking.close()


def check(token: str, body: bytes = b'{"client": "ann", "endpoint": "search"}', path: str = "/v1/check") -> bytes:
    return post(body, f"Authorization: Bearer {token}", "Content-Type: application/json", path=path)


@pytest.mark.parametrize("path", ["/v1/check", "/v1/peek", "/v1/check?status=200"])
def test_an_accepted_check_is_recognised(asking: Asking, path: str) -> None:
    data = check("secret", path=path)
    assert not asking.recognises(data)
    assert [asking.status(data), asking.status(data)] == [200, 200]
    assert asking.recognises(data)


@pytest.mark.parametrize("body", [b'{"client": 1}', b'{"client": "ann", "client": "bob"}', b"{", b"[]", b"\xff"])
def test_the_body_of_a_recognised_check_is_validated(asking: Asking, body: bytes) -> None:
    valid = b'{"client": "ann", "endpoint": "search"}'
    assert asking.status(check("secret", valid)) == 200
    data = check("secret", body.ljust(len(valid)))
    assert asking.recognises(data)
    assert asking.status(data) == 400


@pytest.mark.parametrize(
    "data",
    [
        check("wrong"),
        check("secret", path="/v1/reservations"),
        check("secret", path="/v1/check?status=2"),
        check("secret").replace(b"testserver", b"another.example"),
        check("secret").replace(b"application/json", b"text/plain"),
        check("secret").replace(b"POST", b"PUT"),
    ],
)
def test_other_requests_are_not(asking: Asking, data: bytes) -> None:
    asking.status(check("secret"))
    assert asking.status(data) != 200
    assert not asking.recognises(data)


def test_new_rules_and_settings_recognise_nothing(asking: Asking, store: Store) -> None:
    data = check("secret")
    assert asking.status(data) == 200
    with override_settings(ALLOWED_HOSTS=["another.example"]):
        assert not asking.recognises(data)
        assert asking.status(data) == 400
    assert asking.status(data) == 200
    store.publish(replace(RULES, tokens=()))
    assert asking.status(data) == 401
    assert not asking.recognises(data)
