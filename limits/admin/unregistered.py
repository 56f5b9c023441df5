"""Blocking a caller that has no row here: it gets one, blocked, with a reason."""

from django import forms
from django.contrib.admin import AdminSite
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.form_page import form_page, reason_field
from limits.admin.permissions import require
from limits.admin.publishing import publish_clients
from limits.domain.client import MAX_KEY_LENGTH
from limits.domain.words import ClientStatus
from limits.models import Client
from limits.models.clients import validate_key
from limits.models.history import because

_INTRO = (
    "From the next request on, every request of this caller is refused. It becomes a client that is blocked; to end "
    "that, open the client's page."
)


class BlockForm(forms.Form):
    """Whom, and why."""

    key = forms.CharField(
        label="The caller's key",
        max_length=MAX_KEY_LENGTH,
        strip=False,
        validators=[validate_key],
        widget=UnfoldAdminTextInputWidget,
        help_text="As it is in requests, such as “ip:203.0.113.7”.",
    )
    why = reason_field("It tries keys of other customers.")


def block_view(request: HttpRequest, admin_site: AdminSite) -> HttpResponse:
    """``?key=`` names the caller. One that is registered has a page of its own for this."""
    require(request, "limits.block_client")
    form = BlockForm(request.POST or None, initial={"key": request.GET.get("key", "")})
    key = form.cleaned_data.get("key", "") if form.is_valid() else request.GET.get("key", "")
    if client := Client.objects.filter(key=key).first():
        return _ask_on_its_own_page(client)
    if form.is_bound and form.is_valid():
        return _register(request, key, form.cleaned_data["why"])
    return form_page(
        request,
        admin_site,
        form,
        title="Block a caller that is not registered",
        intro=[_INTRO],
        submit="Block it",
        danger=True,
        back=reverse("admin:limits_client_changelist"),
        opts=Client._meta,
    )


@transaction.atomic
def _register(request: HttpRequest, key: str, why: str) -> HttpResponse:
    """Somebody else may have registered it a moment ago."""
    with because(why):
        client, is_new = Client.objects.get_or_create(key=key, defaults={"status": ClientStatus.BLOCKED.value})
    if not is_new:
        return _ask_on_its_own_page(client)
    publish_clients(request, [client.key])
    return HttpResponseRedirect(reverse("admin:limits_client_change", args=[client.pk]))


def _ask_on_its_own_page(client: Client) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:limits_client_status", args=[client.pk, ClientStatus.BLOCKED.value]))
