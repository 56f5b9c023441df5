"""What Django does with a request before any view sees it, made safe against its caller."""

from collections.abc import Mapping
from typing import Any

from django.core.handlers.wsgi import WSGIRequest


class TolerantRequest(WSGIRequest):
    """Django reads the parameters of ``Content-Type`` while it makes the request, outside of every
    error handler: a charset that is no text encoding (``charset=hex``), or that nobody knows
    (``charset*=x'en'y``), would be answered by the web server with an empty 500. Here such
    parameters do not count; the views look at the header themselves."""

    def _set_content_type_params(self, meta: Mapping[str, Any]) -> None:
        try:
            super()._set_content_type_params(meta)  # type: ignore[misc]
        except (LookupError, ValueError):
            self._encoding = None
            self.content_type, self.content_params = "", {}
