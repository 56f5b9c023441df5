"""What all views have in common that change rows."""

from typing import Any

from django.db import InterfaceError, OperationalError
from django.http import HttpResponse
from rest_framework.request import Request

from api.authentication import BearerAuthentication, HasScope
from api.decisions import STORE_RETRY_AFTER
from api.errors import exception_response
from api.problems import DATABASE_UNAVAILABLE, ProblemResponse
from api.rendering import IgnoreAccept, JsonOnly
from api.requests import parse_query
from api.views import ApiView, ExceptionHandler
from ratelimit_enforcer.domain.enums import Scope


class ManagingView(ApiView):
    """A view for programs whose token has the ``scope``."""

    authentication_classes = (BearerAuthentication,)
    permission_classes = (HasScope,)
    content_negotiation_class: type[IgnoreAccept] = JsonOnly
    scope: Scope

    def get_exception_handler(self) -> ExceptionHandler:
        return handle_database_errors


def handle_database_errors(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    """An exception handler that also answers for an unavailable database."""
    if isinstance(error, InterfaceError | OperationalError):
        return ProblemResponse(
            DATABASE_UNAVAILABLE, "The database is unavailable.", headers=STORE_RETRY_AFTER
        ).response()
    return exception_response(error, context)


def reject_query(request: Request) -> None:
    """Raises :class:`~api.problems.ProblemResponse` if the URL has a query."""
    parse_query(request.META.get("QUERY_STRING", ""), {})
