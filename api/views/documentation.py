"""The OpenAPI document and its page."""

from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from api.views.base import ProblemAnswers


class SchemaView(ProblemAnswers, SpectacularAPIView):
    """``GET /api/schema/``: JSON, or YAML for who asks for it."""

    schema = None
    renderer_classes = [OpenApiJsonRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer2, OpenApiYamlRenderer]


class DocsView(ProblemAnswers, SpectacularSwaggerSplitView):
    """``GET /api/docs/``"""

    schema = None
    url_name = "api-schema"
