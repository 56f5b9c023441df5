"""Logging in to the admin: a bounded number of attempts, a bounded number at the same time, and a
line in the log for each that fails."""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.views.decorators.debug import sensitive_variables
from unfold.forms import AuthenticationForm

from limits.admin.login_attempts import wait_for
from limits.client_identifier import address_of

AT_ONCE = 2
"""Attempts of one process at the same time: one whose password is being hashed, and one that waits for it. Each
holds a thread of the web server."""

_BUSY_WAIT = 2.0
_WAIT = "login_wait"
"""Where the seconds to wait lie on the request."""

_slots = threading.BoundedSemaphore(AT_ONCE)
_log = structlog.get_logger(__name__)


class LoginForm(AuthenticationForm):
    """Refuses an attempt before the password is hashed where there were too many."""

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        if not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return self._authenticated()
        with self._slot():
            wait = wait_for(address_of(self.request), self.cleaned_data["username"])
            if wait is not None:
                _log.warning("login_limited", address=address_of(self.request), retry_after=math.ceil(wait))
                raise self._refused(wait, f"Too many attempts to log in. Try again in {_spoken(wait)}.")
            return self._authenticated()

    def _authenticated(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        return cleaned

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not _slots.acquire(blocking=False):
            raise self._refused(_BUSY_WAIT, "Others are logging in at this moment. Try again in a few seconds.")
        try:
            yield
        finally:
            _slots.release()

    def _refused(self, wait: float, message: str) -> ValidationError:
        setattr(self.request, _WAIT, wait)
        return ValidationError(message, code="too_many_attempts")


# Not by django-unfold's setting, which imports the form, and with it all of the admin, while the site is being made.
admin.site.login_form = LoginForm


def login(request: HttpRequest) -> HttpResponse:
    """The admin's login page; 429 with ``Retry-After`` where the form refused an attempt."""
    response = admin.site.login(request)
    wait: float | None = getattr(request, _WAIT, None)
    if wait is not None:
        response.status_code = 429
        response["Retry-After"] = str(max(1, math.ceil(wait)))
        # Django would log a second line.
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _spoken(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


@receiver(user_login_failed, dispatch_uid="limits.admin.login")
def log_failure(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """The name only where a user has it: other text may be a password that was typed into the wrong field."""
    users = get_user_model()
    name = credentials.get(users.USERNAME_FIELD, "")
    known = users._default_manager.filter(**{users.USERNAME_FIELD: name}).exists()
    shown = {"user": name} if known else {}
    address = address_of(request) if request is not None else None
    _log.warning("login_failed", address=address, known_user=known, **shown)
