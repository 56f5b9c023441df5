"""The one representation of the API: content negotiation (RFC 9110, section 12), and JSON responses."""

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson
from django.http import HttpResponse
from django.http.request import MediaType
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

JSON = "application/json"
MAX_SHOWN_NAME_LENGTH = 200
"""Maximum number of characters of a name from a caller that a response repeats."""


_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Rendered(NamedTuple):
    """A response that belongs to no web framework: for Django, and for the gateway, which writes it directly."""

    status: int
    headers: Mapping[str, str]
    content_type: str
    content: bytes

    def response(self) -> HttpResponse:
        """The response for Django."""
        return HttpResponse(
            self.content, status=self.status, headers=dict(self.headers), content_type=self.content_type
        )


def json_rendered(
    content: Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    content_type: str = JSON,
) -> Rendered:
    """A response with ``content`` as its JSON body."""
    return Rendered(status, headers or _NO_HEADERS, content_type, orjson.dumps(content))


def json_response(
    content: Mapping[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """A response for Django, with ``content`` as its JSON body."""
    return json_rendered(content, status=status, headers=headers).response()


def printable(name: str) -> str:
    """A name from a caller, safe to repeat in a response: lone surrogates are escaped, because UTF-8 cannot
    encode them, and names longer than any valid one are truncated."""
    if len(name) > MAX_SHOWN_NAME_LENGTH:
        name = f"{name[:MAX_SHOWN_NAME_LENGTH]}…"
    return name.encode("utf-8", "backslashreplace").decode()


_RANGES = {"*/*": 0, "application/*": 1, "application/json": 2}
"""The media ranges that match JSON → how specific they are."""

_ACCEPTS_JSON = frozenset({"", *_RANGES})


class IgnoreAccept(BaseContentNegotiation):
    """Selects the only representation, regardless of the header ``Accept``."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class JsonOnly(IgnoreAccept):
    """Rejects a request that does not accept JSON before anything else is done."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        if not accepts_json(request.META.get("HTTP_ACCEPT", "")):
            raise NotAcceptable
        return super().select_renderer(request, renderers, format_suffix)


def accepts_json(accept: str) -> bool:
    """Whether this ``Accept`` header allows JSON: the most specific range that matches JSON decides, and
    ``q=0`` excludes it. An empty or missing header allows everything."""
    if accept in _ACCEPTS_JSON:
        return True
    try:
        _, quality = max(_json_ranges(accept), default=(0, 0.0))
    except ValueError:
        return False
    return quality > 0


def _json_ranges(accept: str) -> Iterator[tuple[int, float]]:
    """Yields (specificity, quality). Raises ``ValueError`` for parameters that cannot be parsed."""
    for part in accept.split(","):
        # Only matching ranges are parsed: a header can contain thousands.
        name = part.partition(";")[0].strip().lower()
        if name in _RANGES:
            yield _RANGES[name], MediaType(part).quality
