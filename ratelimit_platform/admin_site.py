"""How the admin presents itself: ``settings.UNFOLD``."""

from typing import Any

from django.templatetags.static import static
from django.urls import reverse_lazy


def _item(title: str, icon: str, model: str) -> dict[str, Any]:
    app = "auth" if model in ("user", "group") else "limits"
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_changelist"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{model}"),
    }


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Rate limits",
    "SITE_HEADER": "Rate limits",
    "SITE_SUBHEADER": "Who may call what, how often",
    "SITE_SYMBOL": "speed",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("limits/favicon.svg")},
    ],
    "STYLES": [lambda request: static("limits/admin.css")],
    "SCRIPTS": [lambda request: static("limits/admin.js")],
    "ENVIRONMENT": "limits.admin.banner.environment",
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {
        "navigation": [
            {
                "title": "Rules",
                "items": [
                    _item("Plans", "stacks", "plan"),
                    _item("Endpoints", "route", "endpoint"),
                    _item("Policies", "rule", "policy"),
                ],
            },
            {
                "title": "Callers",
                "items": [
                    _item("Clients", "groups", "client"),
                    _item("Overrides", "tune", "override"),
                    _item("Forgotten counters", "restart_alt", "counterreset"),
                ],
            },
            {
                "title": "Watching",
                "items": [
                    _item("Usage", "monitoring", "usage"),
                    _item("Denials by policy", "block", "policydenial"),
                    _item("Alert rules", "notification_settings", "alertrule"),
                    _item("Alerts", "notifications", "alert") | {"badge": "limits.admin.alerts.open_alerts"},
                ],
            },
            {
                "title": "Operation",
                "items": [
                    _item("Publications", "history", "publication"),
                    _item("API tokens", "key", "apitoken"),
                    _item("Emergency switch", "emergency_home", "platform"),
                ],
            },
            {
                "title": "People",
                "items": [
                    _item("Users", "person", "user"),
                    _item("Groups", "group", "group"),
                ],
            },
        ],
    },
}
