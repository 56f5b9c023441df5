"""Grants over HTTP, for programs whose token has the scope “clients”."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from urllib.parse import quote, urlencode

from django.db import transaction
from django.http import HttpResponse
from rest_framework.request import Request

from api.authentication import token_of
from api.idempotency import name_of
from api.management import grant_registry as registry
from api.management.base import ManagingView, reject_query
from api.management.change_registry import actor_of
from api.management.grant_operations import (
    create_operation,
    delete_operation,
    list_operation,
    put_operation,
    read_operation,
)
from api.management.grant_requests import parse_grants_page, read_grant, read_grant_change
from api.rendering import json_response
from limits.changes.lifecycle import Actor
from limits.models import Grant
from limits.models.history import change_reason, written_by
from limits.publishing import clients
from limits.publishing.grants import end
from limits.publishing.rules import Delivery
from ratelimit_enforcer.domain.enums import Scope


class _GrantsView(ManagingView):
    scope = Scope.CLIENTS


class GrantsView(_GrantsView):
    """``GET``, ``POST /v1/grants``: a page of grants, and a new one."""

    @list_operation
    def get(self, request: Request) -> HttpResponse:
        wanted = parse_grants_page(request.META.get("QUERY_STRING", ""))
        rows = registry.page(wanted)
        shown = rows[: wanted.limit]
        following = None
        if len(rows) > wanted.limit:
            query = asdict(replace(wanted, after=shown[-1].pk))
            given = {name: value for name, value in query.items() if value is not None}
            following = f"/v1/grants?{urlencode(given, quote_via=quote)}"
        return json_response({"grants": [registry.body(row) for row in shown], "next": following})

    @create_operation
    def post(self, request: Request) -> HttpResponse:
        reject_query(request)
        key = name_of(request, "grant", "")
        wanted = read_grant(request)
        with _acting(request) as actor:
            row = registry.create(wanted, actor.name, key)
        return _answer(row, clients.deliver([row.client.key]), 201)


class GrantView(_GrantsView):
    """``GET``, ``PUT``, ``DELETE /v1/grants/ID``: one grant."""

    @read_operation
    def get(self, request: Request, grant: int) -> HttpResponse:
        reject_query(request)
        return json_response(registry.body(registry.find(grant)))

    @put_operation
    def put(self, request: Request, grant: int) -> HttpResponse:
        reject_query(request)
        wanted = read_grant_change(request)
        with _acting(request), transaction.atomic():
            row = registry.change(grant, wanted)
        return _answer(registry.find(row.pk), clients.deliver([row.client.key]), 200)

    @delete_operation
    def delete(self, request: Request, grant: int) -> HttpResponse:
        reject_query(request)
        row = registry.find(grant)
        with _acting(request):
            is_kept = end(row)
        delivery = clients.deliver([row.client.key])
        if is_kept or not delivery.live:
            return _answer(row, delivery, 200)
        return HttpResponse(status=204)


@contextmanager
def _acting(request: Request) -> Iterator[Actor]:
    """The history names the token, and as the author the person who created it."""
    actor = actor_of(token_of(request))
    with written_by(actor.user), change_reason(f"Over HTTP, {actor.name}."):
        yield actor


def _answer(row: Grant, delivery: Delivery, status: int) -> HttpResponse:
    """Status 202 if the change was saved but goes live later."""
    body = registry.body(row) | {"live": delivery.live}
    if delivery.live:
        return json_response(body, status=status)
    return json_response(body | {"detail": delivery.problem}, status=202)
