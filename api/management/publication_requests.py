"""Validates requests about publications."""

from urllib.parse import parse_qs

from rest_framework.request import Request

from api.management.change_requests import read_reason_only
from api.management.requests import PAGE_SIZE, checked, limit_problem
from api.requests import parse_query, reject_invalid

MAX_VERSION = 2**63 - 1


def parse_publications_page(query: str) -> tuple[int, int | None]:
    """``limit`` and ``after`` of the list of publications. Raises :class:`~api.problems.ProblemResponse`."""
    values = parse_qs(query, keep_blank_values=True)
    reject_invalid((name, "must be given once.") for name in values if len(values[name]) > 1)
    given = checked({name: found[0] for name, found in values.items()}, _PAGE_FIELDS, "is not a query parameter here.")
    return int(given.get("limit", PAGE_SIZE)), int(given["after"]) if "after" in given else None


def is_dry_run(request: Request) -> bool:
    """Whether nothing is to be changed. Raises :class:`~api.problems.ProblemResponse`."""
    return "dry_run" in parse_query(request.META.get("QUERY_STRING", ""), {"dry_run": "1"})


def read_reason(request: Request) -> str:
    """The reason in the body of a request, which may be empty. Raises :class:`~api.problems.ProblemResponse`."""
    return read_reason_only(request, "is not a field of this request.")


def _after_problem(value: str) -> str | None:
    valid = value.isascii() and value.isdigit() and len(value) <= len(str(MAX_VERSION))
    return None if valid and 1 <= int(value) <= MAX_VERSION else "must be a version of the rules."


_PAGE_FIELDS = {"limit": limit_problem, "after": _after_problem}
