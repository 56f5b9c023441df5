"""Actions on one client: block, unblock and exempt it, block an unregistered one, reset counters. Each asks for a
reason."""

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.base import HasIntroduction, PlatformModelAdmin, SearchesByBeginning
from limits.admin.forms import ReadOnlyAdmin, form_page, reason_field
from limits.admin.permissions import require_permission
from limits.admin.publishing import publish_clients
from limits.models import Client, CounterReset
from limits.models.clients import validate_key
from limits.models.history import change_reason
from limits.publishing.clients import reset_counters
from ratelimit_enforcer.domain.client import MAX_KEY_LENGTH
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.store.errors import StoreError

_EFFECTS = {
    ClientStatus.ACTIVE: "From the next request on, the client's plan and overrides apply again.",
    ClientStatus.EXEMPT: "From the next request on, no limit applies, and requests consume no quota, not even quotas "
    "shared by all clients. They are counted as exempt.",
    ClientStatus.BLOCKED: "From the next request on, all requests are denied, regardless of plan and overrides.",
}

_EFFECTS_BELOW = {
    ClientStatus.ACTIVE: "Its limits apply to the clients below it too.",
    ClientStatus.EXEMPT: "The clients below it keep their own limits, without those of this client.",
    ClientStatus.BLOCKED: "All requests of the clients below it are denied too.",
}
"""For clients with children, in addition."""


class StatusForm(forms.Form):
    """The form for the reason of a change of status."""

    why = reason_field("Scrapes the search; customer informed.")


def may_set_status(request: HttpRequest, before: str, after: str) -> bool:
    """Blocking and unblocking has a separate permission; any other change of status needs permission to
    change the client."""
    if request.user.has_perm("limits.change_client"):
        return True
    blocking = {before, after} == {ClientStatus.ACTIVE, ClientStatus.BLOCKED}
    return blocking and request.user.has_perm("limits.block_client")


def status_view(request: HttpRequest, admin_site: AdminSite, client: Client, name: str) -> HttpResponse:
    """Shows a form for the reason, and changes the status."""
    if name not in list(ClientStatus):
        raise Http404
    if not may_set_status(request, client.status, name):
        raise PermissionDenied
    status = ClientStatus(name)
    form = StatusForm(request.POST or None)
    back = reverse("admin:limits_client_change", args=[client.pk])
    if request.method == "POST" and form.is_valid():
        _set_status(request, client, status, form.cleaned_data["why"])
        return HttpResponseRedirect(back)
    return form_page(
        request,
        admin_site,
        form,
        title=f"{status_verb(client, status)}: {client}",
        intro=[_EFFECTS[status], *([_EFFECTS_BELOW[status]] if client.children.exists() else [])],
        submit=status_verb(client, status),
        danger=status is ClientStatus.BLOCKED,
        back=back,
        opts=Client._meta,
    )


def status_verb(client: Client, status: ClientStatus) -> str:
    """Returns the label for changing the client's status to ``status``."""
    if status is ClientStatus.ACTIVE:
        return "Unblock" if client.status == ClientStatus.BLOCKED else "Apply limits again"
    return "Exempt from limits" if status is ClientStatus.EXEMPT else "Block"


@transaction.atomic
def _set_status(request: HttpRequest, client: Client, status: ClientStatus, why: str) -> None:
    """Changes the status of the present row, whatever else was changed since the page was opened."""
    row = get_object_or_404(Client.objects.select_for_update(), pk=client.pk)
    if not may_set_status(request, row.status, status):
        raise PermissionDenied
    row.status = status.value
    with change_reason(why):
        row.save(update_fields=["status", "updated_at"])
    publish_clients(request, [row.key])


_EFFECT_OF_REGISTERING = (
    "Registers the client with the status “blocked”: from the next request on, all requests are denied. To unblock it, "
    "open the client's page."
)


class BlockForm(forms.Form):
    """The form for the key of the client to block, and the reason."""

    key = forms.CharField(
        label="Client key",
        max_length=MAX_KEY_LENGTH,
        strip=False,
        validators=[validate_key],
        widget=UnfoldAdminTextInputWidget,
        help_text="As sent in requests, such as “ip:203.0.113.7”.",
    )
    why = reason_field("Tries API keys of other customers.")


def block_view(request: HttpRequest, admin_site: AdminSite) -> HttpResponse:
    """``?key=`` is the client key. For a registered client it redirects to the client's own page for this."""
    require_permission(request, "limits.block_client")
    form = BlockForm(request.POST or None, initial={"key": request.GET.get("key", "")})
    key = form.cleaned_data.get("key", "") if form.is_valid() else request.GET.get("key", "")
    if client := Client.objects.filter(key=key).first():
        return _redirect_to_status_page(client)
    if form.is_bound and form.is_valid():
        return _register(request, key, form.cleaned_data["why"])
    return form_page(
        request,
        admin_site,
        form,
        title="Block an unregistered client",
        intro=[_EFFECT_OF_REGISTERING],
        submit="Block",
        danger=True,
        back=reverse("admin:limits_client_changelist"),
        opts=Client._meta,
    )


@transaction.atomic
def _register(request: HttpRequest, key: str, why: str) -> HttpResponse:
    """Registers the client, unless another user has just done so."""
    with change_reason(why):
        client, is_new = Client.objects.get_or_create(key=key, defaults={"status": ClientStatus.BLOCKED.value})
    if not is_new:
        return _redirect_to_status_page(client)
    publish_clients(request, [client.key])
    return HttpResponseRedirect(reverse("admin:limits_client_change", args=[client.pk]))


def _redirect_to_status_page(client: Client) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:limits_client_status", args=[client.pk, ClientStatus.BLOCKED.value]))


class ResetForm(forms.Form):
    """The form for the reason of a reset."""

    reason = reason_field("Our load test used up the daily quota.")


@admin.register(CounterReset)
class CounterResetAdmin(HasIntroduction, SearchesByBeginning, ReadOnlyAdmin, PlatformModelAdmin):
    introduction = "Counter resets, with author and reason. To reset counters, open the client's page."
    list_display = ("client_key", "created_at", "author", "reason")
    fields = ("client_key", "created_at", "author", "reason")
    search_fields = ("^client_key",)
    search_help_text = "Search by the beginning of the client key"
    show_full_result_count = False


def reset_view(request: HttpRequest, admin_site: AdminSite, client: Client) -> HttpResponse:
    """Shows a form for the reason, and resets the counters."""
    require_permission(request, "limits.reset_client")
    form = ResetForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        return _reset(request, client, form.cleaned_data["reason"])
    return form_page(
        request,
        admin_site,
        form,
        title=f"Reset counters of “{client}”",
        intro=[
            f"Resets all counters of “{client.key}”, on every endpoint, and frees the places of concurrent requests. "
            "Counters shared by all clients, those of the clients above and below it, and recorded usage are not "
            "affected."
        ],
        submit="Reset counters",
        back=reverse("admin:limits_client_change", args=[client.pk]),
        opts=Client._meta,
    )


def _reset(request: HttpRequest, client: Client, reason: str) -> HttpResponse:
    try:
        reset_counters(client.key, reason=reason, author=request.user.get_username())
    except StoreError:
        messages.error(request, "Redis is unavailable. Nothing was reset; try again later.")
    else:
        messages.success(request, f"Counters of {client.key} were reset.")
    return HttpResponseRedirect(reverse("admin:limits_client_change", args=[client.pk]))
