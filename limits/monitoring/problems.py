"""Problems of the platform itself, as far as they can be detected from the database and the store."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Sum

from limits.domain.descriptions import quantity
from limits.models import Progress, Publication, Usage, Work
from limits.store.client import control_client
from limits.store.ruleset_writer import RulesetWriter
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import Keys

ONE_MINUTE = timedelta(minutes=1)

PUBLISH_GRACE = ONE_MINUTE
"""The reconciler repairs most problems within seconds."""

DRAIN_GRACE = 5 * ONE_MINUTE

UNNAMED_WINDOW = 2 * ONE_MINUTE
"""The period searched for callers without a name and unknown endpoints."""


@dataclass(frozen=True, slots=True)
class PlatformProblem:
    """A problem of the platform: ``name`` identifies it as the group of an alert, ``sentence`` says what to do."""

    name: str
    sentence: str


def current_problems(end: datetime) -> Iterator[PlatformProblem]:
    """Yields the present problems; ``end`` is the end of the present minute."""
    for check in _CHECKS:
        yield from check(end)


def _store(end: datetime) -> Iterator[PlatformProblem]:
    try:
        RulesetWriter(control_client(), Keys(setting("NAMESPACE"))).pointer()
    except StoreError as error:
        yield PlatformProblem(
            "store unreachable",
            f"Redis is unavailable: {error} Each policy applies the setting “if Redis is down”, and counts are not "
            "exact. Servers reconnect automatically.",
        )


def _publication(end: datetime) -> Iterator[PlatformProblem]:
    latest = Publication.objects.order_by("-sequence").first()
    if latest and latest.state != Publication.State.LIVE and latest.created_at < end - ONE_MINUTE - PUBLISH_GRACE:
        yield PlatformProblem(
            "publish not live",
            f"Version {latest.sequence}, published by {latest.author} on {date_and_time(latest.created_at)}, is "
            f"{latest.get_state_display()}. The reconciler keeps trying; “manage.py publish_ruleset” shows the error.",
        )


def _drain(end: datetime) -> Iterator[PlatformProblem]:
    drained = Progress.of(Work.DRAIN)
    if drained is not None and drained < end - ONE_MINUTE - DRAIN_GRACE:
        yield PlatformProblem(
            "counts not drained",
            f"Usage was last read from Redis on {date_and_time(drained)}. Usage figures and other alerts are equally "
            "out of date. No counts are lost: they stay in Redis until they are read. See the log of the worker.",
        )


def _callers_counted_together(end: datetime) -> Iterator[PlatformProblem]:
    if requests := _requests(end, client_key=""):
        yield PlatformProblem(
            "callers counted together",
            f"{quantity(requests, 'request')} in the last minutes came from more clients than are counted separately. "
            "The total is exact. This may be a flood of requests with random keys; if all clients are genuine, raise "
            "COUNTS_PER_BUCKET.",
        )


def _unknown_endpoints(end: datetime) -> Iterator[PlatformProblem]:
    if requests := _requests(end, endpoint=""):
        yield PlatformProblem(
            "unknown endpoints",
            f"{quantity(requests, 'request')} in the last minutes named an unregistered endpoint or matched no "
            "route. Only policies for all requests apply to them.",
        )


_CHECKS: tuple[Callable[[datetime], Iterator[PlatformProblem]], ...] = (
    _store,
    _publication,
    _drain,
    _callers_counted_together,
    _unknown_endpoints,
)


def _requests(end: datetime, **condition: str) -> int:
    rows = Usage.objects.filter(minute__gte=end - UNNAMED_WINDOW, minute__lt=end, **condition)
    return int(rows.aggregate(requests=Sum("requests", default=0))["requests"])
