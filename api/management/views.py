"""Clients over HTTP, for programs whose token has the scope “clients”."""

from dataclasses import asdict
from typing import Any
from urllib.parse import quote, urlencode

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from api.authentication import token_of
from api.management import registry
from api.management.base import ManagingView, reject_query
from api.management.operations import (
    change_operation,
    list_operation,
    put_operation,
    read_operation,
    remove_operation,
    reset_operation,
)
from api.management.requests import PageRequest, parse_client, parse_page, parse_reset, require_key
from api.rendering import json_response
from api.requests import read_json
from limits.models import Client
from limits.publishing.clients import reset_counters
from limits.publishing.rules import Delivery
from ratelimit_enforcer.domain.enums import Scope


class _ClientView(ManagingView):
    scope = Scope.CLIENTS


class ClientsView(_ClientView):
    """``GET /v1/clients``: a page of registered clients."""

    @list_operation
    def get(self, request: Request) -> HttpResponse:
        query = parse_page(request.META.get("QUERY_STRING", ""))
        rows = registry.page(query)
        shown = rows[: query.limit]
        following = _next_page_url(query, shown[-1].key) if len(rows) > query.limit else None
        return json_response({"clients": [_body(row) for row in shown], "next": following})


class ClientView(_ClientView):
    """``GET``, ``PUT``, ``PATCH``, ``DELETE /v1/clients/KEY``: one registered client."""

    @read_operation
    def get(self, request: Request, key: str) -> HttpResponse:
        reject_query(request)
        return json_response(_body(registry.find(require_key(key))))

    @put_operation
    def put(self, request: Request, key: str) -> HttpResponse:
        reject_query(request)
        fields = parse_client(read_json(request))
        row, created, delivery = registry.put(require_key(key), fields)
        return _changed(row, delivery, 201 if created else 200)

    @change_operation
    def patch(self, request: Request, key: str) -> HttpResponse:
        reject_query(request)
        fields = parse_client(read_json(request))
        row, delivery = registry.patch(require_key(key), fields)
        return _changed(row, delivery, 200)

    @remove_operation
    def delete(self, request: Request, key: str) -> HttpResponse:
        reject_query(request)
        delivery = registry.delete(require_key(key))
        if delivery.live:
            return HttpResponse(status=204)
        return json_response({"key": key, "live": False, "detail": delivery.problem}, status=202)


class ResetView(_ClientView):
    """``POST /v1/clients/KEY/reset``: resets the counters of a client."""

    def dispatch(self, request: HttpRequest, key: str) -> HttpResponseBase:
        """With any other method, the URL refers to a client whose key ends in “/reset”."""
        if request.method == "POST":
            return super().dispatch(request, key=key)
        return ClientView.as_view()(request, key=f"{key}/reset")

    @reset_operation
    def post(self, request: Request, key: str) -> HttpResponse:
        reject_query(request)
        reason = parse_reset(read_json(request))
        done = reset_counters(require_key(key), reason=reason, author=f"token {token_of(request).name()}")
        return json_response({"client": done.client_key, "reason": done.reason})


def _body(row: Client) -> dict[str, Any]:
    plan = row.plan.slug if row.plan else None
    parent = row.parent.key if row.parent else None
    return {
        "key": row.key,
        "name": row.name,
        "plan": plan,
        "status": row.status,
        "tags": row.tags,
        "parent": parent,
    }


def _changed(row: Client, delivery: Delivery, status: int) -> HttpResponse:
    """Status 202 if the change was saved but goes live later."""
    body = {**_body(row), "live": delivery.live}
    if delivery.live:
        return json_response(body, status=status)
    return json_response(body | {"detail": delivery.problem}, status=202)


def _next_page_url(query: PageRequest, last: str) -> str:
    fields = asdict(query) | {"after": last}
    given = {name: value for name, value in fields.items() if value is not None}
    return f"/v1/clients?{urlencode(given, doseq=True, quote_via=quote)}"
