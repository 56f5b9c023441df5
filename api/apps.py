"""The Django app of the HTTP API."""

from django.apps import AppConfig


class ApiConfig(AppConfig):
    name = "api"
    verbose_name = "HTTP API"

    def ready(self) -> None:
        """Registers the token scheme for the OpenAPI document."""
        from api.openapi import document  # noqa: F401
