"""The usage of one client by month, for its page. Months are UTC, and all counts of a month are in it."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from django.db import models, transaction
from django.db.models import Q, Sum
from django.db.models.functions import TruncMonth
from django.utils import timezone

from limits.models import Client, Usage, UsageDay, UsageHour, Work
from limits.models.trees import keys_below
from limits.monitoring.rollups import hour_of, lock_progress
from ratelimit_enforcer.domain.enums import Outcome

MONTHS = 12

_BEFORE_EVERYTHING = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class MonthOfUsage:
    """A month (its first day): all requests, the cost of the admitted ones, and the denied requests."""

    month: date
    requests: int
    cost: int
    denied: int


@transaction.atomic
def monthly_usage(client: str, now: datetime | None = None, months: int = MONTHS) -> list[MonthOfUsage]:
    """Returns the last ``months`` months with the requests of a registered client and of all clients below it, oldest
    first; the last is the present month so far."""
    keys = [client, *keys_below([client], Client.objects.all())]
    firsts = list(_first_days((now or timezone.now()).astimezone(UTC), months))
    counts: dict[date, list[int]] = defaultdict(lambda: [0, 0, 0])
    for month, *figures in _rows(keys, datetime.combine(firsts[0], datetime.min.time(), UTC)):
        counts[month.date()] = [sum(each) for each in zip(counts[month.date()], figures, strict=True)]
    return [MonthOfUsage(first, *counts[first]) for first in firsts]


def _first_days(now: datetime, months: int) -> Iterator[date]:
    newest = now.year * 12 + now.month - 1
    for number in range(newest - months + 1, newest + 1):
        yield date(number // 12, number % 12 + 1, 1)


def _rows(keys: list[str], begin: datetime) -> Iterator[tuple[datetime, int, int, int]]:
    """Yields month, requests, cost and denied requests: of days, of hours that are not rolled up into days yet, and of
    minutes that are not rolled up into hours yet. A rollup waits for the transaction (see ``TimeRange``)."""
    marks = lock_progress(Work.HOURS, Work.DAYS)
    minutes = max(marks.get(Work.HOURS, _BEFORE_EVERYTHING), begin)
    hours = max(hour_of(marks.get(Work.DAYS, _BEFORE_EVERYTHING)), begin)
    yield from _sums(UsageDay, "day", Q(client_key__in=keys, day__gte=begin))
    yield from _sums(UsageHour, "hour", Q(client_key__in=keys, hour__gte=hours))
    yield from _sums(Usage, "minute", Q(client_key__in=keys, minute__gte=minutes))


def _sums(model: type[models.Model], column: str, condition: Q) -> Iterator[tuple[datetime, int, int, int]]:
    rows = model._default_manager.filter(condition).order_by().values(month=TruncMonth(column, tzinfo=UTC))
    found = rows.annotate(
        all=Sum("requests", default=0),
        admitted=Sum("cost", filter=Q(outcome=Outcome.ADMITTED.value), default=0),
        denied=Sum("requests", filter=Q(outcome=Outcome.DENIED.value), default=0),
    )
    yield from found.values_list("month", "all", "admitted", "denied")
