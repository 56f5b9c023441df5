"""``play_traffic``: an hour of visits to the shop, so that every page of the admin has something to show."""

import time
from collections import Counter
from typing import Any

import click
from django.core.management.base import BaseCommand, CommandError

from demo.past import Past
from demo.visitors import MINUTES, Visit, visits
from limits.domain.words import Outcome, Reason
from limits.enforcement import CheckRequest, Held, RulesetMissing, StoreUnavailable, get_engine

_BY_REASON = {Reason.BLOCKED: Outcome.BLOCKED, Reason.EXEMPT: Outcome.EXEMPT, None: Outcome.ADMITTED}


class Command(BaseCommand):
    help = (
        "Plays an hour of visits to the demo shop that ends now, with somebody in it who scrapes the search. "
        "The last minute is asked of the store for real; those before it are decided by the reference model."
    )

    def handle(self, **_: Any) -> None:
        try:
            outcomes = _play()
        except (RulesetMissing, StoreUnavailable) as error:
            raise CommandError(f"Nobody decides: {error} Start the platform first: make run") from error
        told = ", ".join(f"{number:,} {outcome}" for outcome, number in sorted(outcomes.items()))
        self.stdout.write(f"{sum(outcomes.values()):,} requests: {told}.")
        self.stdout.write("The admin shows them within ten seconds; the alert and its mail follow.")


def _play() -> Counter[str]:
    past = Past(_held(), begin=int(time.time()) // 60 - MINUTES + 1)
    outcomes: Counter[str] = Counter()
    with click.progressbar(range(MINUTES), label="An hour of traffic") as minutes:
        for minute in minutes:
            ask = past.ask if minute < MINUTES - 1 else _ask
            outcomes.update(ask(visit) for visit in visits(minute))
            past.count()
    return outcomes


def _held() -> Held:
    engine = get_engine()
    engine.refresh()
    if engine.held is None:
        raise RulesetMissing("No ruleset has been published yet.")
    return engine.held


def _ask(visit: Visit) -> Outcome:
    """Asks the store. Raises :class:`StoreUnavailable`."""
    decision = get_engine().check(CheckRequest(visit.client, method=visit.method, path=visit.path))
    if decision.reason is Reason.STORE_UNAVAILABLE:
        raise StoreUnavailable("The store is away.")
    return _BY_REASON.get(decision.reason, Outcome.DENIED)
