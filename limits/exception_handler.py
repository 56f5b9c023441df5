"""An exception handler for Django REST Framework that answers a denial as a problem document.

REST_FRAMEWORK = {"EXCEPTION_HANDLER": "limits.exception_handler.exception_handler"}
"""

from typing import Any

from rest_framework.exceptions import Throttled
from rest_framework.response import Response
from rest_framework.views import exception_handler as framework_handler

from limits.throttling import problem_fields

PROBLEM_JSON = "application/problem+json"


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """The framework's own answer; a denial of the platform carries the problem fields beside
    ``detail``, and where it is JSON the media type of problem documents."""
    response = framework_handler(error, context)
    request = context["request"]
    if response is None or not isinstance(error, Throttled) or not (fields := problem_fields(request)):
        return response
    response.data = fields | response.data
    if getattr(getattr(request, "accepted_renderer", None), "format", None) == "json":
        response.content_type = PROBLEM_JSON
    return response
