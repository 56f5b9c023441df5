"""Validates requests about single objects of the config file, and their preconditions."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from django.utils.http import parse_etags
from rest_framework.request import Request

from api.management.fields import PAGE_SIZE, checked_query, json_object, limit_problem, reject_lone_surrogates
from api.problems import NOT_FOUND, PRECONDITION_FAILED, ProblemResponse
from api.requests import invalid, read_json
from limits.configfile.objects import Kind
from limits.configfile.reading import path_of
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.validation import ValidationProblem

_ETAG_LENGTH = 32


@dataclass(frozen=True, slots=True)
class ObjectsPage:
    """A page of objects: at most ``limit``, after the one that ``after`` identifies (empty: from the beginning), with
    these values of ``filters``, by the names of the query."""

    limit: int
    after: str
    filters: Mapping[str, str]


def parse_objects_page(kind: Kind, query: str) -> ObjectsPage:
    """The query of a list. Raises :class:`~api.problems.ProblemResponse`."""
    checks = {"limit": limit_problem, "after": kind.key_problem, **dict.fromkeys(kind.filters, key_problem)}
    given = checked_query(query, checks)
    limit, after = int(given.pop("limit", PAGE_SIZE)), given.pop("after", "")
    return ObjectsPage(limit, after, given)


def require_possible(kind: Kind, key: str) -> str:
    """The name or id in a URL. Raises :class:`~api.problems.ProblemResponse` (404) if nothing can have it."""
    if message := kind.key_problem(key):
        raise ProblemResponse(NOT_FOUND, f"This cannot identify any {kind.name}: it {message}")
    return key


def read_item(request: Request, kind: Kind, key: str | None) -> dict[str, Any]:
    """The object in the body of a request, for the address with this ``key`` (None: a new one). Raises
    :class:`~api.problems.ProblemResponse` for another name or id than that of the address."""
    body = json_object(read_json(request))
    reject_lone_surrogates(body)
    if key is not None and body.get(kind.identity, key) != key:
        raise invalid({kind.identity: [f"cannot be changed; the address says “{key}”."]})
    if kind.identity == "id":
        return {name: value for name, value in body.items() if name != "id" or key is None}
    return {kind.identity: key} | body


def errors_of(kind: Kind, key: str, problems: list[ValidationProblem]) -> ProblemResponse:
    """The response to an invalid object, with the paths of its fields. What the object makes invalid elsewhere has its
    path in the config file."""
    errors: dict[str, list[str]] = {}
    for problem in problems:
        section, *rest = problem.location or ("",)
        is_here = section == kind.section and bool(rest) and rest[0] in (0, key)
        path = path_of(tuple(rest[1:])) if is_here else path_of(problem.location)
        errors.setdefault(path or "body", []).append(problem.message)
    return invalid(errors)


def etag_of(item: Mapping[str, Any]) -> str:
    """The strong entity tag (RFC 9110, section 8.8.3) of an object with these fields."""
    digest = hashlib.sha256(orjson.dumps(item, option=orjson.OPT_SORT_KEYS)).hexdigest()
    return f'"{digest[:_ETAG_LENGTH]}"'


def require_preconditions(request: Request, item: Mapping[str, Any] | None) -> None:
    """Checks ``If-Match`` and ``If-None-Match`` (RFC 9110, section 13.1) of a write against the present object (None:
    there is none). Raises :class:`~api.problems.ProblemResponse` (412)."""
    found = etag_of(item) if item is not None else ""
    expected = parse_etags(request.META.get("HTTP_IF_MATCH", ""))
    unexpected = parse_etags(request.META.get("HTTP_IF_NONE_MATCH", ""))
    if "HTTP_IF_MATCH" in request.META and not _matches(found, expected):
        is_now = f"The object has the ETag {found}." if found else "The object does not exist."
        raise ProblemResponse(PRECONDITION_FAILED, is_now)
    if _matches(found, unexpected):
        raise ProblemResponse(PRECONDITION_FAILED, f"The object exists, with the ETag {found}.")


def _matches(found: str, tags: list[str]) -> bool:
    return bool(found) and ("*" in tags or found in tags)
