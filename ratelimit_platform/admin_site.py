"""The appearance and menu of the admin: ``settings.UNFOLD``."""

from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse

_MENU: tuple[tuple[str, tuple[tuple[str, str, str, str], ...]], ...] = (
    (
        "Rules",
        (
            ("Compare plans", "view_column", "plan", "compare"),
            ("Plans", "stacks", "plan", "changelist"),
            ("Endpoints", "route", "endpoint", "changelist"),
            ("Policies", "rule", "policy", "changelist"),
            ("Segment overrides", "group_work", "segmentoverride", "changelist"),
            ("Change sets", "edit_note", "changeset", "changelist"),
            ("Publications", "history", "publication", "changelist"),
        ),
    ),
    (
        "Clients",
        (
            ("Clients", "groups", "client", "changelist"),
            ("Overrides", "tune", "override", "changelist"),
            ("Grants", "add_shopping_cart", "grant", "changelist"),
            ("Blocks", "gpp_bad", "block", "changelist"),
            ("Why was this denied?", "help", "client", "explain"),
            ("Counter resets", "restart_alt", "counterreset", "changelist"),
            ("Client imports", "upload_file", "clientimport", "changelist"),
        ),
    ),
    (
        "Monitoring",
        (
            ("Quotas in use", "speed", "quotareading", "changelist"),
            ("Usage report", "summarize", "usage", "report"),
            ("Usage", "monitoring", "usage", "changelist"),
            ("Usage by hour", "calendar_view_day", "usagehour", "changelist"),
            ("Usage by day", "calendar_month", "usageday", "changelist"),
            ("Denials by policy", "block", "policydenial", "changelist"),
            ("Settlements", "receipt_long", "settlement", "changelist"),
            ("Settlements by hour", "receipt", "settlementhour", "changelist"),
            ("Settlements by day", "request_quote", "settlementday", "changelist"),
            ("Quota thresholds", "data_usage", "quotathreshold", "changelist"),
            ("Alert rules", "notification_settings", "alertrule", "changelist"),
            ("Channels", "forum", "notificationchannel", "changelist"),
            ("Alerts", "notifications", "alert", "changelist"),
            ("Messages", "outgoing_mail", "message", "changelist"),
        ),
    ),
    (
        "Operations",
        (
            ("API tokens", "key", "apitoken", "changelist"),
            ("Emergency switch", "emergency_home", "platform", "changelist"),
        ),
    ),
    (
        "Access",
        (
            ("Users", "person", "user", "changelist"),
            ("Groups", "group", "group", "changelist"),
        ),
    ),
)
"""Group → (title, icon, model, page) for each line of the menu."""


_PAGES = ("compare", "explain", "report")
"""Pages that are not lists."""


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """The menu; each line is shown only to users who may view its model."""
    home = {"title": "Home", "icon": "home", "link": reverse("admin:index")}
    links = {line: _link(*line[2:]) for _, lines in _MENU for line in lines}
    pages = {link for line, link in links.items() if line[3] in _PAGES}
    groups = [
        {
            "title": title,
            "items": [_item(line, links[line], active=_is_active(request.path, links[line], pages)) for line in lines],
        }
        for title, lines in _MENU
    ]
    _show_open_alerts(request, groups)
    return [{"items": [home]}, *groups]


def _app(model: str) -> str:
    return "auth" if model in ("user", "group") else "limits"


def _link(model: str, page: str) -> str:
    return reverse(f"admin:{_app(model)}_{model}_{page}")


def _item(line: tuple[str, str, str, str], link: str, *, active: bool) -> dict[str, Any]:
    title, icon, model, _ = line
    permission = f"{_app(model)}.view_{model}"
    return {
        "title": title,
        "icon": icon,
        "link": link,
        "active": active,
        "permission": lambda request: request.user.has_perm(permission),
    }


def _is_active(path: str, link: str, pages: set[str]) -> bool:
    """Whether the current page belongs to this line; a page with a separate line belongs only to that line."""
    return path == link if path in pages or link in pages else path.startswith(link)


def _show_open_alerts(request: HttpRequest, groups: list[dict[str, Any]]) -> None:
    """Adds the number of open alerts to the menu. Imports late, because settings are loaded before models."""
    from limits.admin.alerts import open_alerts

    line = next(item for group in groups for item in group["items"] if item["title"] == "Alerts")
    if number := open_alerts(request):
        line["badge"] = number


UNFOLD: dict[str, Any] = {
    "SITE_TITLE": "Rate limits",
    "SITE_HEADER": "Rate limits",
    "SITE_SUBHEADER": "Limits for your API",
    "SITE_SYMBOL": "speed",
    "SITE_FAVICONS": [
        {"rel": "icon", "type": "image/svg+xml", "href": lambda request: static("limits/favicon.svg")},
    ],
    # Slightly lighter than django-unfold's own colour, which is hard to read on a dark background.
    "COLORS": {"primary": {"500": "oklch(68% .22 304)"}},
    "STYLES": [lambda request: static("limits/admin.css")],
    "SCRIPTS": [lambda request: static("limits/admin.js")],
    "ENVIRONMENT": "limits.admin.emergency_switch.banner",
    "DASHBOARD_CALLBACK": "limits.admin.home.add_home",
    "SHOW_VIEW_ON_SITE": False,
    "SIDEBAR": {"navigation": navigation},
}
