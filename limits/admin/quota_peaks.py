"""The peaks of a client's quotas in the last twelve months, as a table of the client's page."""

from dataclasses import dataclass
from datetime import date

from django.utils import timezone

from limits.models import QuotaPeak

MONTHS = 12


@dataclass(frozen=True, slots=True)
class MonthlyPeaks:
    """``limits``: the names of the columns. ``rows``: for each month with a reading, the newest first, the peak of each
    limit; None where the limit was not used."""

    limits: tuple[str, ...]
    rows: tuple[tuple[date, tuple[QuotaPeak | None, ...]], ...]


def monthly_peaks(client: str) -> MonthlyPeaks:
    """Returns the peaks of this month and of the eleven months before (UTC)."""
    today = timezone.now().date()
    months = today.year * 12 + today.month - MONTHS
    first = date(months // 12, months % 12 + 1, 1)
    peaks = {(each.month, each.limit): each for each in QuotaPeak.objects.filter(client_key=client, month__gte=first)}
    limits = tuple(sorted({limit for _, limit in peaks}))
    found = sorted({month for month, _ in peaks}, reverse=True)
    return MonthlyPeaks(limits, tuple((month, tuple(peaks.get((month, each)) for each in limits)) for month in found))
