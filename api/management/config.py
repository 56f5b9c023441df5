"""The whole config over HTTP, for programs whose token has the scope “rules”: the document of the config file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from tempfile import SpooledTemporaryFile
from typing import IO, Any

from django.db import connection, transaction
from django.http import FileResponse, HttpResponse
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from api.authentication import token_of
from api.management.base import ManagingView
from api.management.change_registry import actor_of
from api.management.config_operations import merge_operation, read_operation, replace_operation
from api.management.config_requests import (
    MEDIA_TYPES,
    JsonOrYaml,
    accepted_format,
    read_config,
    read_write,
    reject_config,
    wants_clients,
)
from api.management.config_versions import etag_of, is_fresh, precondition_of
from api.management.publishing import handle_publishing_errors, written_response
from api.views import ExceptionHandler
from limits.changes.writing import write_document
from limits.configfile.reading import InvalidConfig
from limits.configfile.versions import write_config
from limits.models import AlertRule, Client, Grant, Override
from ratelimit_enforcer.domain.enums import Scope

MAX_IN_MEMORY = 2 * 1024 * 1024
"""A larger config is written to a temporary file before it is sent."""

_UNPUBLISHED = (Client, Override, Grant, AlertRule)
"""What others may write without the lock of publications, in the order in which a config file is applied."""


class ConfigView(ManagingView):
    """``GET``, ``PUT``, ``PATCH /v1/config``: the whole config."""

    scope = Scope.RULES
    content_negotiation_class = JsonOrYaml

    def get_exception_handler(self) -> ExceptionHandler:
        return handle_publishing_errors

    @read_operation
    def get(self, request: Request) -> HttpResponseBase:
        form, clients = accepted_format(request), wants_clients(request)
        file = SpooledTemporaryFile(MAX_IN_MEMORY)  # noqa: SIM115 - closed with the response
        with _one_moment():
            version = write_config(file, form, clients=clients)
        headers = {"ETag": etag_of(version, form), "Vary": "Accept", "Cache-Control": "no-cache"}
        if is_fresh(request, headers["ETag"]):
            file.close()
            return HttpResponse(status=304, headers=headers)
        return _response(file, MEDIA_TYPES[form], headers)

    @replace_operation
    def put(self, request: Request) -> HttpResponse:
        return _written(request, prune=True)

    @merge_operation
    def patch(self, request: Request) -> HttpResponse:
        return _written(request, prune=False)


def _response(file: IO[bytes], media_type: str, headers: Mapping[str, str]) -> HttpResponseBase:
    """The content of a file. A large one is sent in parts, and closed afterwards."""
    size = file.tell()
    file.seek(0)
    if size > MAX_IN_MEMORY:
        return FileResponse(file, content_type=media_type, headers=headers)
    with file:
        return HttpResponse(file.read(), content_type=media_type, headers=headers)


@contextmanager
def _one_moment() -> Iterator[None]:
    """A transaction in which all queries see the same moment."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        yield


def _written(request: Request, *, prune: bool) -> HttpResponse:
    """Applies the document in the body. With a precondition, nobody else changes the config meanwhile."""
    wanted, precondition = read_write(request), precondition_of(request)
    document = read_config(request)
    options: dict[str, Any] = {"precondition": precondition, "tables": _UNPUBLISHED} if precondition else {}
    apply = partial(write_document, document, actor_of(token_of(request)), dry_run=wanted.dry_run, prune=prune)
    try:
        written = apply(wanted.reason or f"{request.method} /v1/config", **options)
    except InvalidConfig as error:
        reject_config(error)
    return written_response(written, dry_run=wanted.dry_run)
