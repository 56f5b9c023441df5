"""What the pages tell of the past, from the rows of usage. All of it is asked here and nowhere else."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet, Sum
from django.db.models.functions import Trunc
from django.utils import timezone

from limits.admin.standing import highest_use
from limits.domain.words import Outcome
from limits.models import Alert, Usage
from limits.models.usage import OTHER, UNKNOWN_ENDPOINT

DAY = timedelta(hours=24)
MARKS = (100, 90, 80, 50)
_LOOKED_AT = 20


@dataclass(frozen=True, slots=True)
class Requests:
    """The requests of one hour or day that begins at ``begin``."""

    begin: datetime
    admitted: int = 0
    denied: int = 0
    blocked: int = 0
    exempt: int = 0

    @property
    def requests(self) -> int:
        return self.admitted + self.denied + self.blocked + self.exempt


@dataclass(frozen=True, slots=True)
class Throttled:
    """A client or an endpoint as people read it, with its denied requests."""

    name: str
    denied: int
    requests: int


@dataclass(frozen=True, slots=True)
class CloseToLimit:
    """A client that has used at least ``mark`` percent of a policy's limit."""

    client: str
    policy: str
    mark: int


def requests_by_hour(hours: int = 24) -> list[Requests]:
    """All requests of the last hours, the present one included, the oldest first."""
    return _spans("hour", hours, timedelta(hours=1), Q())


def client_by_day(client: str, days: int = 14) -> list[Requests]:
    """A client's requests of the last days (UTC), today included, the oldest first."""
    return _spans("day", days, DAY, Q(client_key=client))


def most_throttled_clients(count: int = 5) -> list[Throttled]:
    """The last 24 hours, the most denied first."""
    return _most_throttled("client_key", OTHER, count)


def most_throttled_endpoints(count: int = 5) -> list[Throttled]:
    """The last 24 hours, the most denied first."""
    return _most_throttled("endpoint", UNKNOWN_ENDPOINT, count)


def close_to_a_limit(within: timedelta = timedelta(minutes=15), count: int = 5) -> list[CloseToLimit]:
    """Of the busiest clients, those that have used half of a limit or more at this moment."""
    found = sorted(_close(timezone.now() - within), key=lambda close: -close.mark)
    return found[:count]


def unknown_endpoint_requests() -> int:
    """Requests of the last 24 hours to what nobody registered."""
    rows = Usage.objects.filter(minute__gte=timezone.now() - DAY, endpoint="")
    return rows.aggregate(total=Sum("requests"))["total"] or 0


def open_alerts(count: int = 5) -> QuerySet[Alert]:
    """The newest first."""
    return Alert.objects.filter(resolved_at=None).select_related("rule").order_by("-opened_at")[:count]


def _close(since: datetime) -> Iterator[CloseToLimit]:
    rows = Usage.objects.filter(minute__gte=since).exclude(client_key="").order_by().values_list("client_key")
    busiest = rows.annotate(total=Sum("requests")).order_by("-total", "client_key")[:_LOOKED_AT]
    for client, _ in busiest:
        bar = highest_use(client)
        percent = 100 * bar.used // bar.capacity if bar else 0
        if bar and percent >= MARKS[-1]:
            yield CloseToLimit(client, bar.policy, next(mark for mark in MARKS if percent >= mark))


def _most_throttled(field: str, nameless: str, count: int) -> list[Throttled]:
    recent = Usage.objects.filter(minute__gte=timezone.now() - DAY).order_by()
    denied = recent.filter(outcome=Outcome.DENIED.value).values_list(field).annotate(total=Sum("requests"))
    most = list(denied.order_by("-total", field)[:count])
    names = [name for name, _ in most]
    every = dict(recent.filter(**{f"{field}__in": names}).values_list(field).annotate(total=Sum("requests")))
    return [Throttled(name or nameless, number, every[name]) for name, number in most]


def _spans(kind: str, count: int, length: timedelta, which: Q) -> list[Requests]:
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    last = now.replace(hour=0) if kind == "day" else now
    begins = [last - length * back for back in reversed(range(count))]
    rows = Usage.objects.filter(which, minute__gte=begins[0]).order_by().annotate(begin=Trunc("minute", kind))
    sums = {word.value: Sum("requests", filter=Q(outcome=word.value), default=0) for word in Outcome}
    found = {row["begin"]: Requests(**row) for row in rows.values("begin").annotate(**sums)}
    return [found.get(begin, Requests(begin)) for begin in begins]
