"""Blocking a client, exempting it, and ending that: one page with a reason, live when it comes back."""

from django import forms
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from limits.admin.form_page import form_page, reason_field
from limits.admin.publishing import publish_clients
from limits.domain.words import ClientStatus
from limits.models import Client
from limits.models.history import because

_TITLES = {
    ClientStatus.ACTIVE: "Limit “{}” as its plan says",
    ClientStatus.EXEMPT: "Exempt “{}” from every limit",
    ClientStatus.BLOCKED: "Block “{}”",
}
_MEANINGS = {
    ClientStatus.ACTIVE: "From the next request on, the limits of its plan and its overrides hold.",
    ClientStatus.EXEMPT: "From the next request on, nothing limits it, and its requests use up no quota, not even one "
    "that all clients share. They are counted as exempt.",
    ClientStatus.BLOCKED: "From the next request on, every request of it is refused, whatever its plan says.",
}
_BUTTONS = {
    ClientStatus.ACTIVE: "Limit it again",
    ClientStatus.EXEMPT: "Exempt it",
    ClientStatus.BLOCKED: "Block it",
}


class StatusForm(forms.Form):
    """Why."""

    why = reason_field("It scrapes the search; the customer knows.")


def may_set_status(request: HttpRequest, before: str, after: str) -> bool:
    """Blocking, and ending that, has a permission of its own; everything else is a change of the client."""
    if request.user.has_perm("limits.change_client"):
        return True
    blocking = {before, after} == {ClientStatus.ACTIVE, ClientStatus.BLOCKED}
    return blocking and request.user.has_perm("limits.block_client")


def status_view(request: HttpRequest, admin_site: AdminSite, client: Client, word: str) -> HttpResponse:
    """Asks why, and changes the status."""
    if word not in list(ClientStatus):
        raise Http404
    if not may_set_status(request, client.status, word):
        raise PermissionDenied
    status = ClientStatus(word)
    form = StatusForm(request.POST or None)
    back = reverse("admin:limits_client_change", args=[client.pk])
    if request.method == "POST" and form.is_valid():
        _set(request, client, status, form.cleaned_data["why"])
        return HttpResponseRedirect(back)
    return form_page(
        request,
        admin_site,
        form,
        title=_TITLES[status].format(client),
        intro=[_MEANINGS[status]],
        submit=_BUTTONS[status],
        danger=status is ClientStatus.BLOCKED,
        back=back,
        opts=Client._meta,
    )


@transaction.atomic
def _set(request: HttpRequest, client: Client, status: ClientStatus, why: str) -> None:
    """Changes the status of the row as it is now, whatever else was changed since the page was opened."""
    row = get_object_or_404(Client.objects.select_for_update(), pk=client.pk)
    if not may_set_status(request, row.status, status):
        raise PermissionDenied
    row.status = status.value
    with because(why):
        row.save(update_fields=["status", "updated_at"])
    publish_clients(request, [row.key])
