"""The gRPC methods of the gateway, by path."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from gateway.engine_threads import EngineThreads
from gateway.rls import health, reflection
from gateway.rls.answers import Answers
from gateway.rls.authorization import TrustedPeers
from gateway.rls.health import Health
from gateway.rls.service import SERVICE, SHOULD_RATE_LIMIT, RateLimitService
from ratelimit_enforcer.conf import networks, setting
from ratelimit_enforcer.domain.headers import LegacyHeaders


class Methods(NamedTuple):
    """What to register with the transport. ``unary``: methods with one request, and one answer or, of ``Watch``,
    several. ``streaming``: several requests and answers; the handler gets no message."""

    unary: Mapping[str, Callable[[Any, bytes], None]]
    streaming: Mapping[str, Callable[[Any], None]]
    health: Health


def methods(threads: EngineThreads) -> Methods:
    """The methods of a process with these threads, as ``RATELIMIT_PLATFORM`` configures them."""
    answers = Answers(LegacyHeaders(setting("LEGACY_HEADERS")), exposes=setting("EXPOSE_HEADERS"))
    peers = TrustedPeers(networks("GATEWAY_NETWORKS"))
    service = RateLimitService(threads, answers, peers, deadline=setting("CHECK_DEADLINE"))
    status = Health((SERVICE, health.SERVICE), lambda: threads.engine.current is not None)
    return Methods(
        unary={
            SHOULD_RATE_LIMIT: service.should_rate_limit,
            health.CHECK: status.check,
            health.WATCH: status.watch,
        },
        streaming=dict.fromkeys(reflection.PATHS, reflection.reflect),
        health=status,
    )
