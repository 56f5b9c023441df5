"""How the admin presents itself: ``settings.UNFOLD``."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

_MENU: tuple[tuple[str, tuple[tuple[str, str, str, str], ...]], ...] = (
    (
        "Rules",
        (
            ("Plans side by side", "view_column", "plan", "compare"),
            ("Plans", "stacks", "plan", "changelist"),
            ("Endpoints", "route", "endpoint", "changelist"),
            ("Policies", "rule", "policy", "changelist"),
            ("Publications", "history", "publication", "changelist"),
        ),
    ),
    (
        "Callers",
        (
            ("Clients", "groups", "client", "changelist"),
            ("Overrides", "tune", "override", "changelist"),
            ("Why was this denied?", "help", "client", "explain"),
            ("Forgotten counters", "restart_alt", "counterreset", "changelist"),
            ("Imports of clients", "upload_file", "clientimport", "changelist"),
        ),
    ),
    (
        "Watching",
        (
            ("Usage", "monitoring", "usage", "changelist"),
            ("Usage by hour", "calendar_view_day", "usagehour", "changelist"),
            ("Usage by day", "calendar_month", "usageday", "changelist"),
            ("Denials by policy", "block", "policydenial", "changelist"),
            ("Crossings of quotas", "data_usage", "quotacrossing", "changelist"),
            ("Alert rules", "notification_settings", "alertrule", "changelist"),
            ("Alerts", "notifications", "alert", "changelist"),
            ("Messages", "outgoing_mail", "message", "changelist"),
        ),
    ),
    (
        "Operation",
        (
            ("API tokens", "key", "apitoken", "changelist"),
            ("Emergency switch", "emergency_home", "platform", "changelist"),
        ),
    ),
    (
        "People",
        (
            ("Users", "person", "user", "changelist"),
            ("Groups", "group", "group", "changelist"),
        ),
    ),
)
"""Group → (title, icon, model, page) for each line of the menu."""


_PAGES = ("compare", "explain")
"""Pages that are no list."""


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu; a line shows only to who may view its model."""
    home = {"title": "Home", "icon": "home", "link": reverse_lazy("admin:index")}
    groups = [{"title": title, "items": [_item(*line) for line in lines]} for title, lines in _MENU]
    _show_open_alerts(request, groups)
    return [{"items": [home]}, *groups]


def _item(title: str, icon: str, model: str, page: str) -> dict[str, Any]:
    app = "auth" if model in ("user", "group") else "limits"
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{model}_{page}"),
        "active": lambda request: _is_active(request, f"admin:{app}_{model}_{page}"),
        "permission": lambda request: request.user.has_perm(f"{app}.view_{model}"),
    }


def _is_active(request: HttpRequest, name: str) -> bool:
    """Whether this line stands for the page; a page that has a line of its own belongs to that one."""
    own = {
        str(reverse_lazy(f"admin:limits_{model}_{page}"))
        for _, lines in _MENU
        for *_, model, page in lines
        if page in _PAGES
    }
    link = str(reverse_lazy(name))
    return request.path == link if request.path in own or link in own else request.path.startswith(link)


def _show_open_alerts(request: HttpRequest, groups: list[dict[str, Any]]) -> None:
    """Imported late: settings come before models."""
    from limits.admin.alerts import open_alerts

    line = next(item for group in groups for item in group["items"] if item["title"] == "Alerts")
    if number := open_alerts(request):
        line["badge"] = number


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Rate limits",
    "SITE_HEADER": "Rate limits",
    "SITE_SUBHEADER": "Who may call what, how often",
    "SITE_SYMBOL": "speed",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("limits/favicon.svg")},
    ],
    # A little lighter than django-unfold's own, which is hard to read on dark ground.
    "COLORS": {"primary": {"500": "oklch(68% .22 304)"}},
    "STYLES": [lambda request: static("limits/admin.css")],
    "SCRIPTS": [lambda request: static("limits/admin.js")],
    "ENVIRONMENT": "limits.admin.banner.environment",
    "DASHBOARD_CALLBACK": "limits.admin.home.add_home",
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"navigation": navigation},
}
