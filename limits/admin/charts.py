"""Bar charts of requests as SVG: no script, the same in print, and with a text alternative."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from limits.domain.descriptions import quantity
from limits.monitoring.figures import HourOfRequests

WIDTH, HEIGHT, BOTTOM, TOP, LEFT, RIGHT = 720, 180, 28, 16, 58, 22


@dataclass(frozen=True, slots=True)
class Bars:
    """The requests of an hour or a day from ``begin``. ``admitted`` includes exempt requests; ``denied`` are
    requests denied by a limit, ``blocked`` those of blocked clients."""

    begin: datetime
    admitted: int
    denied: int
    blocked: int = 0

    @property
    def not_admitted(self) -> int:
        return self.denied + self.blocked

    @property
    def requests(self) -> int:
        return self.admitted + self.not_admitted

    @property
    def not_admitted_text(self) -> str:
        """“7 denied”, “7 denied, 2 blocked”"""
        blocked = f", {self.blocked:,} blocked" if self.blocked else ""
        return f"{self.denied:,} denied{blocked}"


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a chart. ``legend``: pairs of a CSS class and a text. ``about``: the numbers of a bar as text;
    ``summary``: those of all bars together, as a sentence."""

    legend: tuple[tuple[str, str], ...]
    about: Callable[[Bars], str]
    summary: Callable[[Bars], str]


def _outcomes(bar: Bars) -> str:
    return f"{bar.admitted:,} admitted, {bar.not_admitted_text}"


OUTCOMES = Words(
    (("", "admitted"), ("rl-denied", "denied or blocked")),
    _outcomes,
    lambda total: f"{quantity(total.requests, 'request')}: {_outcomes(total)}.",
)

WOULD_BE_DENIED = Words(
    (("rl-denied", "would have been denied"),),
    lambda bar: f"{bar.denied:,} would have been denied",
    lambda total: f"{quantity(total.denied, 'request')} would have been denied.",
)


@dataclass(frozen=True, slots=True)
class Column:
    """One bar: admitted requests at the bottom, denied and blocked ones on top. Lengths are in units of the drawing."""

    x: float
    middle: float
    width: float
    admitted_y: float
    admitted_height: float
    not_admitted_y: float
    not_admitted_height: float
    label: str
    title: str


def hourly_bars(hours: Iterable[HourOfRequests]) -> list[Bars]:
    """Returns one bar for each hour."""
    return [Bars(hour.hour, hour.admitted + hour.exempt, hour.denied, hour.blocked) for hour in hours]


def daily_bars(hours: Iterable[HourOfRequests]) -> list[Bars]:
    """Returns one bar for each day (UTC)."""
    days = [
        (begin, list(spans)) for begin, spans in groupby(hourly_bars(hours), lambda span: span.begin.replace(hour=0))
    ]
    return [_total(begin, spans) for begin, spans in days]


def _total(begin: datetime, spans: Sequence[Bars]) -> Bars:
    return Bars(
        begin,
        sum(span.admitted for span in spans),
        sum(span.denied for span in spans),
        sum(span.blocked for span in spans),
    )


def chart(spans: Sequence[Bars], time_format: str, title_format: str, words: Words = OUTCOMES) -> SafeString:
    """Returns the chart of these hours or days; formats are those of ``strftime``."""
    highest = max((span.requests for span in spans), default=0)
    titles = [f"{span.begin.strftime(title_format)}: {words.about(span)}" for span in spans]
    columns = [_column(at, spans, highest, time_format, titles[at]) for at in range(len(spans))]
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
        "summary": _summary(spans, words),
        "legend": words.legend,
    }
    return render_to_string("admin/limits/chart.html", context)


def _summary(spans: Sequence[Bars], words: Words) -> str:
    return words.summary(_total(spans[0].begin, spans)) if spans else "No requests."


def _column(at: int, spans: Sequence[Bars], highest: int, time_format: str, title: str) -> Column:
    span, step = spans[at], (WIDTH - LEFT - RIGHT) / len(spans)
    scale = (HEIGHT - BOTTOM - TOP) / (highest or 1)
    admitted, not_admitted = span.admitted * scale, span.not_admitted * scale
    base = HEIGHT - BOTTOM
    every = max(1, len(spans) // 8)
    return Column(
        x=round(LEFT + at * step + step * 0.1, 1),
        middle=round(LEFT + at * step + step * 0.5, 1),
        width=round(step * 0.8, 1),
        admitted_y=round(base - admitted, 1),
        admitted_height=round(admitted, 1),
        not_admitted_y=round(base - admitted - not_admitted, 1),
        not_admitted_height=round(not_admitted, 1),
        label=span.begin.strftime(time_format) if (len(spans) - 1 - at) % every == 0 else "",
        title=title,
    )


def _short(number: float) -> str:
    """“950”, “12 k”, “3.4 M”"""
    for size, unit in ((1_000_000, " M"), (1_000, " k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
