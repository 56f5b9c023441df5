"""A plain model of reports: counts in a list, and sums in dictionaries."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from limits.reports.subjects import By, Report, Row

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Count:
    """One count of requests, as the drain wrote it at ``arrived``."""

    minute: datetime
    client: str
    endpoint: str
    outcome: str
    requests: int
    cost: int
    arrived: datetime
    policy: str = ""
    mode: str = ""


@dataclass(frozen=True)
class State:
    plan: str = ""
    tags: tuple[str, ...] = ()
    root: str = ""
    on_default: bool = False


@dataclass
class World:
    """Counts, and from which hour on each client had which state (None: unregistered)."""

    counts: list[Count] = field(default_factory=list)
    states: dict[str, list[tuple[datetime, State | None]]] = field(default_factory=dict)
    default_plans: list[tuple[datetime, str]] = field(default_factory=list)

    def state(self, client: str, hour: datetime) -> State | None:
        return _last(self.states.get(client, []), hour)

    def rows(self, report: Report) -> list[Row]:
        sums: dict[tuple[bool, tuple[Any, ...]], Counter[str]] = {}
        for count in self.counts:
            if not report.begin <= count.minute < report.end or bool(count.policy) != report.is_of_policies:
                continue
            late = count.arrived >= _close(count.minute, report.zone)
            for about in self._abouts(report, count):
                found = sums.setdefault((late, about), Counter())
                found.update(_figures(count))
        rows = [
            Row(about, tuple(found[figure.name] for figure in report.figures), late)
            for (late, about), found in sums.items()
        ]
        return [row for row in rows if any(row.figures)]

    def _abouts(self, report: Report, count: Count) -> list[tuple[Any, ...]]:
        hour = count.minute.replace(minute=0)
        state = self.state(count.client, hour) if count.client else None
        default = _last(self.default_plans, hour) or None
        local = hour.astimezone(report.zone)
        values: dict[By, Any] = {
            By.HOUR: local.isoformat(),
            By.DAY: f"{local:%Y-%m-%d}",
            By.MONTH: f"{local:%Y-%m}",
            By.CLIENT: count.client if state else None,
            By.TREE: (state.root or None) if state else None,
            By.PLAN: default if state is None or state.on_default else state.plan or None,
            By.ENDPOINT: count.endpoint or None,
            By.POLICY: count.policy,
        }
        tags = state.tags if state else ()
        for by, value in report.filters:
            if (value not in tags) if by is By.TAG else values[by] != value:
                return []
        each = (tags or (None,)) if By.TAG in report.by else (None,)
        return [tuple((values | {By.TAG: tag})[by] for by in report.by) for tag in each]


def _last(values: list[tuple[datetime, Any]], moment: datetime) -> Any:
    return next((value for begin, value in reversed(values) if begin <= moment), None)


def _close(minute: datetime, zone: ZoneInfo) -> datetime:
    first = minute.astimezone(zone).replace(day=1, hour=0, minute=0)
    following = (first + timedelta(days=31)).replace(day=1, hour=0, minute=0)
    return following.astimezone(UTC) + 24 * HOUR


def _figures(count: Count) -> dict[str, int]:
    if count.policy:
        return {{"enforce": "denied", "shadow": "would_deny"}[count.mode]: count.requests}
    cost = count.cost if count.outcome == "admitted" else 0
    return {"requests": count.requests, count.outcome: count.requests, "cost": cost}
