"""Rules with reservations and concurrency limits, and what the store has of them."""

from collections.abc import Iterator
from dataclasses import replace

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, OnStoreFailure
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_enforcer.store.keys import shard_of
from tests.support.servers import Store

TOKENS, PLACES, WINDOW = 1_000, 2, 600

RULES = Ruleset(
    plans=(Plan("free", "Free"),),
    default_plan="free",
    endpoints=(
        Endpoint("completions", "Completions", (Route.parse("* /completions/*"),)),
        Endpoint("reports", "Reports"),
    ),
    policies=(
        Policy("tokens", (Limit(TOKENS, 3_600),), endpoint="completions", on_store_failure=OnStoreFailure.ALLOW),
        Policy("reports", (Limit(PLACES, WINDOW, Algorithm.CONCURRENCY),), endpoint="reports"),
    ),
)

CLIENTS = (
    ClientRecord("vip", 1, status=ClientStatus.EXEMPT),
    ClientRecord("mallory", 2, status=ClientStatus.BLOCKED),
)


def publish(store: Store, *more: Policy) -> None:
    """Publishes the rules and clients, and more policies."""
    store.publish(replace(RULES, policies=(*RULES.policies, *more)))
    store.load(*CLIENTS)


def left(client: str = "ann", endpoint: str = "completions") -> list[int]:
    """What each limit of a client on an endpoint would still admit."""
    decision = get_engine().check(CheckRequest(client, endpoint), consume=False)
    return [state.remaining for state in decision.limits]


def unsettled(store: Store, client: str = "ann") -> int:
    """The number of unsettled reservations of a client."""
    return int(store.redis.zcard(store.keys.open_reservations_of(shard_of(client), client)))


def parts(number: int) -> Iterator[bytes]:
    for part in range(number):
        yield b"%d " % part
