"""To the provider, and back."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any

import structlog
from django.conf import settings
from django.contrib import admin, auth
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from mozilla_django_oidc.views import OIDCAuthenticationCallbackView, OIDCAuthenticationRequestView

from limits.admin.login import wait_for_address
from limits.admin.sign_in.errors import ProviderRefused, SignInError, TooManyAttempts, UnknownState
from limits.admin.sign_in.provider import provider
from ratelimit_enforcer.client_identifier import address_of

MAX_SIMULTANEOUS = 4
"""Sign-ins of one process at the same time. Each occupies a thread of the web server while the provider answers."""

MAX_DURATION = 600.0
"""Seconds that somebody may take at the provider."""

SESSION_LENGTH = timedelta(hours=8)
"""After the last confirmation by the provider."""

ENDED_AT_PROVIDER = {"login_required", "interaction_required", "consent_required", "account_selection_required"}
"""Errors of a request with ``prompt=none`` (OpenID Connect Core 1.0, section 3.1.2.6)."""

_slots = threading.BoundedSemaphore(MAX_SIMULTANEOUS)
_log = structlog.get_logger(__name__)

View = Callable[..., HttpResponse]


def with_pages_for_errors(view: View) -> View:
    """Shows a page for each :class:`SignInError`."""

    @wraps(view)
    def shown(request: HttpRequest) -> HttpResponse:
        if not _slots.acquire(blocking=False):
            return _failed(request, TooManyAttempts(2))
        try:
            return view(request)
        except SignInError as error:
            return _failed(request, error)
        finally:
            _slots.release()

    return shown


def _failed(request: HttpRequest, error: SignInError) -> HttpResponse:
    _log.warning("sign_in_failed", kind=type(error).__name__, detail=error.detail[:500], address=address_of(request))
    if error.ends_session:
        auth.logout(request)
    context = {**admin.site.each_context(request), "title": error.title, "text": error.text}
    response = TemplateResponse(request, "admin/limits/sign_in_failed.html", context, status=error.status)
    if isinstance(error, TooManyAttempts):
        response["Retry-After"] = str(error.retry_after)
    return response.render()


class StartView(OIDCAuthenticationRequestView):
    """Sends the browser to the provider. ``?again=1`` lets people choose another account, ``?silent=1`` asks whether
    the session at the provider still exists."""

    def get(self, request: HttpRequest) -> HttpResponse:
        if not request.user.is_authenticated:
            wait = wait_for_address(address_of(request))
            if wait is not None:
                raise TooManyAttempts(wait)
        response: HttpResponse = super().get(request)
        return response

    @staticmethod
    def get_settings(attr: str, *default: Any) -> Any:
        if attr == "OIDC_OP_AUTHORIZATION_ENDPOINT":
            return provider().authorization
        return OIDCAuthenticationRequestView.get_settings(attr, *default)

    def get_extra_params(self, request: HttpRequest) -> dict[str, str]:
        prompt = "login" if "again" in request.GET else "none" if "silent" in request.GET else ""
        return {"prompt": prompt} if prompt else {}


class CallbackView(OIDCAuthenticationCallbackView):
    """Where the provider sends the browser back, with a code or an error."""

    def get(self, request: HttpRequest) -> HttpResponse:
        started = request.session.get("oidc_states", {}).get(request.GET.get("state"))
        if started is None or time.time() - started["added_on"] > MAX_DURATION:
            raise UnknownState
        if request.GET.get("iss", settings.SIGN_IN["ISSUER"]) != settings.SIGN_IN["ISSUER"]:
            raise SignInError("the answer names another issuer")  # RFC 9207
        if error := request.GET.get("error"):
            return self._refused(error)
        response: HttpResponse = super().get(request)
        return response

    def _refused(self, error: str) -> HttpResponse:
        if error not in ENDED_AT_PROVIDER:
            raise ProviderRefused(error)
        next_page = urlencode({"next": self.success_url})
        auth.logout(self.request)
        return redirect(f"{reverse('admin:login')}?{next_page}")

    def login_success(self) -> HttpResponseRedirect:
        response: HttpResponseRedirect = super().login_success()
        self.request.session.set_expiry(timezone.now() + SESSION_LENGTH)
        _log.info("signed_in", user=self.user.username, superuser=self.user.is_superuser)
        return response

    def login_failure(self) -> HttpResponse:
        raise SignInError("neither a code nor an error")


start = with_pages_for_errors(StartView.as_view())
callback = with_pages_for_errors(CallbackView.as_view())


def logout(request: HttpRequest) -> HttpResponse:
    """Ends the session here; the page has a link that ends the one at the provider."""
    address = _end_session_address(request) if request.method == "POST" else ""
    return admin.site.logout(request, extra_context={"end_session": address})


def _end_session_address(request: HttpRequest) -> str:
    """Empty for a session that began with a password, and while the provider is unavailable."""
    id_token = request.session.get("oidc_id_token")
    if not id_token:
        return ""
    try:
        return provider().end_session_url(id_token, request.build_absolute_uri(reverse("admin:login")))
    except SignInError:
        return ""
