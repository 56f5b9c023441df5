"""Asks the provider again and again whether a user may still be here."""

import time
from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode

_PAGES = "/admin/"
_OWN = ("/admin/sign-in/", "/admin/logout/", "/admin/login/")


class RecheckMiddleware:
    """Sends a page load by way of the provider, without any question to the user, if the provider confirmed the
    session more than ``OIDC_RECHECK_SECONDS`` ago. Forms and requests of scripts wait for the next page load."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not _is_due(request):
            return self._get_response(request)
        query = urlencode({"silent": "1", "next": request.get_full_path()})
        return redirect(f"{reverse('oidc_authentication_init')}?{query}")


def _is_due(request: HttpRequest) -> bool:
    path = request.path_info
    if request.method != "GET" or not path.startswith(_PAGES) or path.startswith(_OWN):
        return False
    if request.headers.get("Sec-Fetch-Mode", "navigate") != "navigate":
        return False
    is_theirs = request.session.get(BACKEND_SESSION_KEY) == settings.SIGN_IN["BACKEND"]
    return is_theirs and request.session.get("oidc_id_token_expiration", 0) < time.time()
