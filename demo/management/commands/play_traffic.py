"""``play_traffic``: an hour of requests to the shop, so that every page of the admin has data to show."""

import time
from collections import Counter
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError

from demo.traffic import MINUTES_PLAYED, PastTraffic, Visit, visits
from ratelimit_enforcer.domain.enums import Outcome, Reason
from ratelimit_enforcer.engine import (
    CheckRequest,
    Engine,
    PreparedRuleset,
    RulesetMissing,
    StoreUnavailable,
    get_engine,
)
from ratelimit_enforcer.store.errors import StillConnecting

_CONNECT_TRIES, _PAUSE = 100, 0.1
"""Number of retries, and seconds between two of them, for a connection that is not open within a check's deadline."""
_BY_REASON = {Reason.BLOCKED: Outcome.BLOCKED, Reason.EXEMPT: Outcome.EXEMPT, None: Outcome.ADMITTED}


class Command(BaseCommand):
    help = (
        "Simulates an hour of visits to the demo shop that ends now, including a client that scrapes the search. "
        "The store decides the last minute; the reference model decides the minutes before."
    )

    def handle(self, **_: Any) -> None:
        try:
            outcomes = _play()
        except (RulesetMissing, StoreUnavailable) as error:
            raise CommandError(f"No checks are possible. {error} Start the platform first: make run") from error
        told = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(outcomes.items()))
        self.stdout.write(f"{sum(outcomes.values()):,} requests: {told}.")
        self.stdout.write("The admin shows these requests within ten seconds; an alert and an email follow.")


def _play() -> Counter[str]:
    past = PastTraffic(_current(), begin=int(time.time()) // 60 - MINUTES_PLAYED + 1)
    outcomes: Counter[str] = Counter()
    with click.progressbar(range(MINUTES_PLAYED), label="An hour of traffic") as minutes:
        for minute in minutes:
            decide = past.decide if minute < MINUTES_PLAYED - 1 else _check
            outcomes.update(decide(visit) for visit in visits(minute))
            past.count()
    return outcomes


def _current() -> PreparedRuleset:
    engine = get_engine()
    _refresh(engine)
    if engine.current is None:
        raise RulesetMissing("No ruleset has been published yet.")
    return engine.current


def _refresh(engine: Engine) -> None:
    for _ in range(_CONNECT_TRIES):
        try:
            return engine.refresh()
        except StillConnecting:
            time.sleep(_PAUSE)
    return engine.refresh()


def _check(visit: Visit) -> Outcome:
    """Sends the request to the store. Raises :class:`StoreUnavailable`."""
    decision = get_engine().check(CheckRequest(visit.client, method=visit.method, path=visit.path))
    if decision.reason is Reason.STORE_UNAVAILABLE:
        raise StoreUnavailable("The store is unavailable.")
    return _BY_REASON.get(decision.reason, Outcome.DENIED)
