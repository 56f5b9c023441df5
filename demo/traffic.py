"""The simulated visitors of the shop and their requests: the same at every run.

Requests in the past are decided by the reference model, and counted as the store counts: the store decides by its
own clock, which cannot be turned back.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from limits.monitoring.drain import usage_counts
from limits.publishing import clients
from limits.store.usage import CountKey
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.decision import Decision, states_of
from ratelimit_enforcer.domain.enums import Outcome, Reason
from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.selection import select
from ratelimit_enforcer.domain.usage import counts_of
from ratelimit_enforcer.engine import CheckRequest, PreparedRuleset
from ratelimit_enforcer.engine.attempts import STATUS_REASONS

MINUTES_PLAYED = 60
ABUSE_MINUTES = range(20, 26), range(48, 60)
"""The minutes of the hour in which a client scrapes the search."""

SCRAPER = "price-bot"
SCRAPES_PER_MINUTE = 90


@dataclass(frozen=True, slots=True)
class Visitor:
    """A client, and its average number of requests in a quiet minute."""

    client: str
    per_minute: float


@dataclass(frozen=True, slots=True)
class Visit:
    """One request, ``second`` seconds (0 to 60) into a minute of the hour."""

    minute: int
    second: float
    client: str
    method: str
    path: str


REGULAR_VISITORS = (
    Visitor("megamart", 60),
    Visitor("acme", 25),
    Visitor("warehouse", 12),
    Visitor("corner-shop", 5),
    Visitor("scraper-9000", 2),
    *(Visitor(f"visitor-{number}", 0.8) for number in range(1, 25)),
)

_REQUEST_MIX = (
    (70, "GET", "/shop/search"),
    (15, "GET", "/shop/cart"),
    (8, "PUT", "/shop/cart/umbrella"),
    (4, "POST", "/shop/orders"),
    (2, "GET", "/shop/orders/1"),
    (1, "GET", "/shop/wishlist"),
)


def visits(minute: int) -> list[Visit]:
    """The requests of one minute, in chronological order. Traffic peaks in the middle of the hour."""
    dice = random.Random(minute)  # noqa: S311 - made-up visits, not secrets
    return sorted([*_regular(minute, dice), *_scraping(minute, dice)], key=lambda visit: visit.second)


def _regular(minute: int, dice: random.Random) -> Iterator[Visit]:
    busy = 0.6 + 0.8 * (1 - abs(minute - MINUTES_PLAYED / 2) / (MINUTES_PLAYED / 2))
    weights, methods, paths = zip(*_REQUEST_MIX, strict=True)
    for visitor in REGULAR_VISITORS:
        mean = visitor.per_minute * busy
        for _ in range(max(0, round(dice.gauss(mean, mean**0.5)))):
            (at,) = dice.choices(range(len(_REQUEST_MIX)), weights)
            yield Visit(minute, dice.uniform(0, 60), visitor.client, methods[at], paths[at])


def _scraping(minute: int, dice: random.Random) -> Iterator[Visit]:
    if any(minute in abuse for abuse in ABUSE_MINUTES):
        for _ in range(SCRAPES_PER_MINUTE):
            yield Visit(minute, dice.uniform(0, 60), SCRAPER, "GET", "/shop/search")


_OUTCOMES: dict[Reason | None, Outcome] = {Reason.BLOCKED: Outcome.BLOCKED, Reason.EXEMPT: Outcome.EXEMPT}


class PastTraffic:
    """Applies the current rules to an hour whose first minute is ``begin`` (in minutes since 1970)."""

    def __init__(self, current: PreparedRuleset, begin: int) -> None:
        self._current = current
        self._begin = begin
        self._records: dict[str, ClientRecord] = {}
        self._counters: defaultdict[str, Counters] = defaultdict(Counters)
        self._counts: Counter[CountKey] = Counter()

    def decide(self, visit: Visit) -> Outcome:
        """Decides one request by the reference model and adds its counts to those that :meth:`count` writes. Returns
        the outcome."""
        decision = self._decide(visit)
        for kind, policy, amount, _ in counts_of(decision):
            counted = CountKey(self._begin + visit.minute, kind, decision.endpoint or "", policy, visit.client)
            self._counts[counted] += amount
        return _OUTCOMES.get(decision.reason) or (Outcome.ADMITTED if decision.allowed else Outcome.DENIED)

    def _decide(self, visit: Visit) -> Decision:
        endpoint = self._current.endpoint_of(CheckRequest(visit.client, method=visit.method, path=visit.path))
        slug, cost = (endpoint.slug, endpoint.cost) if endpoint else (None, 1)
        record = self._record(visit.client)
        reason = STATUS_REASONS.get(record.status)
        now = int(((self._begin + visit.minute) * 60 + visit.second) * SECOND_US)
        policies = () if reason else select(self._current.ruleset, record, slug, now).policies
        admitted, rows = self._counters[visit.client].check(policies, cost, now)
        limits = states_of(policies, cost, [reading for row in rows for reading in row], consumes=admitted)
        allowed = admitted and reason is not Reason.BLOCKED
        return Decision(allowed, reason, visit.client, None, slug, cost, self._current.version.sequence, limits)

    def count(self) -> None:
        """Adds the counts to those in the store. Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
        usage_counts().add(self._counts)
        self._counts.clear()

    def _record(self, client: str) -> ClientRecord:
        if client not in self._records:
            self._records[client] = clients.record_of(client) or ClientRecord(client)
        return self._records[client]
