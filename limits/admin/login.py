"""Login to the admin: a limited number of attempts, a limited number at the same time, and a log line for
each failure.

Attempts are counted by address and by name with the exact logs of the throttle classes.
"""

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_login_failed
from django.core.exceptions import PermissionDenied, ValidationError
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse
from django.utils.crypto import salted_hmac
from django.views.decorators.debug import sensitive_variables
from unfold.forms import AuthenticationForm

from ratelimit_enforcer.client_identifier import address_of
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.rate import Rate, parse_rate
from ratelimit_enforcer.per_process import renew_after_fork
from ratelimit_enforcer.store.connections.factory import store_connections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.store.rate_log import RateLog

LOGINS = "login"
"""The name under which the logs of logins are stored, like the project name for a project's logs."""

MAX_LOCAL_LOGS = 10_000


class LocalLogs:
    """Replaces the store while it is unavailable: counts in this process. Thread-safe."""

    def __init__(self, size: int = MAX_LOCAL_LOGS) -> None:
        self._size = size
        renew_after_fork(self)

    def renew(self) -> None:
        self._lock = threading.Lock()
        self._logs: OrderedDict[str, deque[float]] = OrderedDict()

    def wait(self, name: str, rate: Rate) -> float | None:
        """Returns None if the attempt is admitted, which is logged; otherwise the seconds until the next one
        is."""
        now = time.monotonic()
        with self._lock:
            log = self._logs.setdefault(name, deque())
            self._logs.move_to_end(name)
            if len(self._logs) > self._size:
                self._logs.popitem(last=False)
            while log and log[0] <= now - rate.window:
                log.popleft()
            if len(log) >= rate.quota:
                return log[0] + rate.window - now if log else float(rate.window)
            log.append(now)
        return None


local_logs = LocalLogs()


def wait_for(address: str, name: str) -> float | None:
    """Returns None if this attempt is admitted, which counts it; otherwise the seconds until another one is.

    The address is checked first: an address over its rate must not consume the rate of the name, which
    belongs to another person. The logs have digests, since people sometimes type passwords into the wrong field.
    """
    wait = wait_for_address(address)
    return _wait("name", name.strip().casefold()) if wait is None else wait


def wait_for_address(address: str) -> float | None:
    """:func:`wait_for`, for an attempt without a name."""
    return _wait("address", address)


def _digest(text: str) -> str:
    return salted_hmac(__name__, text.encode(errors="surrogatepass"), algorithm="sha256").hexdigest()


def _wait(kind: str, counted: str) -> float | None:
    log, rate = f"{kind}:{_digest(counted)}", parse_rate(settings.LOGIN_RATES[kind])
    store = RateLog(store_connections(None), Keys(setting("NAMESPACE")), LOGINS)
    try:
        admission = store.admit(log, rate, Deadline(setting("CHECK_DEADLINE")))
    except StoreError:
        return local_logs.wait(log, rate)
    if admission.admitted:
        return None
    blocking = admission.now if admission.blocking is None else admission.blocking
    return (blocking + rate.window * SECOND_US - admission.now) / SECOND_US


MAX_SIMULTANEOUS = 2
"""Concurrent attempts in one process: one whose password is being hashed, and one that waits for it. Each
occupies a thread of the web server."""

_BUSY_WAIT = 2.0
_WAIT = "login_wait"
"""The request attribute with the number of seconds to wait."""

_slots = threading.BoundedSemaphore(MAX_SIMULTANEOUS)
_log = structlog.get_logger(__name__)


class LoginForm(AuthenticationForm):
    """Rejects an attempt before the password is hashed if there were too many."""

    @sensitive_variables()
    def clean(self) -> dict[str, Any]:
        if not (self.cleaned_data.get("username") and self.cleaned_data.get("password")):
            return self._authenticated()
        with self._slot():
            wait = wait_for(address_of(self.request), self.cleaned_data["username"])
            if wait is not None:
                _log.warning("login_limited", address=address_of(self.request), retry_after=math.ceil(wait))
                raise self._rejected(wait, f"Too many login attempts. Try again in {_in_minutes(wait)}.")
            return self._authenticated()

    def _authenticated(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()
        return cleaned

    @contextmanager
    def _slot(self) -> Iterator[None]:
        if not _slots.acquire(blocking=False):
            raise self._rejected(_BUSY_WAIT, "Too many simultaneous logins. Try again in a few seconds.")
        try:
            yield
        finally:
            _slots.release()

    def _rejected(self, wait: float, message: str) -> ValidationError:
        setattr(self.request, _WAIT, wait)
        return ValidationError(message, code="too_many_attempts")


# Not by django-unfold's setting, which would import the form, and with it all of the admin, while the site is
# being created.
admin.site.login_form = LoginForm


def login(request: HttpRequest) -> HttpResponse:
    """The admin's login page; 429 with ``Retry-After`` if the form rejected an attempt, 403 for a password while
    ``PASSWORD_LOGIN`` is off."""
    if request.method == "POST" and not settings.PASSWORD_LOGIN:
        raise PermissionDenied("Passwords are not accepted here.")
    offered = {"provider": settings.SIGN_IN.get("NAME"), "accepts_passwords": settings.PASSWORD_LOGIN}
    response = admin.site.login(request, extra_context=offered)
    wait: float | None = getattr(request, _WAIT, None)
    if wait is not None:
        response.status_code = 429
        response["Retry-After"] = str(max(1, math.ceil(wait)))
        # Django would log a second line.
        response._has_been_logged = True  # type: ignore[attr-defined]
    return response


def _in_minutes(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"


@receiver(user_login_failed, dispatch_uid="limits.admin.login")
def log_failure(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any) -> None:
    """Logs the name only if a user has it: other text may be a password typed into the wrong field."""
    users = get_user_model()
    name = credentials.get(users.USERNAME_FIELD, "")
    known = users._default_manager.filter(**{users.USERNAME_FIELD: name}).exists()
    shown = {"user": name} if known else {}
    address = address_of(request) if request is not None else None
    _log.warning("login_failed", address=address, known_user=known, **shown)
