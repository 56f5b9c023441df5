"""Middleware of this project."""

from collections.abc import Callable

from csp.middleware import CSPMiddleware
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from api.body import MAX_BODY
from api.problems import BODY_TOO_LARGE, problem_response


class PagesCSPMiddleware(CSPMiddleware):
    """The content security policy, with pages only: an answer of the API needs none, and pays for none."""

    def process_request(self, request: HttpRequest) -> None:
        """No page here uses a nonce."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        is_page = response.get("Content-Type", "").startswith("text/html")
        return super().process_response(request, response) if is_page else response


class LargeBodiesMiddleware:
    """Has a large form read only for somebody who is logged in: the check of the CSRF token reads the whole body,
    and files in it go to the temporary folder. Comes after the sessions and before that check."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if int(request.META.get("CONTENT_LENGTH") or 0) > MAX_BODY and not self._may_send(request):
            return problem_response(BODY_TOO_LARGE, f"Log in before you send more than {MAX_BODY:,} bytes.")
        return self._get_response(request)

    def _may_send(self, request: HttpRequest) -> bool:
        """Below /v1/ the view itself reads the body, after the token."""
        return request.path_info.startswith("/v1/") or SESSION_KEY in request.session
