"""Change sets over HTTP, for programs whose token has the scope “rules”. They are approved in the admin only."""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any
from urllib.parse import urlencode

from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from rest_framework.request import Request

from api.authentication import token_of
from api.idempotency import name_of
from api.management import change_registry as registry
from api.management.base import ManagingView, handle_database_errors, reject_query
from api.management.change_operations import (
    create_operation,
    list_operation,
    publish_operation,
    read_operation,
    schedule_operation,
    simulate_operation,
    withdraw_operation,
)
from api.management.change_requests import (
    parse_changes_page,
    read_draft,
    read_publish,
    read_schedule,
    read_simulation,
    read_withdrawal,
    reject_config,
)
from api.problems import CHANGE_CONFLICT, CHANGE_NOT_POSSIBLE, ProblemResponse
from api.rendering import json_response
from api.requests import invalid
from api.views import ExceptionHandler
from limits.changes import publication
from limits.changes.due import apply_pending
from limits.changes.lifecycle import Actor, ChangeConflict, NotAllowedNow, discard, submit
from limits.configfile.reading import InvalidConfig, path_of
from limits.models import ChangeSet
from limits.publishing.reconciler import go_live
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.domain.validation import InvalidRuleset

_AWAITS = "Another person has to approve this change set in the admin. Then send the request again."
_SIMULATING = "A worker simulates the change set. Read it again for the result."
_OVERTAKEN = "Another request changed a change set at the same time. Send the request again."
_NOTHING_WAITS = {"live": True}


class _ChangesView(ManagingView):
    scope = Scope.RULES
    field_of_all = "name"
    """The field of the request that errors about the change set as a whole are reported at."""

    def get_exception_handler(self) -> ExceptionHandler:
        return _handle_change_errors


class ChangesView(_ChangesView):
    """``GET``, ``POST /v1/changes``: a page of change sets, and a new one."""

    @list_operation
    def get(self, request: Request) -> HttpResponse:
        wanted = parse_changes_page(request.META.get("QUERY_STRING", ""))
        rows = registry.page(wanted)
        shown = rows[: wanted.limit]
        following = None
        if len(rows) > wanted.limit:
            query = asdict(replace(wanted, after=shown[-1].pk))
            following = f"/v1/changes?{urlencode({name: value for name, value in query.items() if value is not None})}"
        return json_response({"changes": [registry.summary(row) for row in shown], "next": following})

    @create_operation
    def post(self, request: Request) -> HttpResponse:
        reject_query(request)
        key = name_of(request, "change", "")
        wanted = read_draft(request)
        try:
            row = registry.create(wanted, registry.actor_of(token_of(request)), key)
        except InvalidConfig as error:
            reject_config(error.problems)
            raise
        return json_response(registry.body(row) | _NOTHING_WAITS, status=201)


class ChangeView(_ChangesView):
    """``GET /v1/changes/ID``: one change set."""

    @read_operation
    def get(self, request: Request, change: int) -> HttpResponse:
        reject_query(request)
        return json_response(registry.body(registry.find(change)))


class ChangeSimulateView(_ChangesView):
    """``POST /v1/changes/ID/simulate``: simulates a change set over recorded usage, in a worker."""

    @simulate_operation
    def post(self, request: Request, change: int) -> HttpResponse:
        reject_query(request)
        wanted = read_simulation(request)
        with transaction.atomic():
            row = registry.find(change, locked=True)
            registry.simulate(row, registry.actor_of(token_of(request)), wanted)
        return json_response(registry.body(row) | {"live": False, "detail": _SIMULATING}, status=202)


class ChangeScheduleView(_ChangesView):
    """``POST /v1/changes/ID/schedule``: publishes a change set at a time."""

    @schedule_operation
    def post(self, request: Request, change: int) -> HttpResponse:
        reject_query(request)
        wanted = read_schedule(request)
        return _published(request, change, lambda row, actor: publication.schedule(row, actor, wanted.at, wanted.until))


class ChangePublishView(_ChangesView):
    """``POST /v1/changes/ID/publish``: publishes a change set for all clients, or tries it on some."""

    field_of_all = "share"

    @publish_operation
    def post(self, request: Request, change: int) -> HttpResponse:
        reject_query(request)
        wanted = read_publish(request)

        def act(row: ChangeSet, actor: Actor) -> Any:
            if wanted.share is None and wanted.tag is None:
                return publication.publish(row, actor)
            return publication.try_on(row, actor, percent=wanted.share, tag=wanted.tag or "")

        return _published(request, change, act)


class ChangeWithdrawView(_ChangesView):
    """``POST /v1/changes/ID/withdraw``: ends a schedule, a trial, or a draft."""

    @withdraw_operation
    def post(self, request: Request, change: int) -> HttpResponse:
        reject_query(request)
        reason = read_withdrawal(request)
        apply_pending()
        with transaction.atomic():
            row, actor = registry.find(change, locked=True), registry.actor_of(token_of(request))
            if row.state in ChangeSet.EDITABLE:
                discard(row)
                return json_response(registry.body(row) | _NOTHING_WAITS)
            publication.withdraw(row, actor, reason)
        return _delivered(row)


def _published(request: Request, change: int, act: Callable[[ChangeSet, Actor], Any]) -> HttpResponse:
    """Carries out ``act``; a change set that needs an approval awaits it instead (202)."""
    apply_pending()
    with transaction.atomic():
        row, actor = registry.find(change, locked=True), registry.actor_of(token_of(request))
        if _awaits_approval(row, actor):
            return json_response(registry.body(row) | {"live": False, "detail": _AWAITS}, status=202)
        act(row, actor)
    return _delivered(row)


def _awaits_approval(row: ChangeSet, actor: Actor) -> bool:
    """Whether the change set has to be approved first; a draft is submitted for that."""
    if actor.needs_approval and row.edits and row.state in (ChangeSet.State.DRAFT, ChangeSet.State.AWAITING):
        if row.state == ChangeSet.State.DRAFT:
            submit(row)
        return True
    return False


def _delivered(row: ChangeSet) -> HttpResponse:
    """Status 202 if the change was saved but goes live later."""
    delivery = go_live()
    if delivery.live:
        return json_response(registry.body(row) | {"live": True})
    return json_response(registry.body(row) | {"live": False, "detail": delivery.problem}, status=202)


_FIELDS = {"publish_at": "at", "revert_at": "until", "percent": "share"}
"""Columns of a change set → the fields of the requests in which they are set."""


def _handle_change_errors(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    match error:
        case NotAllowedNow():
            return ProblemResponse(CHANGE_NOT_POSSIBLE, str(error)).response()
        case ChangeConflict():
            conflicts = list(map(registry.conflict_body, error.conflicts))
            return ProblemResponse(CHANGE_CONFLICT, str(error), members={"conflicts": conflicts}).response()
        case InvalidRuleset() | InvalidConfig():
            errors: dict[str, list[str]] = {}
            for problem in error.problems:
                errors.setdefault(path_of(problem.location), []).append(problem.message)
            return ProblemResponse(CHANGE_CONFLICT, "The rules would be invalid.", errors=errors).response()
        case ValidationError():
            fields = {**_FIELDS, NON_FIELD_ERRORS: context["view"].field_of_all}
            return invalid({fields.get(name, name): found for name, found in error.message_dict.items()}).response()
        case IntegrityError():
            return ProblemResponse(CHANGE_NOT_POSSIBLE, _OVERTAKEN).response()
    return handle_database_errors(error, context)
