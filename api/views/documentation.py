"""The OpenAPI document and its page."""

from typing import Any

from django.http import HttpResponse
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.settings import spectacular_settings
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from api.views.base import ProblemAnswers
from limits.once import once


class SchemaView(ProblemAnswers, SpectacularAPIView):
    """``GET /api/schema/``: JSON, or YAML for who asks for it."""

    schema = None
    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer]

    def get(self, request: Request, *args: Any, **kwargs: Any) -> HttpResponse:
        """The same for everybody, so it is made once for each format: that takes some tenths of a second."""
        renderer = type(request.accepted_renderer)
        content = _document(renderer)
        headers = {"Content-Disposition": f'inline; filename="schema.{renderer.format}"'}
        return HttpResponse(content, content_type=request.accepted_media_type, headers=headers)


@once
def _document(renderer: type[BaseRenderer]) -> bytes:
    schema = SchemaGenerator(urlconf=spectacular_settings.SERVE_URLCONF).get_schema(request=None, public=True)
    content: str | bytes = renderer().render(schema, renderer_context={})
    return content.encode() if isinstance(content, str) else content


class DocsView(ProblemAnswers, SpectacularSwaggerSplitView):
    """``GET /api/docs/``"""

    schema = None
    url_name = "api-schema"
