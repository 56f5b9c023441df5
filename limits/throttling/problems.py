"""A denial's fields as a problem document (RFC 9457), for the exception handler of a project."""

from typing import Any

from limits.client_identifier import AnyRequest
from limits.domain.headers import closest_to_denying
from limits.domain.quota_problem import QUOTA_EXCEEDED_TITLE, QUOTA_EXCEEDED_TYPE, violated_policies
from limits.protection import TOO_MANY_REQUESTS, decisions_on


def problem_fields(request: AnyRequest) -> dict[str, Any]:
    """``type``, ``title``, ``status`` and ``violated-policies`` of the denial of this request; empty
    where the platform did not deny it."""
    denied = [decision for decision in decisions_on(request) if decision.denying]
    if not denied:
        return {}
    return {
        "type": QUOTA_EXCEEDED_TYPE,
        "title": QUOTA_EXCEEDED_TITLE,
        "status": TOO_MANY_REQUESTS,
        "violated-policies": violated_policies(closest_to_denying(denied)),
    }
