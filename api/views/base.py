"""What every view of the API has in common, whatever the project's REST_FRAMEWORK setting says."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from django.http import HttpRequest, HttpResponse
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from api.errors import exception_response
from api.negotiation import AnyAccept
from api.problems import METHOD_NOT_ALLOWED, Problem

ExceptionHandler = Callable[[Exception, dict[str, Any]], HttpResponse | None]


class ProblemAnswers(APIView):
    """Answers every error with a problem document."""

    http_method_names = ["get", "head", "post", "put", "patch", "delete"]
    authentication_classes: Sequence[type[BaseAuthentication]] = ()
    permission_classes: Sequence[type[BasePermission]] = ()
    throttle_classes = ()
    versioning_class = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuses a wrong method first: a caller needs no token to learn which one is right."""
        if request.method not in self.allowed_methods:
            self.http_method_not_allowed(request)
        super().initial(request, *args, **kwargs)

    def http_method_not_allowed(self, request: HttpRequest, *args: Any, **kwargs: Any) -> NoReturn:
        allowed = ", ".join(self.allowed_methods)
        detail = f"{request.path} takes {allowed}, not {request.method}."
        raise Problem(METHOD_NOT_ALLOWED, detail, headers={"Allow": allowed})

    def get_exception_handler(self) -> ExceptionHandler:
        return exception_response

    @property
    def default_response_headers(self) -> dict[str, str]:
        """No header that the caller has no use for."""
        return {}


class ApiView(ProblemAnswers):
    """A view that answers in JSON."""

    renderer_classes = (JSONRenderer,)
    parser_classes = ()
    content_negotiation_class = AnyAccept
