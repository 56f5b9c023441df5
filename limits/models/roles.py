"""Roles: groups of permissions for users of the admin.

A migration creates them. Later changes to a group by an operator are preserved.
"""

from typing import Any

_EDIT = ("add", "change", "delete")


def _all(*models: str) -> frozenset[str]:
    return frozenset(f"{verb}_{model}" for model in models for verb in _EDIT)


_OVERRIDES = _all("override", "overridelimit")
_BLOCKS = _all("block")
_GRANTS = _all("grant")

CHANGES = frozenset({"add_changeset", "change_changeset", "approve_change"})

VIEWERS = "Viewers"
SUPPORT = "Support"
PRODUCT_MANAGERS = "Product managers"
OPERATORS = "Operators"

HANDLE_ALERTS = "change_alert"
"""Alerts are not editable: users with this permission may acknowledge and silence them."""

HANDLING_ALERTS = (SUPPORT, OPERATORS)
"""Roles on duty: emails about alerts ask them to respond."""

ROLES: dict[str, frozenset[str]] = {
    VIEWERS: frozenset(),
    SUPPORT: _OVERRIDES | _BLOCKS | {"block_client", "reset_client", HANDLE_ALERTS},
    PRODUCT_MANAGERS: _OVERRIDES
    | _BLOCKS
    | _GRANTS
    | _all("plan", "endpoint", "route", "policy", "policylimit", "client", "segmentoverride", "segmentoverridelimit")
    | {"block_client", "reset_client", "roll_back", "add_clientimport"}
    | CHANGES,
    OPERATORS: _all("alertrule", "notificationchannel")
    | {"add_apitoken", "change_apitoken", "change_platform", HANDLE_ALERTS},
}
"""Role → permissions beyond viewing. Every role can view everything."""


def create_roles(groups: Any, permissions: Any) -> None:
    """Creates the groups that do not exist yet. Takes the managers of Group and Permission, either historical
    ones from a migration or current ones."""
    of_platform = permissions.filter(content_type__app_label="limits")
    views = of_platform.filter(codename__startswith="view_")
    for name, codenames in ROLES.items():
        group, is_new = groups.get_or_create(name=name)
        if is_new:
            group.permissions.set([*views, *of_platform.filter(codename__in=codenames)])
