"""The additions to the OpenAPI document that drf-spectacular cannot derive from the views."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from rest_framework.request import Request

from api.management.alert_schemas import ALERT_SCHEMAS
from api.management.change_schemas import CHANGE_SCHEMAS
from api.management.config_schemas import CONFIG_SCHEMAS
from api.management.grant_schemas import GRANT_SCHEMAS
from api.management.object_schemas import COMMON_SCHEMAS, schemas_of
from api.management.objects import OBJECT_VIEWS
from api.management.report_operations import REPORT_SCHEMAS
from api.openapi.reservation_schemas import RESERVATION_SCHEMAS
from api.openapi.schemas import SCHEMAS


class BearerScheme(OpenApiAuthenticationExtension):
    """The security scheme of :class:`api.authentication.BearerAuthentication`."""

    target_class = "api.authentication.BearerAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:
        description = "A token from `manage.py issue_token`. A revoked token stops working with that publication."
        return {"type": "http", "scheme": "bearer", "description": description}


def complete(
    result: dict[str, Any], generator: SchemaGenerator, request: Request | None, public: bool
) -> dict[str, Any]:
    """A postprocessing hook of drf-spectacular: adds the schemas that the operations refer to, marks every
    request body as required, and sorts the responses by status."""
    result["components"]["schemas"] = _schemas()
    for operations in result["paths"].values():
        for operation in operations.values():
            if "requestBody" in operation:
                operation["requestBody"]["required"] = True
            operation["responses"] = dict(sorted(operation["responses"].items()))
    return result


def _schemas() -> dict[str, Any]:
    objects = {name: schema for view, _ in OBJECT_VIEWS.values() for name, schema in schemas_of(view.kind).items()}
    platform = SCHEMAS | RESERVATION_SCHEMAS | CHANGE_SCHEMAS | GRANT_SCHEMAS | ALERT_SCHEMAS | REPORT_SCHEMAS
    return platform | CONFIG_SCHEMAS | COMMON_SCHEMAS | objects
