"""Single objects of the config file over HTTP: plans, endpoints, policies and alert rules for programs whose token has
the scope “rules”, overrides and blocks for those with “clients”.

The views of all kinds are the same; :data:`OBJECT_VIEWS` has them by the path of the kind.
"""

from typing import Any
from urllib.parse import quote, urlencode

from django.db import IntegrityError
from django.http import HttpResponse
from django.utils.http import parse_etags
from rest_framework.request import Request

from api.idempotency import name_of
from api.management import change_registry
from api.management import object_registry as registry
from api.management.base import ManagingView, handle_database_errors, reject_query
from api.management.fields import is_dry_run
from api.management.object_operations import (
    create_operation,
    delete_operation,
    list_operation,
    put_operation,
    read_operation,
)
from api.management.object_requests import (
    errors_of,
    etag_of,
    parse_objects_page,
    read_item,
    require_possible,
)
from api.problems import ALREADY_EXISTS, STILL_USED, ProblemResponse
from api.rendering import json_response
from api.views import ExceptionHandler
from limits.changes.writing import Written
from limits.configfile.numbered_objects import BLOCKS, OVERRIDES, AlreadyExists
from limits.configfile.objects import ALERT_RULES, ENDPOINTS, PLANS, POLICIES, Kind, StillUsed
from limits.configfile.reading import InvalidConfig
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.domain.validation import InvalidRuleset

_AWAITS = "Another person has to approve the change set in the admin. Nothing is changed until then."
_OVERTAKEN = "Another request changed what this object refers to at the same time. Send the request again."


class _ObjectsView(ManagingView):
    kind: Kind

    def get_exception_handler(self) -> ExceptionHandler:
        return _handle_object_errors


class ObjectListView(_ObjectsView):
    """``GET /v1/plans`` and the like: a page of objects."""

    def get(self, request: Request) -> HttpResponse:
        wanted = parse_objects_page(self.kind, request.META.get("QUERY_STRING", ""))
        rows = registry.page(self.kind, wanted)
        shown = rows[: wanted.limit]
        following = None
        if len(rows) > wanted.limit:
            query = {"limit": wanted.limit, "after": self.kind.key_of(shown[-1]), **wanted.filters}
            following = f"{request.path}?{urlencode(query, quote_via=quote)}"
        return json_response({self.kind.section: [registry.body(self.kind, row) for row in shown], "next": following})


class CreatingListView(ObjectListView):
    """``POST /v1/overrides`` and the like: creates an object that gets an id."""

    def post(self, request: Request) -> HttpResponse:
        dry_run = is_dry_run(request)
        key = name_of(request, self.kind.section, "")
        item = read_item(request, self.kind, None)
        return _answer(self.kind, registry.create(request, self.kind, item, key, dry_run=dry_run))


class ObjectView(_ObjectsView):
    """``GET``, ``PUT``, ``DELETE /v1/plans/SLUG`` and the like: one object."""

    def get(self, request: Request, key: str) -> HttpResponse:
        reject_query(request)
        found = registry.body(self.kind, registry.find(self.kind, require_possible(self.kind, key)))
        headers = {"ETag": etag_of(found)}
        if headers["ETag"] in parse_etags(request.META.get("HTTP_IF_NONE_MATCH", "")):
            return HttpResponse(status=304, headers=headers)
        return json_response(found, headers=headers)

    def put(self, request: Request, key: str) -> HttpResponse:
        dry_run = is_dry_run(request)
        item = read_item(request, self.kind, require_possible(self.kind, key))
        return _answer(self.kind, registry.put(request, self.kind, key, item, dry_run=dry_run))

    def delete(self, request: Request, key: str) -> HttpResponse:
        dry_run = is_dry_run(request)
        written = registry.delete(request, self.kind, require_possible(self.kind, key), dry_run=dry_run)
        return _answer(self.kind, written, has_etag=False)


def _answer(kind: Kind, written: Written, *, has_etag: bool = True) -> HttpResponse:
    """Status 202 if the change awaits approval, or was saved but goes live later."""
    saved: registry.Saved = written.value
    if written.differences is not None:
        return json_response({"dry_run": True, "differences": written.differences})
    if written.change is not None:
        waiting = {"live": False, "detail": _AWAITS, "change": change_registry.body(written.change)}
        return json_response(waiting, status=202)
    delivery = kind.deliver(saved.row)
    headers = {"ETag": etag_of(saved.item)} if has_etag else None
    if delivery.live:
        return json_response(saved.item | {"live": True}, status=201 if saved.is_new else 200, headers=headers)
    return json_response(saved.item | {"live": False, "detail": delivery.problem}, status=202, headers=headers)


def _handle_object_errors(error: Exception, context: dict[str, Any]) -> HttpResponse | None:
    kind: Kind = context["view"].kind
    match error:
        case InvalidRuleset() | InvalidConfig():
            return errors_of(kind, context["kwargs"].get("key", ""), list(error.problems)).response()
        case StillUsed():
            return ProblemResponse(STILL_USED, str(error), members={"references": error.references}).response()
        case AlreadyExists():
            return ProblemResponse(ALREADY_EXISTS, str(error), members={"id": error.key}).response()
        case IntegrityError():
            return ProblemResponse(STILL_USED, _OVERTAKEN, members={"references": []}).response()
    return handle_database_errors(error, context)


def _views(kind: Kind, scope: Scope) -> tuple[type[_ObjectsView], type[_ObjectsView]]:
    """The views of the list and of one object of a kind, each with a description of its own in the OpenAPI document."""
    fields: dict[str, Any] = {"kind": kind, "scope": scope}
    lists: dict[str, Any] = {"get": list_operation(kind)(_copy(ObjectListView.get))}
    base: type[ObjectListView] = ObjectListView
    if kind.identity == "id":
        base = CreatingListView
        lists["post"] = create_operation(kind)(_copy(CreatingListView.post))
    one = {
        "get": read_operation(kind)(_copy(ObjectView.get)),
        "put": put_operation(kind)(_copy(ObjectView.put)),
        "delete": delete_operation(kind)(_copy(ObjectView.delete)),
    }
    name = kind.name.title().replace(" ", "")
    return type(f"{name}ListView", (base,), fields | lists), type(f"{name}View", (ObjectView,), fields | one)


def _copy(method: Any) -> Any:
    """A function of its own: drf-spectacular stores the description of an operation in the function."""

    def handler(self: Any, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        response: HttpResponse = method(self, request, *args, **kwargs)
        return response

    handler.__doc__ = method.__doc__
    return handler


OBJECT_VIEWS = {
    "plans": _views(PLANS, Scope.RULES),
    "endpoints": _views(ENDPOINTS, Scope.RULES),
    "policies": _views(POLICIES, Scope.RULES),
    "alert-rules": _views(ALERT_RULES, Scope.RULES),
    "overrides": _views(OVERRIDES, Scope.CLIENTS),
    "blocks": _views(BLOCKS, Scope.CLIENTS),
}
"""Path below ``/v1/`` → the views of the list and of one object."""
