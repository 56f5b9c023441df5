"""Turns exceptions, and Django's own errors, into problem documents."""

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
    ProblemResponse,
    problem_response,
)
from ratelimit_enforcer.engine import RulesetMissing, StoreDataError, StoreError

ADMIN_PATH = "/admin/"
"""Below this path, people read the errors, so Django's HTML pages are used."""


def exception_response(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """The exception handler of every view of the API; None for an unexpected exception."""
    problem = _as_problem(error, context)
    return problem.response() if problem else None


def _as_problem(error: Exception, context: dict[str, Any]) -> ProblemResponse | None:
    match error:
        case ProblemResponse():
            return error
        case NotAcceptable():
            return ProblemResponse(NOT_ACCEPTABLE, "The header “Accept” excludes every available media type.")
        case Http404():
            return _not_found_problem(context["request"])
        case RulesetMissing():
            return ProblemResponse(RULESET_MISSING, str(error), headers=STORE_RETRY_AFTER)
        case StoreDataError():
            return ProblemResponse(STORE_UNAVAILABLE, str(error), headers=STORE_RETRY_AFTER)
        case StoreError():
            return ProblemResponse(STORE_UNAVAILABLE, "The store is unavailable.", headers=STORE_RETRY_AFTER)
    return None


def _not_found_problem(request: HttpRequest) -> ProblemResponse:
    return ProblemResponse(NOT_FOUND, f"There is nothing at {request.path}.")


@csrf_exempt
def unknown_address(request: HttpRequest, **kwargs: str) -> HttpResponse:
    """404 below ``/v1/``, also in debug mode, where Django would show its own page for developers."""
    return _not_found_problem(request).response()


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The project's ``handler400``: a problem document for callers of the API."""
    if request.path_info.startswith(ADMIN_PATH):
        return defaults.bad_request(request, exception)
    return problem_response(BAD_REQUEST, "The request was rejected before it reached the API.")


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """The project's ``handler404``: a problem document for callers of the API."""
    if request.path_info.startswith(ADMIN_PATH):
        return defaults.page_not_found(request, exception)
    return _not_found_problem(request).response()


def server_error(request: HttpRequest) -> HttpResponse:
    """The project's ``handler500``. Django has logged the exception."""
    if request.path_info.startswith(ADMIN_PATH):
        return defaults.server_error(request)
    return problem_response(INTERNAL_ERROR, "The server failed to handle this request and has logged the details.")
