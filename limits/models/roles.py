"""Roles: groups of permissions for the people at the admin.

A migration makes them. What an operator changes in a group afterwards stays as it is.
"""

from typing import Any

_EDIT = ("add", "change", "delete")


def _all(*models: str) -> frozenset[str]:
    return frozenset(f"{verb}_{model}" for model in models for verb in _EDIT)


_OVERRIDES = _all("override", "overridelimit")

VIEWERS = "Viewers"
SUPPORT = "Support"
PRODUCT_MANAGERS = "Product managers"
OPERATORS = "Operators"

HANDLE_ALERTS = "change_alert"
"""Nobody edits an alert: who has this permission may acknowledge and silence it."""

HANDLING_ALERTS = (SUPPORT, OPERATORS)
"""Whoever is on duty: mails about alerts ask them to."""

ROLES: dict[str, frozenset[str]] = {
    VIEWERS: frozenset(),
    SUPPORT: _OVERRIDES | {"block_client", "reset_client", HANDLE_ALERTS},
    PRODUCT_MANAGERS: _OVERRIDES
    | _all("plan", "endpoint", "route", "policy", "policylimit", "client")
    | {"block_client", "reset_client", "roll_back", "add_clientimport"},
    OPERATORS: _all("alertrule") | {"add_apitoken", "change_apitoken", "change_platform", HANDLE_ALERTS},
}
"""Role → what it may do beside looking. Everybody sees everything of the platform."""


def create_roles(groups: Any, permissions: Any) -> None:
    """Makes the groups that are not there yet. Takes the managers of Group and Permission, as a
    migration or the present code has them."""
    of_platform = permissions.filter(content_type__app_label="limits")
    views = of_platform.filter(codename__startswith="view_")
    for name, codenames in ROLES.items():
        group, is_new = groups.get_or_create(name=name)
        if is_new:
            group.permissions.set([*views, *of_platform.filter(codename__in=codenames)])
