"""The permission that a user needs for a page, and the people who can give it."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

_PERMISSIONS_OF_PAGES = {
    "limits_plan_copy": "limits.add_plan",
    "limits_publication_undo": "limits.add_changeset",
    "limits_publication_roll_back": "limits.roll_back",
    "limits_policy_shadow_report": "limits.view_policydenial",
    "limits_policy_shadow_file": "limits.view_policydenial",
    "limits_usage_report": "limits.view_usage",
    "limits_usage_report_file": "limits.view_usage",
    "limits_client_import_clients": "limits.add_clientimport",
    "limits_clientimport_run": "limits.add_clientimport",
    "limits_block_effect": "limits.add_block",
    "limits_grant_effect": "limits.add_grant",
    "limits_client_status": "limits.block_client",
    "limits_alert_handle": "limits.change_alert",
    "limits_alertrule_send_test": "limits.change_alertrule",
    "limits_notificationchannel_send_test": "limits.change_notificationchannel",
}
_VERBS_OF_PAGES = {"add": "add", "change": "change", "delete": "delete", "changelist": "view", "history": "view"}
MAX_NAMED_MANAGERS = 3
"""Maximum number of superusers that a page names."""


class PermissionMissing(PermissionDenied):
    """The user does not have this permission, such as “limits.block_client”."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"Requires the permission {permission}.")
        self.permission = permission


@dataclass(frozen=True, slots=True)
class AccessAdvice:
    """``action`` is what the permission allows (empty: unknown), with the groups that have it and the users who can
    assign groups."""

    action: str
    groups: tuple[str, ...]
    managers: tuple[str, ...]


def require_permission(request: HttpRequest, permission: str) -> None:
    """Raises :class:`PermissionMissing` if the user does not have the permission."""
    if not request.user.has_perm(permission):
        raise PermissionMissing(permission)


def access_advice(request: HttpRequest, error: Exception) -> AccessAdvice:
    """Returns the advice for a user whose request was rejected."""
    if request.user.is_superuser:
        return AccessAdvice("", (), ())
    permission = error.permission if isinstance(error, PermissionMissing) else _of_page(request)
    app, _, codename = permission.partition(".")
    found = Permission.objects.filter(content_type__app_label=app, codename=codename).first()
    groups = Group.objects.filter(permissions=found).order_by("name") if found else Group.objects.none()
    managers = User.objects.filter(is_superuser=True, is_active=True).order_by("username")
    return AccessAdvice(_action(found), tuple(map(str, groups)), tuple(map(str, managers[:MAX_NAMED_MANAGERS])))


def _of_page(request: HttpRequest) -> str:
    """Returns the permission required by one of Django's own pages; empty for other pages."""
    name = request.resolver_match.url_name if request.resolver_match else None
    if name in _PERMISSIONS_OF_PAGES:
        return _PERMISSIONS_OF_PAGES[name]
    for model in admin.site._registry:
        prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
        if name and name.startswith(prefix) and (verb := _VERBS_OF_PAGES.get(name.removeprefix(prefix))):
            return f"{model._meta.app_label}.{verb}_{model._meta.model_name}"
    return ""


def _action(permission: Any) -> str:
    """“Can change client” → “change clients”."""
    if permission is None:
        return ""
    text = str(permission.name).removeprefix("Can ")
    model = permission.content_type.model_class()
    if model and text.endswith(f" {model._meta.verbose_name}"):
        return f"{text.split()[0]} {model._meta.verbose_name_plural}"
    return text
