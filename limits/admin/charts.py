"""Bars of requests as SVG: no script, the same in print, and a sentence for who does not see it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from limits.monitoring.figures import HourOfRequests

WIDTH, HEIGHT, BOTTOM, TOP, LEFT, RIGHT = 720, 180, 22, 8, 44, 10


@dataclass(frozen=True, slots=True)
class Span:
    """An hour or a day that begins at ``begin``. ``admitted`` includes exempt requests; ``denied`` are
    those that a limit denied, ``blocked`` those of blocked clients."""

    begin: datetime
    admitted: int
    denied: int
    blocked: int = 0

    @property
    def refused(self) -> int:
        return self.denied + self.blocked

    @property
    def requests(self) -> int:
        return self.admitted + self.refused

    @property
    def refused_in_words(self) -> str:
        """“7 denied”, “7 denied, 2 from blocked clients”"""
        blocked = f", {self.blocked:,} from blocked clients" if self.blocked else ""
        return f"{self.denied:,} denied{blocked}"


@dataclass(frozen=True, slots=True)
class Column:
    """One bar: admitted below, refused above it. Lengths are in units of the drawing."""

    x: float
    middle: float
    width: float
    admitted_y: float
    admitted_height: float
    refused_y: float
    refused_height: float
    label: str
    title: str


def of_hours(hours: Iterable[HourOfRequests]) -> list[Span]:
    """Each hour by itself."""
    return [Span(hour.hour, hour.admitted + hour.exempt, hour.denied, hour.blocked) for hour in hours]


def of_days(hours: Iterable[HourOfRequests]) -> list[Span]:
    """The hours of each day (UTC) together."""
    days = [(begin, list(spans)) for begin, spans in groupby(of_hours(hours), lambda span: span.begin.replace(hour=0))]
    return [_together(begin, spans) for begin, spans in days]


def _together(begin: datetime, spans: Sequence[Span]) -> Span:
    return Span(
        begin,
        sum(span.admitted for span in spans),
        sum(span.denied for span in spans),
        sum(span.blocked for span in spans),
    )


def chart(spans: Sequence[Span], time_format: str, title_format: str) -> SafeString:
    """The chart of these hours or days; formats are those of ``strftime``."""
    highest = max((span.requests for span in spans), default=0)
    columns = [_column(at, span, spans, highest, time_format, title_format) for at, span in enumerate(spans)]
    context = {
        "columns": columns,
        "width": WIDTH,
        "height": HEIGHT,
        "left": LEFT,
        "top": TOP,
        "base": HEIGHT - BOTTOM,
        "middle": TOP + (HEIGHT - BOTTOM - TOP) / 2,
        "highest": _short(highest),
        "half": _short(highest / 2),
        "summary": _summary(spans),
    }
    return render_to_string("admin/limits/chart.html", context)


def _summary(spans: Sequence[Span]) -> str:
    if not spans:
        return "No requests."
    whole = _together(spans[0].begin, spans)
    return f"{whole.requests:,} requests: {whole.admitted:,} admitted, {whole.refused_in_words}."


def _column(at: int, span: Span, spans: Sequence[Span], highest: int, time_format: str, title_format: str) -> Column:
    step = (WIDTH - LEFT - RIGHT) / len(spans)
    scale = (HEIGHT - BOTTOM - TOP) / (highest or 1)
    admitted, refused = span.admitted * scale, span.refused * scale
    base = HEIGHT - BOTTOM
    every = max(1, len(spans) // 8)
    return Column(
        x=round(LEFT + at * step + step * 0.1, 1),
        middle=round(LEFT + at * step + step * 0.5, 1),
        width=round(step * 0.8, 1),
        admitted_y=round(base - admitted, 1),
        admitted_height=round(admitted, 1),
        refused_y=round(base - admitted - refused, 1),
        refused_height=round(refused, 1),
        label=span.begin.strftime(time_format) if (len(spans) - 1 - at) % every == 0 else "",
        title=f"{span.begin.strftime(title_format)}: {span.admitted:,} admitted, {span.refused_in_words}",
    )


def _short(number: float) -> str:
    """“950”, “12 k”, “3.4 M”"""
    for size, unit in ((1_000_000, " M"), (1_000, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
