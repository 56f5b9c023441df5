"""Validates requests about change sets, field by field."""

from collections.abc import Iterable
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
    optional_object,
    read_reason_only,
    reason_problem,
    reject_lone_surrogates,
    text_problem,
)
from api.requests import MAX_CONFIG_BYTES, invalid, read_json, reject_invalid, whole_number
from limits.configfile.document import Document, document_of
from limits.configfile.reading import InvalidConfig, path_of
from limits.domain.rule_items import moment_of_text
from limits.models import ChangeSet
from ratelimit_enforcer.domain.validation import ValidationProblem, slug_problem

MAX_NAME_LENGTH = 100
_STATES = ", ".join(ChangeSet.State)


@dataclass(frozen=True, slots=True)
class DraftRequest:
    """A change set to be created. ``body``: the request as it was sent."""

    name: str
    reason: str
    document: Document
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ScheduleRequest:
    """When a change set begins, and when it is undone (None: never)."""

    at: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """The recorded usage over which a change set is simulated, in whole minutes."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PublishRequest:
    """Whom a change set is published for: a share of the clients in percent, those with a tag, or all clients."""

    share: int | None = None
    tag: str | None = None


@dataclass(frozen=True, slots=True)
class ChangesPage:
    """A page of change sets: at most ``limit``, older than the one with the id ``after``, in one ``state`` (None: in
    all)."""

    limit: int = PAGE_SIZE
    after: int | None = None
    state: str | None = None


def read_draft(request: Request) -> DraftRequest:
    """The change set in the body of a request. Raises :class:`~api.problems.ProblemResponse`, which lists every invalid
    field, also within the config file."""
    body = json_object(read_json(request, MAX_CONFIG_BYTES))
    reject_lone_surrogates(body)
    given = checked({"name": None, "config": None} | body, _DRAFT_FIELDS, "is not a field of a change set.")
    try:
        document = document_of(given["config"])
    except InvalidConfig as error:
        reject_config(error.problems)
        raise
    return DraftRequest(given["name"], given.get("reason", ""), document, body)


def read_schedule(request: Request) -> ScheduleRequest:
    """The dates in the body of a request. Raises :class:`~api.problems.ProblemResponse`."""
    given = checked({"at": None} | json_object(read_json(request)), _SCHEDULE_FIELDS, "is not a field of a schedule.")
    at, until = moment_of_text(given["at"]), moment_of_text(given.get("until"))
    if at is None:
        raise invalid({"at": [NOT_A_MOMENT]})
    return ScheduleRequest(at, until)


def read_simulation(request: Request) -> SimulationRequest:
    """The time to simulate, in the body of a request, rounded down to minutes. Raises
    :class:`~api.problems.ProblemResponse`."""
    fields = {"from": None, "to": None} | json_object(read_json(request))
    given = checked(fields, _SIMULATION_FIELDS, "is not a field of a simulation.")
    begin, end = (_minute(given[name]) for name in ("from", "to"))
    if end <= begin:
        raise invalid({"to": ["must be at least one minute after “from”."]})
    return SimulationRequest(begin, end)


def _minute(text: str) -> datetime:
    """The minute of a text that was checked before."""
    found = moment_of_text(text)
    if found is None:
        raise ValueError(text)
    return found.replace(second=0, microsecond=0)


def read_publish(request: Request) -> PublishRequest:
    """Whom to publish for, in the body of a request, which may be empty. Raises
    :class:`~api.problems.ProblemResponse`."""
    given = checked(optional_object(request), _PUBLISH_FIELDS, "is not a field of a publication.")
    if len(given) == len(_PUBLISH_FIELDS):
        raise invalid({"tag": ["cannot be combined with “share”."]})
    return PublishRequest(**given)


def read_withdrawal(request: Request) -> str:
    """The reason in the body of a request, which may be empty. Raises :class:`~api.problems.ProblemResponse`."""
    return read_reason_only(request, "is not a field of a withdrawal.")


def parse_changes_page(query: str) -> ChangesPage:
    """The query of the list of change sets. Raises :class:`~api.problems.ProblemResponse`."""
    given = checked_query(query, _PAGE_FIELDS)
    after = int(given["after"]) if "after" in given else None
    return ChangesPage(int(given.get("limit", PAGE_SIZE)), after, given.get("state"))


def reject_config(problems: Iterable[ValidationProblem]) -> None:
    """Raises :class:`~api.problems.ProblemResponse` with the places of these problems in the body, if there are any."""
    reject_invalid((_place(problem), problem.message) for problem in problems)


def _place(problem: ValidationProblem) -> str:
    path = path_of(problem.location)
    return f"config.{path}" if path and not path.startswith("[") else f"config{path}"


def _name_problem(value: Any) -> str | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return "is required: the name of the change set."
    return text_problem(value, MAX_NAME_LENGTH)


def _config_problem(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object with sections of the config file."


def _until_problem(value: Any) -> str | None:
    return None if value is None else moment_problem(value)


def _tag_problem(value: Any) -> str | None:
    return slug_problem(value) if isinstance(value, str) else "must be a tag of clients."


def _state_problem(value: str) -> str | None:
    return None if value in list(ChangeSet.State) else f"must be one of: {_STATES}."


_DRAFT_FIELDS = {"name": _name_problem, "reason": reason_problem, "config": _config_problem}
_SCHEDULE_FIELDS = {"at": moment_problem, "until": _until_problem}
_SIMULATION_FIELDS = {"from": moment_problem, "to": moment_problem}
_PUBLISH_FIELDS = {"share": whole_number(1, 99), "tag": _tag_problem}
_PAGE_FIELDS = {"limit": limit_problem, "after": id_problem("must be the id of a change set."), "state": _state_problem}
