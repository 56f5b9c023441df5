"""Content negotiation (RFC 9110, section 12) for an API with one representation."""

from collections.abc import Iterable, Iterator

from django.http.request import MediaType
from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

_RANGES = {"*/*": 0, "application/*": 1, "application/json": 2}
"""The media ranges that JSON falls into, and how specific they are."""

_PLAIN = frozenset({"", *_RANGES})


class AnyAccept(BaseContentNegotiation):
    """Whatever the caller accepts, it gets what there is."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class JsonOnly(AnyAccept):
    """Refuses a request that accepts no JSON, before anything is done for it."""

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        if not accepts_json(request.META.get("HTTP_ACCEPT", "")):
            raise NotAcceptable
        return super().select_renderer(request, renderers, format_suffix)


def accepts_json(accept: str) -> bool:
    """Whether this ``Accept`` header allows JSON: of the ranges that JSON falls into the most
    specific one decides, and with ``q=0`` it excludes. No header allows everything."""
    if accept in _PLAIN:
        return True
    try:
        _, quality = max(_json_ranges(accept), default=(0, 0.0))
    except ValueError:
        return False
    return quality > 0


def _json_ranges(accept: str) -> Iterator[tuple[int, float]]:
    """Yields (how specific, quality). Raises ``ValueError`` for parameters that cannot be read."""
    for part in accept.split(","):
        # Only what matters is parsed: a header can hold thousands of ranges.
        name = part.partition(";")[0].strip().lower()
        if name in _RANGES:
            yield _RANGES[name], MediaType(part).quality
