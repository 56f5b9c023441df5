"""Validates requests about grants, field by field."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

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
    reason_problem,
)
from api.requests import invalid, read_json, whole_number
from limits.domain.rule_items import moment_of_text
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.grants import MAX_AMOUNT, MAX_PRIORITY
from ratelimit_enforcer.domain.validation import slug_problem

_FIXED = ("client", "policy", "from")


@dataclass(frozen=True, slots=True)
class GrantFields:
    """The fields of a grant. ``identity``: those that cannot be changed, as they were sent: client, policy and from.
    ``body``: the request as it was sent."""

    identity: dict[str, Any]
    amount: int
    until: datetime
    priority: int
    reason: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class GrantsPage:
    """A page of grants: at most ``limit``, with higher ids than ``after``, of one client, on one policy (None: all)."""

    limit: int = PAGE_SIZE
    after: int = 0
    client: str | None = None
    policy: str | None = None


def read_grant(request: Request) -> GrantFields:
    """The new grant in the body of a request. Raises :class:`~api.problems.ProblemResponse`, which lists every invalid
    field."""
    return _read(request, {"client": None, "policy": None})


def read_grant_change(request: Request) -> GrantFields:
    """The fields of a grant that is changed: those that cannot be changed may be missing."""
    return _read(request, {})


def _read(request: Request, required: dict[str, Any]) -> GrantFields:
    body = json_object(read_json(request))
    given = checked({**required, "amount": None, "until": None} | body, _FIELDS, "is not a field of a grant.")
    until = moment_of_text(given["until"])
    if until is None:
        raise invalid({"until": [NOT_A_MOMENT]})
    identity = {name: given[name] for name in _FIXED if name in given}
    return GrantFields(identity, given["amount"], until, given.get("priority", 0), given.get("reason", ""), body)


def parse_grants_page(query: str) -> GrantsPage:
    """The query of the list of grants. Raises :class:`~api.problems.ProblemResponse`."""
    given = checked_query(query, _PAGE_FIELDS)
    numbers = {"limit": int(given.get("limit", PAGE_SIZE)), "after": int(given.get("after", 0))}
    return GrantsPage(**given | numbers)


def _client_problem(value: Any) -> str | None:
    return key_problem(value) if isinstance(value, str) else "is required: the key of a registered client."


def _policy_problem(value: Any) -> str | None:
    return slug_problem(value) if isinstance(value, str) else "is required: the slug of a policy."


_FIELDS = {
    "client": _client_problem,
    "policy": _policy_problem,
    "amount": whole_number(1, MAX_AMOUNT),
    "from": moment_problem,
    "until": moment_problem,
    "priority": whole_number(0, MAX_PRIORITY),
    "reason": reason_problem,
}
_PAGE_FIELDS = {
    "limit": limit_problem,
    "after": id_problem("must be the id of a grant."),
    "client": key_problem,
    "policy": slug_problem,
}
