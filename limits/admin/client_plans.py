"""Moving a selection of clients to another plan."""

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget

from limits.admin.form_page import reason_field
from limits.admin.publishing import publish_clients
from limits.models import Client, Plan
from limits.models.history import because, update_with_history

AT_ONCE = 5_000
"""Clients that are brought to the servers while the page waits; more of them go live by themselves."""


class MoveForm(forms.Form):
    """Where to, and why."""

    plan = forms.ModelChoiceField(
        Plan.objects.all(), required=False, empty_label="the default plan", widget=UnfoldAdminSelectWidget
    )
    why = reason_field("They all bought Pro at the fair.")


def move_view(request: HttpRequest, admin_site: AdminSite, clients: QuerySet[Client]) -> HttpResponse | None:
    """Asks for the plan, then moves. None: done, so back to the list."""
    form = MoveForm(request.POST if "_move" in request.POST else None)
    if form.is_bound and form.is_valid():
        _move(request, clients, form.cleaned_data["plan"], form.cleaned_data["why"])
        return None
    context = {
        **admin_site.each_context(request),
        "title": "Move clients to a plan",
        "opts": Client._meta,
        "form": form,
        "count": clients.count(),
        "some": list(clients[:10]),
        "fields": list(_fields(request)),
        "back": reverse("admin:limits_client_changelist"),
    }
    return TemplateResponse(request, "admin/limits/client/move.html", context)


def _fields(request: HttpRequest) -> Any:
    """The selection as it was sent, to be sent again."""
    for name in ("action", "select_across", ACTION_CHECKBOX_NAME):
        yield from ((name, value) for value in request.POST.getlist(name))


@transaction.atomic
def _move(request: HttpRequest, clients: QuerySet[Client], plan: Plan | None, why: str) -> None:
    """One revision for each client, with its history, and one delivery for all."""
    moving = clients.exclude(plan=plan) if plan else clients.exclude(plan=None)
    rows = list(moving.order_by("pk").select_for_update(of=("self",)))
    for row in rows:
        row.plan = plan
    with because(why):
        update_with_history(Client, rows, ["plan"])
    messages.success(request, f"{len(rows):,} clients are on {plan or 'the default plan'} now.")
    if 0 < len(rows) <= AT_ONCE:
        publish_clients(request, [row.key for row in rows])
    elif rows:
        messages.info(request, "They are so many that they go live one after another, within a few minutes.")
