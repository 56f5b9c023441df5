"""Grants in a config file, with all checks that do not need the database."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from limits.configfile.items import NOT_A_MOMENT, client_problems
from limits.domain.rule_items import moment_of_text
from ratelimit_enforcer.domain.grants import MAX_AMOUNT, MAX_PRIORITY
from ratelimit_enforcer.domain.validation import ValidationProblem

_DATES = ("from", "until")


@dataclass(frozen=True, slots=True)
class GrantEntry:
    """A grant in the file; client, policy and start identify it."""

    client: str
    policy: str
    amount: int
    starts_at: datetime
    ends_at: datetime
    priority: int = 0
    reason: str = ""


def grant_entry(item: dict[str, Any]) -> GrantEntry:
    """Returns the entry for one item of the section ``grants``, whose dates are valid."""
    starts_at, ends_at = (moment_of_text(item[name]) for name in _DATES)
    if starts_at is None or ends_at is None:
        raise ValueError(item)
    client, policy, amount = item["client"], item["policy"], item["amount"]
    return GrantEntry(client, policy, amount, starts_at, ends_at, item.get("priority", 0), item.get("reason", ""))


def grant_entry_problems(items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields every problem of each grant, and a problem for each with client, policy and start of an earlier one."""
    yield from client_problems("grants", items)
    first: dict[Hashable, int] = {}
    for at, item in enumerate(items):
        dates = [moment_of_text(item[name]) for name in _DATES]
        for name, message in _field_problems(item, *dates):
            yield ValidationProblem(("grants", at, name), message)
        earlier = first.setdefault((item["client"], item["policy"], dates[0] or at), at)
        if earlier != at:
            message = f"is a duplicate of grants[{earlier}]: the same client, policy and from."
            yield ValidationProblem(("grants", at), message)


def _field_problems(
    item: dict[str, Any], starts_at: datetime | None, ends_at: datetime | None
) -> Iterator[tuple[str, str]]:
    if message := amount_problem(item["amount"]):
        yield "amount", message
    if message := priority_problem(item.get("priority", 0)):
        yield "priority", message
    for name, date in zip(_DATES, (starts_at, ends_at), strict=True):
        if date is None:
            yield name, NOT_A_MOMENT
    if starts_at and ends_at and ends_at <= starts_at:
        yield "until", "must be after from."


def amount_problem(amount: int) -> str | None:
    """What is wrong with the amount of a grant, or None."""
    return None if 1 <= amount <= MAX_AMOUNT else f"must be a whole number from 1 to {MAX_AMOUNT:,}."


def priority_problem(priority: int) -> str | None:
    """What is wrong with the priority of a grant, or None."""
    return None if 0 <= priority <= MAX_PRIORITY else f"must be a whole number from 0 to {MAX_PRIORITY}."
