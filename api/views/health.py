"""Alive, and ready."""

from typing import Any

from django.http import HttpResponse
from rest_framework.request import Request

from api.decisions import STORE_RETRY_AFTER
from api.openapi.operations import health_operation, readiness_operation
from api.problems import RULESET_MISSING, problem_response
from api.rendering import json_response
from api.views.base import ApiView
from limits.enforcement import Held, get_engine
from limits.store.advice import advisor

_NOT_STORED = {"Cache-Control": "no-store"}


class HealthView(ApiView):
    """``GET /healthz``"""

    @health_operation
    def get(self, request: Request) -> HttpResponse:
        return json_response({"status": "ok"}, headers=_NOT_STORED)


class ReadinessView(ApiView):
    """``GET /readyz``: degraded is ready, or a load balancer would empty itself with the store away."""

    @readiness_operation
    def get(self, request: Request) -> HttpResponse:
        engine = get_engine()
        readiness = engine.readiness()
        missing, problems = list(readiness.missing), list(readiness.problems)
        if not readiness.ready:
            headers = _NOT_STORED | STORE_RETRY_AFTER
            return problem_response(
                RULESET_MISSING, " ".join(["No ruleset is held yet.", *problems]), {"missing": missing}, headers=headers
            )
        status = "degraded" if missing else "ready"
        body = {
            "status": status,
            "missing": missing,
            "warnings": [*problems, *advisor().warnings()],
            "store_ruleset": readiness.store_ruleset,
            **_decided_by(engine.held),
        }
        return json_response(body, headers=_NOT_STORED)


def _decided_by(held: Held | None) -> dict[str, Any]:
    """The rules by which this process answers, whatever the store says."""
    if held is None:
        return {"ruleset": None, "emergency_switch": None}
    return {"ruleset": held.version.sequence, "emergency_switch": held.ruleset.shadow_all}
