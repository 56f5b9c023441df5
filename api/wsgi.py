"""Hardens the parsing of requests that Django does before any view runs."""

from collections.abc import Mapping
from typing import Any

from django.core.handlers.wsgi import WSGIRequest

MAX_HEADER_LENGTH = 1_000
"""Maximum length of a header whose parameters are parsed, in characters; every meaningful header is shorter."""


class TolerantRequest(WSGIRequest):
    """Django parses the parameters of ``Content-Type`` while it creates the request, outside every error
    handler. A charset that is not a text encoding (``charset=hex``) or is unknown (``charset*=x'en'y``)
    would make the web server answer with an empty 500. This class ignores such parameters; the views
    read the header themselves.

    The time to parse parameters grows with the square of their length (in the standard library's
    ``email``): a header that is longer than any meaningful one is treated as if it had not been sent.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        for name in ("CONTENT_TYPE", "HTTP_ACCEPT"):
            if len(environ.get(name, "")) > MAX_HEADER_LENGTH:
                del environ[name]
        super().__init__(environ)

    def _set_content_type_params(self, meta: Mapping[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]
        except (LookupError, ValueError):
            self._encoding = None
            self.content_type, self.content_params = "", {}
