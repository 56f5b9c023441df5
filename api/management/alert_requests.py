"""Validates requests about alerts, field by field."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from django.utils import timezone
from rest_framework.request import Request

from api.management.change_requests import NOT_A_MOMENT, optional_object, reason_problem, row_id_problem
from api.management.requests import PAGE_SIZE, checked, limit_problem
from api.requests import invalid, read_json, reject_invalid, whole_number
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
    values = parse_qs(query, keep_blank_values=True)
    reject_invalid((name, "must be given once.") for name in values if len(values[name]) > 1)
    given = checked({name: found[0] for name, found in values.items()}, _PAGE_FIELDS, "is not a query parameter here.")
    after = int(given["after"]) if "after" in given else None
    return AlertsPage(int(given.get("limit", PAGE_SIZE)), after, given.get("state"), given.get("rule"))


def read_acknowledgement(request: Request) -> None:
    """Raises :class:`~api.problems.ProblemResponse` if the body is neither missing nor an empty object."""
    checked(optional_object(request), {}, "is not a field of an acknowledgement.")


def read_silence(request: Request) -> SilenceRequest:
    """The end in the body of a request, as a time or in minutes from now. Raises
    :class:`~api.problems.ProblemResponse`."""
    body = read_json(request)
    if not isinstance(body, dict):
        raise invalid({"body": ["must be a JSON object."]})
    given = checked(body, _SILENCE_FIELDS, "is not a field of a silence.")
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


def _until_problem(value: Any) -> str | None:
    return None if isinstance(value, str) and moment_of_text(value) else NOT_A_MOMENT


def _state_problem(value: str) -> str | None:
    return None if value in list(Alert.State) else f"must be one of: {_STATES}."


def _rule_problem(value: str) -> str | None:
    return None if PRINTABLE.match(value) else NOT_PRINTABLE


_PAGE_FIELDS = {
    "limit": limit_problem,
    "after": row_id_problem("an alert"),
    "state": _state_problem,
    "rule": _rule_problem,
}
_SILENCE_FIELDS = {
    "until": _until_problem,
    "minutes": whole_number(1, _MAX_MINUTES),
    "reason": reason_problem,
}
