"""Moving a selection of clients to another plan."""

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget

from limits.admin.bulk import AT_MOST, chunks, selection
from limits.admin.form_page import reason_field
from limits.admin.publishing import publish_many_clients
from limits.models import Client, Plan
from limits.models.history import because, update_with_history


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
        "fields": selection(request),
        "back": reverse("admin:limits_client_changelist"),
    }
    return TemplateResponse(request, "admin/limits/client/move.html", context)


def _move(request: HttpRequest, clients: QuerySet[Client], plan: Plan | None, why: str) -> None:
    """One revision for each client, with its history, and one delivery for all."""
    moving = clients.exclude(plan=plan) if plan else clients.exclude(plan=None)
    keys: list[str] = []
    for chunk in chunks(moving):
        keys += _move_chunk(chunk, plan, why)
    messages.success(request, f"{len(keys):,} clients are on {plan or 'the default plan'} now.")
    if len(keys) == AT_MOST and (left := moving.count()):
        messages.warning(request, f"{left:,} more match. One step moves {AT_MOST:,}: select them again and go on.")
    publish_many_clients(request, keys)


@transaction.atomic
def _move_chunk(chunk: QuerySet[Client], plan: Plan | None, why: str) -> list[str]:
    rows = list(chunk.order_by("pk").select_for_update(of=("self",)))
    for row in rows:
        row.plan = plan
    with because(why):
        update_with_history(Client, rows, ["plan"])
    return [row.key for row in rows]
