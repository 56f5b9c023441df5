"""drf-spectacular's settings: ``SPECTACULAR_SETTINGS`` of the project. Names only, so that a
settings module can import it."""

from typing import Any

SPECTACULAR_SETTINGS: dict[str, Any] = {
    "TITLE": "Rate limit platform",
    "DESCRIPTION": (
        "Decides for every request of your services whether it is within its client's limits. "
        "Every error is a problem document (RFC 9457), each kind with a `type` of its own."
    ),
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_URLCONF": "api.urls",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "POSTPROCESSING_HOOKS": ["api.openapi.document.complete"],
    "TAGS": [
        {"name": "checks", "description": "Decisions about requests."},
        {"name": "clients", "description": "Who is registered; for programs with the scope `manage`."},
        {"name": "health", "description": "For load balancers, supervisors and Prometheus."},
    ],
    # Nothing on the page from another host, the badge of an online validator included.
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}
