"""Exceptions and Django's own errors, as problem documents."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from rest_framework.exceptions import NotAcceptable

from api.decisions import STORE_RETRY_AFTER
from api.problems import (
    BAD_REQUEST,
    INTERNAL_ERROR,
    NOT_ACCEPTABLE,
    NOT_FOUND,
    RULESET_MISSING,
    STORE_UNAVAILABLE,
    Problem,
    problem_response,
)
from limits.enforcement import RulesetMissing, StoreDataError, StoreError

ADMIN = "/admin/"
"""Below it people read the errors, and Django's pages stay."""


def exception_response(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """The exception handler of every view of the API; None for what nobody expected."""
    problem = _as_problem(error, context)
    return problem.response() if problem else None


def _as_problem(error: Exception, context: dict[str, Any]) -> Problem | None:
    match error:
        case Problem():
            return error
        case NotAcceptable():
            return Problem(NOT_ACCEPTABLE, "The header “Accept” excludes every media type that there is.")
        case Http404():
            return _nothing_at(context["request"])
        case RulesetMissing():
            return Problem(RULESET_MISSING, str(error), headers=STORE_RETRY_AFTER)
        case StoreDataError():
            return Problem(STORE_UNAVAILABLE, str(error), headers=STORE_RETRY_AFTER)
        case StoreError():
            return Problem(STORE_UNAVAILABLE, "The store did not answer.", headers=STORE_RETRY_AFTER)
    return None


def _nothing_at(request: HttpRequest) -> Problem:
    return Problem(NOT_FOUND, f"There is nothing at {request.path}.")


@csrf_exempt
def unknown_address(request: HttpRequest, **kwargs: str) -> HttpResponse:
    """Answers below ``/v1/``, also where Django shows its own page for developers elsewhere."""
    return _nothing_at(request).response()


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler400`` of the project."""
    if request.path_info.startswith(ADMIN):
        return defaults.bad_request(request, exception)
    return problem_response(BAD_REQUEST, "The request was refused before it was read.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler404`` of the project."""
    if request.path_info.startswith(ADMIN):
        return defaults.page_not_found(request, exception)
    return _nothing_at(request).response()


def server_error(request: HttpRequest) -> HttpResponse:
    """``handler500`` of the project. Django has logged the exception."""
    if request.path_info.startswith(ADMIN):
        return defaults.server_error(request)
    return problem_response(INTERNAL_ERROR, "The server failed on this request and has logged why.")
