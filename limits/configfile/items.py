"""Fields that several sections of a config file have: limits, dates and clients."""

from collections.abc import Iterator, Sequence
from typing import Any

from limits.domain.rule_items import limits_of_item, moment_of_text
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.validation import ValidationProblem, dates_problem, limits_problems

DATE_FIELDS = ("starts_at", "ends_at")
NOT_A_MOMENT = "must be a date and time with a time zone, such as 2026-12-01T00:00:00Z."


def limit_problems(section: str, items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields a problem for each wrong limit."""
    for at, item in enumerate(items):
        for place, message in limits_problems(limits_of_item(item)):
            yield ValidationProblem((section, at, *place), message)


def date_problems(section: str, items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields a problem for each text that is no date, and for each end that is not after its start."""
    for at, item in enumerate(items):
        dates = {name: moment_of_text(item.get(name)) for name in DATE_FIELDS}
        for name in (name for name, date in dates.items() if date is None and item.get(name) is not None):
            yield ValidationProblem((section, at, name), NOT_A_MOMENT)
        if message := dates_problem(*map(optional_microseconds, dates.values())):
            yield ValidationProblem((section, at, "ends_at"), message)


def client_problems(section: str, items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields a problem for each invalid client key: the database could not even be queried for it."""
    for at, item in enumerate(items):
        key = item.get("client")
        if key is not None and (message := key_problem(key)):
            yield ValidationProblem((section, at, "client"), message)
