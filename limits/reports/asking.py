"""A report as people and programs ask for it: names and texts, as in a URL."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from limits.monitoring.rollups import ONE_HOUR, hour_of
from limits.reports.calendar import has_whole_hours, hours_kept_from, midnight
from limits.reports.subjects import FILTERS, TIMES, By, Report
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.calendar import is_known_here, timezones
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.validation import slug_problem

PARAMETERS = ("from", "to", "timezone", "by", *FILTERS)
DEFAULT_ZONE = "UTC"
MAX_FUTURE = timedelta(days=366)
"""How far after now a report may end."""

_MOMENT = re.compile(r"(\d{4}-\d\d)(-\d\d)?(T\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?)?")
_NOT_A_MOMENT = (
    "must be a month such as 2026-10, a day such as 2026-10-01, or a time such as 2026-10-01T15:00Z; a “+” in a URL is "
    "written “%2B”."
)
_FILTER_PROBLEMS: dict[By, Callable[[str], str | None]] = {
    By.CLIENT: key_problem,
    By.TREE: key_problem,
    By.PLAN: slug_problem,
    By.TAG: slug_problem,
    By.ENDPOINT: slug_problem,
    By.POLICY: slug_problem,
}


class InvalidReport(ValueError):
    """There is no such report. ``problems``: pairs of the name of a parameter and a message about it."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{name} {message}" for name, message in problems))
        self.problems = problems


def report_of(given: Mapping[str, Sequence[str]], now: datetime) -> Report:
    """Returns the report with these parameters. ``from`` is by default the beginning of the present month, ``to`` the
    end of the present hour. Raises :class:`InvalidReport`, which names every invalid parameter."""
    _reject(_form_problems(given))
    values = {name: texts[0] for name, texts in given.items()}
    zone = ZoneInfo(values.get("timezone", DEFAULT_ZONE))
    by = _by(given.get("by", ()))
    begin, end = _period(values, zone, now)
    filters = tuple((name, values[name]) for name in FILTERS if name in values)
    report = Report(begin, end, zone, tuple(sorted(by, key=list(By).index)), filters)
    _reject(_period_problems(report, now))
    return report


def _reject(problems: Iterator[tuple[str, str]]) -> None:
    if found := list(problems):
        raise InvalidReport(found)


def _by(texts: Sequence[str]) -> list[By]:
    return [By(name) for text in texts for name in text.split(",") if name]


def _form_problems(given: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with each parameter alone."""
    for name, texts in given.items():
        if name not in PARAMETERS:
            yield name, "is not a query parameter here."
        elif name == "by":
            yield from (("by", message) for message in _by_problems(texts))
        elif len(texts) != 1:
            yield name, "must be given once."
        elif message := _problem(name, texts[0]):
            yield name, message


def _by_problems(texts: Sequence[str]) -> Iterator[str]:
    names = [name for text in texts for name in text.split(",") if name]
    if set(names) - set(By):
        yield f"must be some of {', '.join(By)}, separated by commas."
    elif len(set(names)) < len(names):
        yield "names something twice."
    elif len(set(names) & set(TIMES)) > 1:
        yield f"may contain only one of {', '.join(TIMES)}."


def _problem(name: str, text: str) -> str | None:
    if name in ("from", "to"):
        return None if _moment(text, ZoneInfo(DEFAULT_ZONE)) else _NOT_A_MOMENT
    if name == "timezone":
        known = text in timezones() and is_known_here(text)
        return None if known else "must be the name of a time zone, such as Europe/Berlin."
    return _FILTER_PROBLEMS[By(name)](text)


def _moment(text: str, zone: ZoneInfo) -> datetime | None:
    """Returns the moment in UTC; None if there is no such."""
    found = _MOMENT.fullmatch(text)
    if not found or (found[3] and not found[2]):
        return None
    try:
        if found[3]:
            moment = datetime.fromisoformat(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
        return midnight(date.fromisoformat(text if found[2] else f"{text}-01"), zone)
    except (ValueError, OverflowError):
        return None


def _period(values: Mapping[str, str], zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    month = midnight(now.astimezone(zone).date().replace(day=1), zone)
    begin = _moment(values["from"], zone) if "from" in values else month
    end = _moment(values["to"], zone) if "to" in values else hour_of(now.astimezone(UTC)) + ONE_HOUR
    if begin is None or end is None:
        raise InvalidReport([("from" if begin is None else "to", _NOT_A_MOMENT)])
    return begin, end


def _period_problems(report: Report, now: datetime) -> Iterator[tuple[str, str]]:
    """Yields what is wrong with the period and its time zone."""
    for name, moment in (("from", report.begin), ("to", report.end)):
        if moment != hour_of(moment):
            yield name, "must be a whole hour."
    if report.begin >= report.end:
        yield "to", "must be after “from”."
    elif report.end > now + MAX_FUTURE:
        yield "to", "must be at most a year from now."
    elif report.begin < hours_kept_from(now, setting("KEEP_DAYS")):
        yield "from", f"is too early: counts by day are kept for {setting('KEEP_DAYS'):,} days."
    elif not has_whole_hours(report.zone, report.begin, report.end):
        yield "timezone", "differs from UTC by a part of an hour, and counts are kept by whole hours."
    elif report.begin < hours_kept_from(now, setting("KEEP_HOURS")):
        yield from _problems_without_hours(report)


def _problems_without_hours(report: Report) -> Iterator[tuple[str, str]]:
    kept = f"counts by hour are kept for {setting('KEEP_HOURS'):,} days, those before that by day (UTC)."
    if report.zone.key != DEFAULT_ZONE:
        yield "timezone", f"must be UTC for a period that begins so early: {kept}"
    elif report.time is By.HOUR:
        yield "by", f"must not be hour for a period that begins so early: {kept}"
    elif report.begin.hour:
        yield "from", f"must be the beginning of a day: {kept}"
