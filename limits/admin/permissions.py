"""What somebody lacks for a page, in words, and whom to ask for it."""

from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

_OF_OWN_PAGES = {
    "limits_plan_copy": "limits.add_plan",
    "limits_publication_roll_back": "limits.roll_back",
    "limits_client_import_clients": "limits.add_clientimport",
    "limits_clientimport_run": "limits.add_clientimport",
    "limits_client_status": "limits.block_client",
    "limits_alert_handle": "limits.change_alert",
    "limits_alertrule_send_test": "limits.change_alertrule",
}
_OF_PAGES = {"add": "add", "change": "change", "delete": "delete", "changelist": "view", "history": "view"}
NAMED = 3
"""Superusers that a page names."""


class Lacking(PermissionDenied):
    """Somebody lacks this permission, such as “limits.block_client”."""

    def __init__(self, permission: str) -> None:
        super().__init__(f"This takes the permission {permission}.")
        self.permission = permission


@dataclass(frozen=True, slots=True)
class Advice:
    """``what`` is missing (empty: unknown), which groups have it, and who may put people into them."""

    what: str
    groups: tuple[str, ...]
    managers: tuple[str, ...]


def require(request: HttpRequest, permission: str) -> None:
    """Raises :class:`Lacking` where the user does not have it."""
    if not request.user.has_perm(permission):
        raise Lacking(permission)


def advice(request: HttpRequest, error: Exception) -> Advice:
    """What to tell somebody whose request was refused."""
    if request.user.is_superuser:
        return Advice("", (), ())
    permission = error.permission if isinstance(error, Lacking) else _of_page(request)
    app, _, codename = permission.partition(".")
    found = Permission.objects.filter(content_type__app_label=app, codename=codename).first()
    groups = Group.objects.filter(permissions=found).order_by("name") if found else Group.objects.none()
    managers = User.objects.filter(is_superuser=True, is_active=True).order_by("username")
    return Advice(_in_words(found), tuple(map(str, groups)), tuple(map(str, managers[:NAMED])))


def _of_page(request: HttpRequest) -> str:
    """The permission that a page of Django's own asks for; empty where the page is another one."""
    name = request.resolver_match.url_name if request.resolver_match else None
    if name in _OF_OWN_PAGES:
        return _OF_OWN_PAGES[name]
    for model in admin.site._registry:
        prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
        if name and name.startswith(prefix) and (verb := _OF_PAGES.get(name.removeprefix(prefix))):
            return f"{model._meta.app_label}.{verb}_{model._meta.model_name}"
    return ""


def _in_words(permission: Any) -> str:
    """“Can change client” → “change clients”."""
    if permission is None:
        return ""
    words = str(permission.name).removeprefix("Can ")
    model = permission.content_type.model_class()
    if model and words.endswith(f" {model._meta.verbose_name}"):
        return f"{words.split()[0]} {model._meta.verbose_name_plural}"
    return words
