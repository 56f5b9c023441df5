"""An exception handler for Django REST Framework that answers a denial as a problem document.

REST_FRAMEWORK = {"EXCEPTION_HANDLER": "ratelimit_enforcer.exception_handler.exception_handler"}
"""

from typing import Any

from rest_framework.exceptions import Throttled
from rest_framework.response import Response
from rest_framework.views import exception_handler as framework_handler

from ratelimit_enforcer.domain.headers import PROBLEM_JSON
from ratelimit_enforcer.throttling import problem_fields


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """The framework's own answer. A denial by a policy gets the problem fields in addition to ``detail``
    and, as JSON, the media type of problem documents."""
    response = framework_handler(error, context)
    request = context["request"]
    if response is None or not isinstance(error, Throttled) or not (fields := problem_fields(request)):
        return response
    response.data = fields | response.data
    if getattr(getattr(request, "accepted_renderer", None), "format", None) == "json":
        response.content_type = PROBLEM_JSON
    return response
