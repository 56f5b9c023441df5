"""Answers the requests of the HTTP interface with the views of the web server.

A check whose token the rules of this process accept is read in the event loop and decided by the engine thread. Every
other request may wait for the store or take long, so its view runs in a thread of the pool.
"""

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from io import BytesIO
from typing import Any, NamedTuple, cast

from django.conf import settings
from django.core.handlers.wsgi import WSGIRequest
from django.core.signals import setting_changed
from django.http import HttpResponse
from django.http.request import split_domain_port, validate_host
from django.middleware.clickjacking import XFrameOptionsMiddleware
from django.middleware.security import SecurityMiddleware

from api.authentication import BearerToken
from api.decisions import rendered_decision
from api.errors import server_error, unknown_address
from api.forward_auth.views import find_forward_auth
from api.metrics import MetricsView
from api.problems import ProblemResponse
from api.rendering import Rendered
from api.requests import LARGE_BODIES, MAX_BODY_BYTES, parse_check, parse_json
from api.routing import find
from api.views import CheckView, DecisionView, HealthView, PeekView, ReadinessView
from gateway.engine_threads import EngineThreads, Result
from gateway.http1.connection import Answer
from gateway.http1.heads import AcceptedHeads
from gateway.http1.request import GatewayRequest
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import CheckRequest, Guard

EARLY_TOKEN_BYTES = 8 * 1024
"""A larger body is read only after its token was accepted."""

View = Callable[[Any], Any]
Wrapper = Callable[[View], View]

_DECISIONS: Mapping[str, DecisionView] = {"/v1/check": CheckView(), "/v1/peek": PeekView()}
_PROBES: Mapping[str, View] = {"/healthz": HealthView.as_view(), "/readyz": ReadinessView.as_view()}
_metrics = MetricsView.as_view()

logger = logging.getLogger(__name__)


class AcceptedCheck(NamedTuple):
    """What follows from the head of a check alone."""

    view: DecisionView
    token: BearerToken
    guard: Guard
    always_ok: bool
    added: str
    """The header lines that every response has."""


class GatewayApplication:
    """Implements :class:`gateway.http1.connection.Application`. ``identified`` and ``checked`` wrap a view, as
    middleware of Django does: so that log lines and responses name the request, and so that the ``Host`` is checked."""

    def __init__(self, threads: EngineThreads, *, identified: Wrapper, checked: Wrapper) -> None:
        self._threads = threads
        self._engine = threads.engine
        self._identified = identified
        self._checked = checked
        self._heads = AcceptedHeads()
        self._accepted_by: Ruleset | None = None
        """The ruleset that accepts the tokens of all stored heads."""
        setting_changed.connect(self._settings_changed)
        self._added = {secure: _lines_of_middleware(secure=secure) for secure in (False, True)}

    def _settings_changed(self, **_: Any) -> None:
        self._heads.clear()

    def body_limit(self, path: str) -> int:
        """The maximum size of a body in bytes."""
        return LARGE_BODIES.get(path, MAX_BODY_BYTES)

    def added_headers(self, request: GatewayRequest) -> str:
        """The header lines of Django's middleware for security; probes and proxies are answered before it."""
        if request.accepted is not None:
            return cast(str, request.accepted.added)
        before = request.path in _PROBES or find_forward_auth(request.path) is not None
        return "" if before else self._added[request.is_secure()]

    def needs_token(self, request: GatewayRequest, length: int) -> bool:
        """Whether a body of ``length`` bytes may be read only after :meth:`check_token`."""
        return length > EARLY_TOKEN_BYTES

    def check_token(self, request: GatewayRequest, answer: Callable[[HttpResponse | None], None]) -> None:
        """Calls ``answer`` with None if the body may be read, else with the response."""

        def view(request: GatewayRequest) -> HttpResponse | None:
            response = _reject_before_body(request)
            return None if response is None else self._named(request, response)

        self._in_pool(request, view, answer)

    def find(self, data: bytes, peer: str) -> GatewayRequest | None:
        """The check, if ``data`` is exactly one with a head that was accepted with the present rules."""
        current = self._engine.current
        ruleset = None if current is None else current.ruleset
        if ruleset is not self._accepted_by:
            self._heads.clear()
            self._accepted_by = ruleset
        return self._heads.find(data, peer)

    def handle(self, request: GatewayRequest, answer: Answer) -> None:
        """Calls ``answer`` once, in the event loop, now or later."""
        if request.accepted is not None:
            self._decide_accepted(request.accepted, request, answer)
            return
        decides = _DECISIONS.get(request.path)
        if decides is None or not _is_allowed(request):
            self._in_pool(request, self._view_of(request), answer)
        elif not self._decide(decides, request, answer):
            self._in_pool(request, self._identified(decides.dispatch), answer)

    def _decide(self, view: DecisionView, request: GatewayRequest, answer: Answer) -> bool:
        """Submits a check to the engine; False: the published rules may accept the token, those of this process do
        not."""
        try:
            view.identify(request)
            current = self._engine.current
            if current is None or request.auth.rejection(current.ruleset, view.scope) is not None:
                return False
            asked = view.read(request)
        except Exception as error:  # noqa: BLE001 - the view's handler turns it into a response
            answer(self._failure(view, request, error))
        else:
            guard, added = view.guard(request), self.added_headers(request)
            accepted = request.accepted = AcceptedCheck(view, request.auth, guard, asked.always_ok, added)
            if current.ruleset is self._accepted_by:
                self._heads.store(request, accepted)
            self._submit(accepted, asked.check, request, answer)
        return True

    def _decide_accepted(self, accepted: AcceptedCheck, request: GatewayRequest, answer: Answer) -> None:
        try:
            check = parse_check(parse_json(request.body))
        except ProblemResponse as problem:
            request.auth = accepted.token
            answer(self._failure(accepted.view, request, problem))
        else:
            self._submit(accepted, check, request, answer)

    def _submit(self, accepted: AcceptedCheck, check: CheckRequest, request: GatewayRequest, answer: Answer) -> None:
        view, token, guard, always_ok, _ = accepted

        def done(result: Result) -> None:
            if isinstance(result, Exception):
                request.auth = token
                answer(self._failure(view, request, result))
            else:
                self._answer_decision(request, rendered_decision(result, always_ok=always_ok), answer)

        self._threads.submit(check, guard, view.consume, done, headers=request.META)

    def _answer_decision(self, request: GatewayRequest, rendered: Rendered, answer: Answer) -> None:
        answer(rendered if rendered.status < 500 else self._named(request, rendered.response()))

    def _failure(self, view: DecisionView, request: Any, error: Exception) -> HttpResponse:
        try:
            response = view.error_response(request, error)
        except Exception:
            logger.exception("A check failed.")
            response = server_error(request)
        return self._named(request, response)

    def _named(self, request: GatewayRequest, response: HttpResponse) -> HttpResponse:
        return response if response.status_code < 500 else self._identified(lambda _: response)(request)

    def _view_of(self, request: GatewayRequest) -> View:
        if (probe := _PROBES.get(request.path)) is not None:
            return _with_django_request(self._identified(probe))
        if (found := find_forward_auth(request.path)) is not None:
            return self._identified(_with_arguments(*found))
        if not _is_allowed(request):
            return _with_django_request(self._checked(unknown_address))
        if request.path == "/metrics":
            return _with_django_request(self._identified(_metrics))
        return self._identified(_with_arguments(*(find(request.path) or (unknown_address, {}))))

    def _in_pool(self, request: GatewayRequest, view: View, answer: Callable[[Any], None]) -> None:
        def done(result: Any) -> None:
            if isinstance(result, Exception):
                logger.error("A view failed.", exc_info=result)
                result = self._identified(server_error)(request)
            answer(result)

        self._threads.run(lambda: view(request), done, headers=request.META)


def _reject_before_body(request: Any) -> HttpResponse | None:
    found = find(request.path)
    if found is None:
        # These views read no body.
        without_body, arguments = find_forward_auth(request.path) or (unknown_address, {})
        return cast(HttpResponse, without_body(request, **arguments))
    view = found[0].view_class()  # type: ignore[attr-defined]
    try:
        view.admit(request)
    except Exception as error:  # noqa: BLE001 - raised again unless it is expected
        return cast(HttpResponse, view.error_response(request, error))
    return None


def _with_arguments(view: View, arguments: Mapping[str, Any]) -> View:
    return lambda request: view(request, **arguments)


def _with_django_request(view: View) -> View:
    return lambda request: view(_django_request(request))


def _django_request(request: GatewayRequest) -> WSGIRequest:
    return WSGIRequest(
        {
            **request.META,
            "PATH_INFO": request.path.encode().decode("latin-1"),
            "SCRIPT_NAME": "",
            "SERVER_NAME": "gateway",
            "SERVER_PORT": "80",
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(request.body),
        }
    )


def _is_allowed(request: GatewayRequest) -> bool:
    return _is_allowed_host(request.META.get("HTTP_HOST", ""), tuple(settings.ALLOWED_HOSTS))


@lru_cache(maxsize=256)
def _is_allowed_host(host: str, allowed: tuple[str, ...]) -> bool:
    """As Django's ``HttpRequest.get_host`` decides."""
    domain, _ = split_domain_port(host)
    return bool(domain) and validate_host(domain, allowed)


def _lines_of_middleware(*, secure: bool) -> str:
    """The header lines that Django's middleware for security adds, with the present settings."""
    name, value = settings.SECURE_PROXY_SSL_HEADER
    request: Any = GatewayRequest("POST", "/v1/check", {name: value} if secure else {})
    respond: Any = SecurityMiddleware(XFrameOptionsMiddleware(lambda request: HttpResponse()))
    response = respond(request)
    return "".join(f"{name}: {value}\r\n" for name, value in response.items() if name != "Content-Type")
