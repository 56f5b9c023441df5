"""What drf-spectacular cannot find in the views by itself."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.request import Request

from api.openapi.schemas import SCHEMAS


class BearerScheme(OpenApiAuthenticationExtension):
    """The security scheme of :class:`api.authentication.BearerAuthentication`."""

    target_class = "api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        description = "A token from `manage.py issue_token`. It stops with the publish that revokes it."
        return {"type": "http", "scheme": "bearer", "description": description}


def complete(
    result: dict[str, Any], generator: SchemaGenerator, request: Request | None, public: bool
) -> dict[str, Any]:
    """The hook that adds the schemas which the operations refer to, and what follows from them:
    no operation takes a body that may be left out."""
    result["components"]["schemas"] = SCHEMAS
    for operations in result["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result
