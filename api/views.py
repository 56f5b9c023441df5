"""The views of the API, except those for management and metrics: checks, health, the documentation, and the pages of
problem types. Their base classes are independent of the project's REST_FRAMEWORK setting."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn, cast

from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import NotAcceptable
from rest_framework.permissions import BasePermission
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from api.authentication import BearerAuthentication, HasScope, RequireScope, admit, token_of
from api.decisions import STORE_RETRY_AFTER, batch_response, decision_response, usage_body
from api.errors import exception_response
from api.openapi.operations import (
    batch_operation,
    check_operation,
    health_operation,
    peek_operation,
    readiness_operation,
    usage_operation,
)
from api.problems import METHOD_NOT_ALLOWED, PROBLEM_TYPES, RULESET_MISSING, ProblemResponse, problem_response
from api.rendering import IgnoreAccept, JsonOnly, accepts_json, json_response
from api.requests import MAX_BATCH_BODY_BYTES, parse_batch, parse_check, parse_client_query, parse_query, read_json
from limits.store.advice import advisor
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.engine import CheckRequest, Guard, PreparedRuleset, get_engine
from ratelimit_enforcer.per_process import once

ExceptionHandler = Callable[[Exception, dict[str, Any]], HttpResponse | None]


class ProblemDocumentView(APIView):
    """The base of all views: responds to every error with a problem document."""

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = ()
    throttle_classes = ()
    versioning_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Checks the method before the token: a caller needs no token to learn which methods are allowed."""
        if request.method not in self.allowed_methods:
            self.http_method_not_allowed(request)
        super().initial(request, *args, **kwargs)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> NoReturn:
        allowed = ", ".join(self.allowed_methods)
        detail = f"{request.path} allows {allowed}, not {request.method}."
        raise ProblemResponse(METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed})

    def get_exception_handler(self) -> ExceptionHandler:
        return exception_response

    @property
    def default_response_headers(self) -> dict[str, str]:
        """Empty: the framework's default headers are of no use to callers of the API."""
        return {}


class ApiView(ProblemDocumentView):
    """The base of views that respond with JSON."""

    renderer_classes = (JSONRenderer,)
    parser_classes = ()
    content_negotiation_class = IgnoreAccept

    def error_response(self, request: Any, error: Exception) -> HttpResponse:
        """The response to an exception of this view. Raises it again if no handler expects it."""
        response = self.get_exception_handler()(error, {"request": request, "view": self})
        if response is None:
            raise error
        return response


@lru_cache(maxsize=64)
def _methods(view: type[Any]) -> frozenset[str]:
    methods = {name.upper() for name in view.http_method_names if hasattr(view, name)}
    return frozenset(methods | {"HEAD"} if "GET" in methods else methods)


class CheckingView(ApiView):
    """A view for programs whose token has the scope “check”."""

    # For the OpenAPI document; `dispatch` does what they describe.
    authentication_classes = (BearerAuthentication,)
    permission_classes = (HasScope,)
    content_negotiation_class = JsonOnly
    scope = Scope.CHECK

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The same steps as those of the framework, without its request and response objects: these views read a few
        headers and the body, and render their own responses. ``request`` may be any object with ``META``, ``method``,
        ``path``, ``is_secure()`` and ``read()``."""
        try:
            self.admit(request)
            handler = getattr(self, cast(str, request.method).lower())
            return cast(HttpResponse, handler(request, *args, **kwargs))
        except Exception as error:  # noqa: BLE001 - raised again unless it is expected
            return self.error_response(request, error)

    def admit(self, request: Any) -> None:
        """Checks method, ``Accept`` and token, in this order, and sets ``request.auth``. Raises
        :class:`~api.problems.ProblemResponse` and the exceptions of :func:`~api.authentication.admit`."""
        self.identify(request)
        admit(get_engine(), request.auth, self.scope)

    def identify(self, request: Any) -> None:
        """Checks method and ``Accept``, and sets ``request.auth`` to the token, which is not checked. Raises
        :class:`~api.problems.ProblemResponse` and ``NotAcceptable``."""
        if request.method not in _methods(cast(Any, self.__class__)):
            self.http_method_not_allowed(request)
        if not accepts_json(request.META.get("HTTP_ACCEPT", "")):
            raise NotAcceptable
        _, request.auth = BearerAuthentication().authenticate(request)

    def guard(self, request: Any) -> Guard:
        """Checks the token again, with the ruleset that decides."""
        return RequireScope(token_of(request), self.scope)


class AskedCheck(NamedTuple):
    """The check of a request, and whether the response is 200 also if the check is denied."""

    check: CheckRequest
    always_ok: bool


class DecisionView(CheckingView):
    """The base of views that decide one check, which a caller may also do in three steps: :meth:`read`, the engine,
    and :func:`~api.decisions.decision_response`."""

    consume: bool

    def read(self, request: Any) -> AskedCheck:
        """The check in the body. Raises :class:`~api.problems.ProblemResponse`."""
        raise NotImplementedError

    def decide(self, request: Request) -> HttpResponse:
        """The response with the engine's decision. Raises :class:`~api.problems.ProblemResponse`."""
        asked = self.read(request)
        decision = get_engine().check(asked.check, consume=self.consume, guard=self.guard(request))
        return decision_response(decision, always_ok=asked.always_ok)


class CheckView(DecisionView):
    """``POST /v1/check``: decides one request; an admitted one consumes its cost."""

    consume = True

    def read(self, request: Any) -> AskedCheck:
        """See :meth:`DecisionView.read`."""
        always_ok = bool(parse_query(request.META.get("QUERY_STRING", ""), {"status": "200"}))
        return AskedCheck(parse_check(read_json(request)), always_ok)

    @check_operation
    def post(self, request: Request) -> HttpResponse:
        return self.decide(request)


class PeekView(DecisionView):
    """``POST /v1/peek``: the decision of a check, without consuming anything."""

    consume = False

    def read(self, request: Any) -> AskedCheck:
        """See :meth:`DecisionView.read`."""
        parse_query(request.META.get("QUERY_STRING", ""), {})
        return AskedCheck(parse_check(read_json(request)), always_ok=True)

    @peek_operation
    def post(self, request: Request) -> HttpResponse:
        return self.decide(request)


class BatchView(CheckingView):
    """``POST /v1/check/batch``: decides up to a thousand requests in order."""

    @batch_operation
    def post(self, request: Request) -> HttpResponse:
        parse_query(request.META.get("QUERY_STRING", ""), {})
        checks = parse_batch(read_json(request, MAX_BATCH_BODY_BYTES))
        return batch_response(get_engine().check_in_order(checks, guard=self.guard(request)))


class UsageView(CheckingView):
    """``GET /v1/usage``: the state of every limit that counts the client separately."""

    @usage_operation
    def get(self, request: Request) -> HttpResponse:
        asked = parse_client_query(request.META.get("QUERY_STRING", ""))
        guard = self.guard(request)
        client_state = get_engine().peek_client(asked.client, attributes=asked.attributes, guard=guard)
        return json_response(usage_body(client_state))


_NO_STORE = {"Cache-Control": "no-store"}


class HealthView(ApiView):
    """``GET /healthz``: 200 while the process is alive."""

    @health_operation
    def get(self, request: Request) -> HttpResponse:
        return json_response({"status": "ok"}, headers=_NO_STORE)


class ReadinessView(ApiView):
    """``GET /readyz``. Degraded counts as ready: otherwise a load balancer would remove every server in an outage."""

    @readiness_operation
    def get(self, request: Request) -> HttpResponse:
        engine = get_engine()
        readiness = engine.readiness()
        missing, problems = list(readiness.missing), list(readiness.problems)
        if not readiness.ready:
            headers = _NO_STORE | STORE_RETRY_AFTER
            return problem_response(
                RULESET_MISSING,
                " ".join(["No ruleset is loaded yet.", *problems]),
                {"missing": missing},
                headers=headers,
            )
        status = "degraded" if missing else "ready"
        body = {
            "status": status,
            "missing": missing,
            "warnings": [*problems, *advisor().warnings()],
            "store_ruleset": readiness.store_ruleset,
            **_ruleset_fields(engine.current),
        }
        return json_response(body, headers=_NO_STORE)


def _ruleset_fields(current: PreparedRuleset | None) -> dict[str, Any]:
    """The rules that this process uses, which may differ from those in the store."""
    if current is None:
        return {"ruleset": None, "emergency_switch": None}
    return {"ruleset": current.version.sequence, "emergency_switch": current.ruleset.shadow_all}


class SchemaView(ProblemDocumentView, SpectacularAPIView):
    """``GET /api/schema/``: JSON, or YAML if the caller asks for it."""

    schema = None
    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer]

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """The document is the same for all callers, so it is generated once per format, in some tenths of a second."""
        renderer = type(request.accepted_renderer)
        content = _document(renderer)
        headers = {"Content-Disposition": f'inline; filename="schema.{renderer.format}"'}
        return HttpResponse(content, content_type=request.accepted_media_type, headers=headers)


@once
def _document(renderer: type[BaseRenderer]) -> bytes:
    schema = SchemaGenerator(urlconf=spectacular_settings.SERVE_URLCONF).get_schema(request=None, public=True)
    content: str | bytes = renderer().render(schema, renderer_context={})
    return content.encode() if isinstance(content, str) else content


class DocsView(ProblemDocumentView, SpectacularSwaggerSplitView):
    """``GET /api/docs/``: the interactive documentation."""

    schema = None
    url_name = "api-schema"


_BY_URI = {kind.uri: kind for kind in PROBLEM_TYPES}


class ProblemPageView(ApiView):
    """``GET /problems/NAME``: the page of a problem type."""

    schema = None

    def get(self, request: Request, name: str) -> HttpResponse:
        kind = _BY_URI.get(f"/problems/{name}")
        if kind is None:
            raise Http404
        return HttpResponse(render_to_string("api/problem.html", {"kind": kind}))
