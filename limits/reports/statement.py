"""The SQL statement of a report. No text from outside is part of it: values are parameters.

A day (UTC) of a client whose plan, tags and tree were the same all day is one row. Of a day in which a client changed,
the row by day counts as unregistered, and the client's registered hours are moved from there to where they belong.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from limits.reports.calendar import Span, Spans, closes, starts
from limits.reports.subjects import By, Report
from ratelimit_enforcer.domain.enums import Mode, Outcome


@dataclass(frozen=True, slots=True)
class Series:
    """Rows of one kind by day, hour and minute. ``policy``: the column with the policy; ``late``: which late counts are
    of this kind; ``figures``: name → the expression of a row."""

    days: str
    hours: str
    minutes: str
    policy: str
    late: str
    figures: Mapping[str, str]


def _if(column: str, value: str, number: str) -> str:
    return f"CASE WHEN counted.{column} = '{value}' THEN counted.{number} ELSE 0 END"


_USAGE = Series(
    "limits_usageday",
    "limits_usagehour",
    "limits_usage",
    "NULL::text",
    "counted.outcome <> ''",
    {
        "requests": "counted.requests",
        **{outcome.value: _if("outcome", outcome.value, "requests") for outcome in Outcome},
        "cost": _if("outcome", Outcome.ADMITTED.value, "cost"),
    },
)
_SETTLEMENTS = Series(
    "limits_settlementday",
    "limits_settlementhour",
    "limits_settlement",
    "NULL::text",
    "counted.outcome = '' AND counted.policy = ''",
    {name: f"counted.{name}" for name in ("refunded", "debited", "overdrawn")},
)
_DENIALS = Series(
    "limits_policydenialday",
    "limits_policydenialhour",
    "limits_policydenial",
    "counted.policy",
    "counted.mode <> ''",
    {
        "denied": _if("mode", Mode.ENFORCE.value, "requests"),
        "would_deny": _if("mode", Mode.SHADOW.value, "requests"),
    },
)
_BEYOND_QUOTAS = Series(
    "limits_policyusageday",
    "limits_policyusagehour",
    "limits_policyusage",
    "counted.policy",
    "counted.policy <> '' AND counted.mode = ''",
    {name: f"counted.{name}" for name in ("granted", "over_quota")},
)
_OF_USAGE, _OF_POLICIES = (_USAGE, _SETTLEMENTS, _BEYOND_QUOTAS), (_DENIALS, _BEYOND_QUOTAS)

_STATE = ("client_key", "plan", "on_default", "tags", "root")
_RECORDED_AT = (
    "recorded.client_key = counted.client_key AND recorded.from_hour <= {moment} "
    "AND (recorded.until_hour IS NULL OR recorded.until_hour > {moment})"
)
_RECORDED_ALL_DAY = (
    "recorded.client_key = counted.client_key AND recorded.from_hour <= counted.day "
    "AND (recorded.until_hour IS NULL OR recorded.until_hour >= counted.day + interval '1 day' "
    # Hours of that time are not kept: the day counts with the state at its beginning.
    "OR (counted.day < %(hours_kept_from)s AND recorded.until_hour > counted.day))"
)
_LATE_MOMENT = (
    "CASE WHEN counted.hour < %(hours_kept_from)s THEN date_trunc('day', counted.hour, 'UTC') ELSE counted.hour END"
)
_CHANGED_DAYS = """
    SELECT DISTINCT client_key, date_trunc('day', changed_at, 'UTC') AS day FROM (
        SELECT client_key, from_hour FROM limits_recordedclient
        WHERE from_hour >= %(begin)s AND from_hour < %(end)s
        UNION ALL
        SELECT client_key, until_hour FROM limits_recordedclient
        WHERE until_hour >= %(begin)s AND until_hour < %(end)s
    ) AS changes (client_key, changed_at)
    WHERE changed_at > date_trunc('day', changed_at, 'UTC') AND changed_at >= %(hours_kept_from)s
"""
_EXPRESSIONS = {
    By.CLIENT: "client_key",
    By.TREE: "NULLIF(root, '')",
    By.PLAN: "CASE WHEN client_key IS NULL OR on_default "
    "THEN (%(default_plans)s::text[])[width_bucket(moment, %(default_plans_from)s::timestamptz[])] "
    "ELSE NULLIF(plan, '') END",
    By.TAG: "tag",
    By.ENDPOINT: "NULLIF(endpoint, '')",
    By.POLICY: "policy",
    **dict.fromkeys((By.HOUR, By.DAY, By.MONTH), "width_bucket(moment, %(starts)s::timestamptz[])"),
}
_FILTERS = {each: f"{_EXPRESSIONS[each]} = %(only_{each})s" for each in _EXPRESSIONS} | {
    By.TAG: "%(only_tag)s = ANY(tags)"
}
_TEXTS = frozenset({By.CLIENT, By.TREE, By.PLAN, By.TAG, By.ENDPOINT, By.POLICY})


def statement(report: Report, read: Spans, largest: int | None = None) -> str:
    """Returns the statement: rows of what a row is about (periods as numbers from 1), whether it is an adjustment, and
    the figures. The sums come first, adjustments after them. ``largest``: only this many rows, those with the largest
    first figure; by period, the first ones."""
    keys = [_EXPRESSIONS[each] + (' COLLATE "C"' if each in _TEXTS else "") for each in report.by]
    sums = [f"sum({figure.name})" for figure in report.figures]
    columns = [*keys, "adjustment", *(f"{each}::bigint" for each in sums)]
    groups = [str(number + 1) for number in range(len(keys) + 1)]
    tags = "LEFT JOIN LATERAL unnest(tags) AS tag ON true" if By.TAG in report.by else ""
    conditions = [_FILTERS[each] for each, _ in report.filters] or ["true"]
    changed = f"changed_days AS MATERIALIZED ({_CHANGED_DAYS}), " if _has_changed_days(report, read) else ""
    # No value of a report is text from outside; the parts are constants of this module.
    return (
        f"WITH {changed}counts AS ({' UNION ALL '.join(_parts(report, read))}) "  # noqa: S608
        f"SELECT {', '.join(columns)} FROM counts {tags} WHERE {' AND '.join(conditions)} "
        f"GROUP BY {', '.join(groups)} HAVING {' OR '.join(f'{each} <> 0' for each in sums)} "
        f"ORDER BY {_order(report, groups, largest)}"
    )


def _order(report: Report, groups: Sequence[str], largest: int | None) -> str:
    *keys, adjustment = groups
    if largest is None:
        return ", ".join([adjustment, *keys])
    first = [] if report.time else [f"{len(groups) + 1} DESC"]
    return f"{', '.join([adjustment, *first, *keys])} LIMIT {largest:d}"


def parameters(
    report: Report, read: Spans, hours_kept_from: datetime, default_plans: Sequence[tuple[datetime, str]]
) -> dict[str, Any]:
    """Returns the parameters of the statement. ``default_plans``: from when on which plan was the default (empty:
    none)."""
    months = starts(By.MONTH, report.begin, report.end, report.zone)
    values: dict[str, Any] = {
        "begin": report.begin,
        "end": report.end,
        "minutes_from": read.minutes,
        "hours_kept_from": hours_kept_from,
        "months": months,
        "closes": closes(months, report.zone),
        "starts": starts(report.time, report.begin, report.end, report.zone) if report.time else [],
        "default_plans_from": [begin for begin, _ in default_plans],
        "default_plans": [plan or None for _, plan in default_plans],
    }
    values |= {f"only_{each}": value for each, value in report.filters}
    for name, found in (("day", read.days), ("hour", read.hours)):
        for number, (begin, end) in enumerate(found):
            values |= {f"{name}{number}_from": begin, f"{name}{number}_until": end}
    return values


def _has_changed_days(report: Report, read: Spans) -> bool:
    return report.needs_records and bool(read.days)


def _parts(report: Report, read: Spans) -> Iterator[str]:
    """Yields a SELECT for each table that is read, all with the same columns."""
    for series in _OF_POLICIES if report.is_of_policies else _OF_USAGE:
        part = _Part(report, series)
        if read.days:
            yield part.select(
                "counted.day", f"{series.days} AS counted", _RECORDED_ALL_DAY, _within("counted.day", "day", read.days)
            )
        if _has_changed_days(report, read):
            yield part.hours_of_changed_days(_within("changed_days.day", "day", read.days))
        if read.hours:
            recorded = _RECORDED_AT.format(moment="counted.hour")
            hours = _within("counted.hour", "hour", read.hours)
            yield part.select("counted.hour", f"{series.hours} AS counted", recorded, hours)
        yield part.select(
            "counted.minute",
            f"{series.minutes} AS counted",
            _RECORDED_AT.format(moment="counted.minute"),
            "counted.minute >= %(minutes_from)s AND counted.minute < %(end)s",
        )
        yield part.late()


def _within(column: str, name: str, found: Sequence[Span]) -> str:
    each = (
        f"{column} >= %({name}{number}_from)s AND {column} < %({name}{number}_until)s" for number in range(len(found))
    )
    return f"({' OR '.join(each)})"


@dataclass(frozen=True, slots=True)
class _Part:
    """The SELECTs of one series."""

    report: Report
    series: Series

    def select(
        self,
        moment: str,
        table: str,
        recorded: str,
        condition: str,
        *,
        sign: str = "",
        adjustment: str = "false",
    ) -> str:
        """Returns the counts of a table with the recorded state of their clients, or as unregistered."""
        state, join = "", ""
        if self.report.needs_records:
            state = "".join(f"recorded.{name}, " for name in _STATE)
            join = f"LEFT JOIN limits_recordedclient AS recorded ON {recorded}"
        return self._selected(moment, state, f"{table} {join}", condition, sign, adjustment)

    def hours_of_changed_days(self, condition: str) -> str:
        """Returns the registered hours of clients on days in which they changed: as theirs, and taken from the
        unregistered ones."""
        state = "".join(f"CASE WHEN sign > 0 THEN recorded.{name} END, " for name in _STATE)
        tables = (
            f"changed_days JOIN {self.series.hours} AS counted ON counted.client_key = changed_days.client_key "
            "AND counted.hour >= changed_days.day AND counted.hour < changed_days.day + interval '1 day' "
            f"JOIN limits_recordedclient AS recorded ON {_RECORDED_AT.format(moment='counted.hour')} "
            "CROSS JOIN (VALUES (1), (-1)) AS moved (sign)"
        )
        return self._selected("counted.hour", state, tables, condition, "sign * ", "false")

    def late(self) -> str:
        """Returns counts that arrived after the close of their month: as adjustments, and taken from the others."""
        condition = (
            f"counted.hour >= %(begin)s AND counted.hour < %(end)s AND {self.series.late} AND counted.arrived "
            ">= (%(closes)s::timestamptz[])[width_bucket(counted.hour, %(months)s::timestamptz[])]"
        )
        table = "(VALUES (1, true), (-1, false)) AS moved (sign, adjusts) CROSS JOIN limits_latecount AS counted"
        recorded = _RECORDED_AT.format(moment=_LATE_MOMENT)
        return self.select("counted.hour", table, recorded, condition, sign="sign * ", adjustment="adjusts")

    def _selected(self, moment: str, state: str, tables: str, condition: str, sign: str, adjustment: str) -> str:
        figures = (
            f"{sign}({self.series.figures[figure.name]}) AS {figure.name}"
            if figure.name in self.series.figures
            else f"0::bigint AS {figure.name}"
            for figure in self.report.figures
        )
        return (
            f"SELECT {moment} AS moment, {state}counted.endpoint, {self.series.policy} AS policy, "  # noqa: S608
            f"{', '.join(figures)}, {adjustment} AS adjustment FROM {tables} WHERE {condition}"
        )
