"""Middleware of this project."""

from csp.middleware import CSPMiddleware
from django.http import HttpRequest
from django.http.response import HttpResponseBase


class PagesCSPMiddleware(CSPMiddleware):
    """The content security policy, with pages only: an answer of the API needs none, and pays for none."""

    def process_request(self, request: HttpRequest) -> None:
        """No page here uses a nonce."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_page = response.get("Content-Type", "").startswith("text/html")
        return super().process_response(request, response) if is_page else response
