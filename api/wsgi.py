"""What Django does with a request before any view sees it, made safe against its caller."""

from collections.abc import Mapping
from typing import Any

from django.core.handlers.wsgi import WSGIRequest

MAX_NEGOTIATION = 1_000
"""Characters of a header whose parameters are read: any that means something has fewer."""


class TolerantRequest(WSGIRequest):
    """Django reads the parameters of ``Content-Type`` while it makes the request, outside of every
    error handler: a charset that is no text encoding (``charset=hex``), or that nobody knows
    (``charset*=x'en'y``), would be answered by the web server with an empty 500. Here such
    parameters do not count; the views look at the header themselves.

    The time to read parameters grows with their square (in the standard library's ``email``): a header
    that is longer than any that means something counts as one that was not sent.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        for name in ("CONTENT_TYPE", "HTTP_ACCEPT"):
            if len(environ.get(name, "")) > MAX_NEGOTIATION:
                del environ[name]
        super().__init__(environ)

    def _set_content_type_params(self, meta: Mapping[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]
        except (LookupError, ValueError):
            self._encoding = None
            self.content_type, self.content_params = "", {}
