"""Validates requests about alerts, field by field."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from rest_framework.request import Request

from api.management.fields import (
    NOT_A_MOMENT,
    PAGE_SIZE,
    checked,
    checked_query,
    id_problem,
    json_object,
    limit_problem,
    moment_problem,
    optional_object,
    reason_problem,
)
from api.requests import invalid, read_json, whole_number
from limits.domain.rule_items import moment_of_text
from limits.models import Alert
from ratelimit_enforcer.domain.validation import NOT_PRINTABLE, PRINTABLE

MAX_SILENCE = timedelta(days=366)
_MAX_MINUTES = MAX_SILENCE // timedelta(minutes=1)
_STATES = ", ".join(Alert.State)


@dataclass(frozen=True, slots=True)
class AlertsPage:
    """A page of alerts: at most ``limit``, older than the one with the id ``after``, in one ``state``, of the rule with
    this name (None: all)."""

    limit: int = PAGE_SIZE
    after: int | None = None
    state: str | None = None
    rule: str | None = None


@dataclass(frozen=True, slots=True)
class SilenceRequest:
    """Until when an alert is silenced, and why (may be empty)."""

    until: datetime
    reason: str


def parse_alerts_page(query: str) -> AlertsPage:
    """The query of the list of alerts. Raises :class:`~api.problems.ProblemResponse`."""
    given = checked_query(query, _PAGE_FIELDS)
    after = int(given["after"]) if "after" in given else None
    return AlertsPage(int(given.get("limit", PAGE_SIZE)), after, given.get("state"), given.get("rule"))


def read_acknowledgement(request: Request) -> None:
    """Raises :class:`~api.problems.ProblemResponse` if the body is neither missing nor an empty object."""
    checked(optional_object(request), {}, "is not a field of an acknowledgement.")


def read_silence(request: Request) -> SilenceRequest:
    """The end in the body of a request, as a time or in minutes from now. Raises
    :class:`~api.problems.ProblemResponse`."""
    given = checked(json_object(read_json(request)), _SILENCE_FIELDS, "is not a field of a silence.")
    if ("until" in given) == ("minutes" in given):
        raise invalid({"until": ["is required, or “minutes” instead."]})
    return SilenceRequest(_end(given), given.get("reason", ""))


def _end(given: dict[str, Any]) -> datetime:
    now = timezone.now()
    if "minutes" in given:
        return now + timedelta(minutes=given["minutes"])
    until = moment_of_text(given["until"])
    if until is None:
        raise invalid({"until": [NOT_A_MOMENT]})
    if not now < until <= now + MAX_SILENCE:
        raise invalid({"until": [f"must be within {MAX_SILENCE.days} days from now."]})
    return until


def _state_problem(value: str) -> str | None:
    return None if value in list(Alert.State) else f"must be one of: {_STATES}."


def _rule_problem(value: str) -> str | None:
    return None if PRINTABLE.match(value) else NOT_PRINTABLE


_PAGE_FIELDS = {
    "limit": limit_problem,
    "after": id_problem("must be the id of an alert."),
    "state": _state_problem,
    "rule": _rule_problem,
}
_SILENCE_FIELDS = {
    "until": moment_problem,
    "minutes": whole_number(1, _MAX_MINUTES),
    "reason": reason_problem,
}
