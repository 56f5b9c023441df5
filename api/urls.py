"""The addresses of the API."""

from django.urls import path, re_path

from api.errors import unknown_address
from api.views.checks import CheckView, PeekView
from api.views.documentation import DocsView, SchemaView
from api.views.health import HealthView, ReadinessView
from api.views.problem_pages import ProblemPageView

urlpatterns = [
    path("v1/check", CheckView.as_view(), name="check"),
    path("v1/peek", PeekView.as_view(), name="peek"),
    path("healthz", HealthView.as_view(), name="healthz"),
    path("readyz", ReadinessView.as_view(), name="readyz"),
    path("problems/<slug:name>", ProblemPageView.as_view(), name="problem"),
    path("api/schema/", SchemaView.as_view(), name="api-schema"),
    path("api/docs/", DocsView.as_view(), name="api-docs"),
    re_path(r"^v1(?:/|$)", unknown_address),
]
