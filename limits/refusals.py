"""The responses of plain Django views where a request may not go on: problem documents (RFC 9457)."""

from http import HTTPStatus
from math import ceil
from typing import Any

from django.http import HttpResponse, JsonResponse

from limits.domain.quota_problem import QUOTA_EXCEEDED_TITLE, QUOTA_EXCEEDED_TYPE, violated_policies
from limits.protection import FORBIDDEN, TOO_MANY_REQUESTS, Verdict

PROBLEM_JSON = "application/problem+json"


def refusal(verdict: Verdict) -> HttpResponse:
    """403, 429 or 503, with ``Retry-After`` where waiting helps."""
    response = JsonResponse(_problem(verdict), status=verdict.status, content_type=PROBLEM_JSON)
    if verdict.retry_after is not None:
        response["Retry-After"] = str(ceil(verdict.retry_after))
    # Django logs a line for every 4xx that does not carry this mark; a flood of requests would
    # become a flood of lines.
    response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _problem(verdict: Verdict) -> dict[str, Any]:
    if verdict.status == TOO_MANY_REQUESTS and verdict.decision:
        names = violated_policies(verdict.decision)
        kind = {"type": QUOTA_EXCEEDED_TYPE, "title": QUOTA_EXCEEDED_TITLE, "violated-policies": names}
        detail = f"Denied by {', '.join(names)}."
    else:
        kind = {"type": "about:blank", "title": HTTPStatus(verdict.status).phrase}
        detail = "This client is blocked." if verdict.status == FORBIDDEN else _UNDECIDED
    return kind | {"status": verdict.status, "detail": detail}


_UNDECIDED = "The rate limit of this request could not be decided. Try again."
