"""A name for each request, so that its lines in the log are found, and those of other services with it.

It is the caller's ``X-Request-ID`` where that is a plain word, else one that is made up when it is
first needed: an admitted check writes no line and needs none.
"""

import re
import secrets
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from django.http import HttpRequest, HttpResponse

HEADER = "X-Request-ID"
_PLAIN = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_ATTRIBUTE = "_request_id"

_current: ContextVar[HttpRequest | None] = ContextVar("request", default=None)


class RequestIdMiddleware:
    """Knows which request this thread answers. An error of the server tells its caller the name."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        before = _current.set(request)
        try:
            response = self._get_response(request)
            if response.status_code >= 500:
                response[HEADER] = _id_of(request)
            return response
        finally:
            _current.reset(before)


def add_request_id(logger: object, method: str, event: dict[str, Any]) -> dict[str, Any]:
    """A structlog processor: ``request_id`` on every line that is written while a request is answered."""
    request = _current.get()
    if request is not None:
        event["request_id"] = _id_of(request)
    return event


def _id_of(request: HttpRequest) -> str:
    name: str | None = getattr(request, _ATTRIBUTE, None)
    if name is None:
        given = request.headers.get(HEADER, "")
        name = given if _PLAIN.fullmatch(given) else secrets.token_hex(8)
        setattr(request, _ATTRIBUTE, name)
    return name
