"""Validates requests about publications."""

from rest_framework.request import Request

from api.management.fields import PAGE_SIZE, checked_query, id_problem, limit_problem, read_reason_only


def parse_publications_page(query: str) -> tuple[int, int | None]:
    """``limit`` and ``after`` of the list of publications. Raises :class:`~api.problems.ProblemResponse`."""
    given = checked_query(query, _PAGE_FIELDS)
    return int(given.get("limit", PAGE_SIZE)), int(given["after"]) if "after" in given else None


def read_reason(request: Request) -> str:
    """The reason in the body of a request, which may be empty. Raises :class:`~api.problems.ProblemResponse`."""
    return read_reason_only(request, "is not a field of this request.")


_PAGE_FIELDS = {"limit": limit_problem, "after": id_problem("must be a version of the rules.")}
