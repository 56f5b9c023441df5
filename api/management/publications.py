"""The published versions of the rules over HTTP, for programs whose token has the scope “rules”."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from api.authentication import token_of
from api.idempotency import name_of
from api.management import publication_registry as registry
from api.management.base import ManagingView, reject_query
from api.management.change_registry import actor_of, conflict_body
from api.management.fields import is_dry_run
from api.management.publication_operations import (
    list_operation,
    read_operation,
    restore_operation,
    revert_operation,
)
from api.management.publication_requests import parse_publications_page, read_reason
from api.management.publishing import handle_publishing_errors, written_response
from api.problems import NOTHING_TO_REVERT, PUBLICATION_CONFLICT, ProblemResponse
from api.rendering import json_response
from api.views import ExceptionHandler
from limits.changes.undo import NothingToUndo, UndoConflict
from ratelimit_enforcer.domain.enums import Scope


class _PublicationsView(ManagingView):
    scope = Scope.RULES

    def get_exception_handler(self) -> ExceptionHandler:
        return _handle_errors


class PublicationsView(_PublicationsView):
    """``GET /v1/publications``: a page of publications."""

    @list_operation
    def get(self, request: Request) -> HttpResponse:
        limit, after = parse_publications_page(request.META.get("QUERY_STRING", ""))
        rows = registry.page(limit, after)
        shown = rows[:limit]
        following = f"/v1/publications?limit={limit}&after={shown[-1].sequence}" if len(rows) > limit else None
        return json_response({"publications": list(map(registry.summary, shown)), "next": following})


class PublicationView(_PublicationsView):
    """``GET /v1/publications/VERSION``: one publication."""

    @read_operation
    def get(self, request: Request, version: int) -> HttpResponse:
        reject_query(request)
        return json_response(registry.summary(registry.find(version)))


class RestoreView(_PublicationsView):
    """``POST /v1/publications/VERSION/restore``: publishes the content of that version again."""

    @restore_operation
    def post(self, request: Request, version: int) -> HttpResponse:
        return _carried_out(request, "restore", version)


class RevertView(_PublicationsView):
    """``POST /v1/publications/VERSION/revert``: undoes only what that version changed."""

    @revert_operation
    def post(self, request: Request, version: int) -> HttpResponse:
        return _carried_out(request, "revert", version)


def _carried_out(request: Request, action: str, version: int) -> HttpResponse:
    dry_run, key = is_dry_run(request), name_of(request, "publication", "")
    wish = registry.Wish(action, version, read_reason(request), dry_run, key)
    return written_response(registry.carry_out(wish, actor_of(token_of(request))), dry_run=dry_run)


def _handle_errors(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    match error:
        case NothingToUndo():
            return ProblemResponse(NOTHING_TO_REVERT, str(error)).response()
        case UndoConflict():
            conflicts = list(map(conflict_body, error.conflicts))
            return ProblemResponse(PUBLICATION_CONFLICT, str(error), members={"conflicts": conflicts}).response()
    return handle_publishing_errors(error, context)
