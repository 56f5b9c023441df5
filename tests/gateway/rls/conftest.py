"""A platform with a gRPC server, on a real Redis."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest
from pytest_django import Settings

from gateway.proto.rls_pb2 import RateLimitRequest, RateLimitResponse
from gateway.rls.service import SHOULD_RATE_LIMIT
from tests.gateway.rls.serving import Server
from tests.gateway.rls.test_descriptors import descriptor, request_of
from tests.support.servers import LONG_DEADLINE, Store


@pytest.fixture
def store(redis_url: str, settings: Settings) -> Store:
    """An empty platform on a real Redis, as this process is configured."""
    store = Store(redis_url, f"test-{secrets.token_hex(4)}")
    configure(settings, store)
    return store


def configure(settings: Settings, store: Store) -> None:
    """Configures this process as a server of this platform."""
    settings.RATELIMIT_PLATFORM = {
        "REDIS": store.url,
        "NAMESPACE": store.keys.namespace,
        "CHECK_DEADLINE": LONG_DEADLINE,
    }


class Proxy:
    """A program that calls the service of ``server`` like Envoy."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.channel = grpc.insecure_channel(server.address)
        self._should_rate_limit = self.channel.unary_unary(
            SHOULD_RATE_LIMIT,
            request_serializer=RateLimitRequest.SerializeToString,
            response_deserializer=RateLimitResponse.FromString,
        )

    def send(
        self, request: RateLimitRequest, *, token: str | None = None, timeout: float | None = LONG_DEADLINE
    ) -> RateLimitResponse:
        metadata = [] if token is None else [("authorization", f"Bearer {token}")]
        return self._should_rate_limit(request, metadata=metadata, timeout=timeout)

    def ask(self, *entries: dict[str, str], token: str | None = None, **fields: Any) -> RateLimitResponse:
        """Sends descriptors with these entries; ``fields`` apply to each."""
        hits, domain = fields.pop("of_request", 0), fields.pop("domain", "default")
        return self.send(
            request_of(*(descriptor(each, **fields) for each in entries), domain=domain, hits=hits), token=token
        )


@pytest.fixture
def serving(request: pytest.FixtureRequest) -> Iterator[Callable[..., Proxy]]:
    """Starts servers, and returns a program that calls each. ``peer``: the address that its calls seem to come from."""
    servers: list[Server] = []

    def start(peer: str | None = None, *, store: Store | None = None, deadline: float = LONG_DEADLINE) -> Proxy:
        engine = (store or request.getfixturevalue("store")).engine(deadline=deadline)
        servers.append(Server(engine, peer))
        return Proxy(servers[-1])

    yield start
    for server in servers:
        server.stop()
