"""The page of a plan above the form: its clients, and its limits with their overrides. Moving a plan in the list."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.db.models import Count, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from limits.admin.base import MAX_COUNTED_ROWS
from limits.admin.permissions import require_permission
from limits.domain.descriptions import quantity
from limits.models import Client, Override, Plan, Policy, SegmentOverride
from limits.models.plan_order import move_plan

PLACES = {"up": -1, "down": 1}


@dataclass(frozen=True, slots=True)
class Counted:
    """Some rows in words, such as “2 overrides”, with the URL of their list."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class LimitOfPlan:
    """A policy that limits clients of the plan."""

    policy: Policy
    overrides: tuple[Counted, ...]


def plan_page(plan: Plan) -> dict[str, Any]:
    """Returns the context of the plan's page."""
    return {"shown_plan": plan, "plan_clients": list(_clients(plan)), "plan_limits": list(_limits(plan))}


def _clients(plan: Plan) -> Iterator[Counted]:
    rows = Client.objects.filter(plan=plan)
    yield Counted(f"{_count(rows, 'client')} on this plan", f"{_list(Client)}?plan__id__exact={plan.pk}")
    if plan.is_default:
        rows = Client.objects.filter(plan=None, parent=None)
        yield Counted(
            f"{_count(rows, 'client')} with neither a plan nor a parent", f"{_list(Client)}?plan__isnull=True"
        )


def _count(rows: QuerySet[Any], noun: str) -> str:
    count = rows.order_by()[: MAX_COUNTED_ROWS + 1].count()
    return quantity(count, noun) if count <= MAX_COUNTED_ROWS else f"more than {MAX_COUNTED_ROWS:,} {noun}s"


def _list(model: type[Model]) -> str:
    return reverse(f"admin:limits_{model._meta.model_name}_changelist")


def _limits(plan: Plan) -> Iterator[LimitOfPlan]:
    """The policies of the plan, then those of all plans."""
    policies = Policy.objects.filter(Q(plan=plan) | Q(plan=None)).select_related("endpoint").prefetch_related("limits")
    rows = sorted(policies, key=lambda policy: policy.plan_id is None)
    counts = {model: _overrides_of(model, rows) for model in (Override, SegmentOverride)}
    for row in rows:
        found = ((model, counts[model].get(row.pk, 0)) for model in counts)
        yield LimitOfPlan(row, tuple(_overrides(model, row, count) for model, count in found if count))


def _overrides_of(model: type[Model], policies: list[Policy]) -> dict[int, int]:
    rows = model._default_manager.filter(policy__in=policies).order_by()
    return dict(rows.values("policy").annotate(count=Count("pk")).values_list("policy", "count"))


def _overrides(model: type[Model], policy: Policy, count: int) -> Counted:
    text = quantity(count, str(model._meta.verbose_name))
    return Counted(text, f"{_list(model)}?policy__id__exact={policy.pk}")


def move_view(request: HttpRequest, object_id: int, way: str) -> HttpResponse:
    """Moves a plan up or down in the order of plans, and returns to its place in the list."""
    require_permission(request, "limits.change_plan")
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    plan = get_object_or_404(Plan, pk=object_id)
    place, count = move_plan(plan, PLACES[way])
    messages.success(request, f"“{plan}” is now number {place} of {count} plans.")
    return HttpResponseRedirect(f"{_list(Plan)}#move-{plan.pk}")
