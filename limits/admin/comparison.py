"""Comparison of plans: plans as columns, endpoints as rows, and limits as text in the cells."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite
from django.core.paginator import Paginator
from django.db.models import Model, Q
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from limits.domain.descriptions import dates_sentence, limits_sentence
from limits.models import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.attributes import match_of
from ratelimit_enforcer.domain.enums import Algorithm, Mode, Partition
from ratelimit_enforcer.domain.limit import Limit

BACK = {"back": "comparison"}


ROWS = 50
"""Endpoints per page."""


@dataclass(frozen=True, slots=True)
class Place:
    """The subject of a row: an endpoint, or all requests together (``pk`` None)."""

    pk: int | None
    name: str
    slug: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A policy in a cell. ``badges``: a label for each unusual property."""

    slug: str
    sentence: str
    url: str
    badges: tuple[str, ...]
    own: bool
    """Whether the policy belongs to this plan rather than to all plans."""
    limits: tuple[Limit, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """The policies of one plan on one endpoint. ``difference``: from the plan on the left, as text; empty if
    there is none."""

    entries: tuple[Entry, ...]
    add_url: str
    plan: str
    difference: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint, or all requests, across all plans."""

    name: str
    slug: str
    cells: tuple[Cell, ...]

    @property
    def differs(self) -> bool:
        return any(cell.difference for cell in self.cells)


class ReturnsToComparison:
    """A mixin for forms that the comparison links to: a save redirects back to the comparison."""

    def response_post_save_change(self, request: HttpRequest, obj: Model) -> HttpResponse:
        return _back(request) or super().response_post_save_change(request, obj)  # type: ignore[misc]

    def response_post_save_add(self, request: HttpRequest, obj: Model) -> HttpResponse:
        return _back(request) or super().response_post_save_add(request, obj)  # type: ignore[misc]


def _back(request: HttpRequest) -> HttpResponse | None:
    if request.GET.get("back") != BACK["back"]:
        return None
    return HttpResponseRedirect(reverse("admin:limits_plan_compare"))


def comparison_view(request: HttpRequest, admin_site: AdminSite) -> HttpResponse:
    """The page. ``?plan=`` (repeatable): only these plans; ``?q=``: endpoints whose name or slug contains it;
    ``?differing=on``: only rows in which plans differ; ``?p=``: the page of rows."""
    every_plan = list(Plan.objects.all())
    chosen = set(request.GET.getlist("plan"))
    plans = [plan for plan in every_plan if not chosen or plan.slug in chosen]
    search, differing = request.GET.get("q", "").strip(), "differing" in request.GET
    places = [place for place in _places() if _matches(place, search)]
    if differing:
        differ = {row.slug for row in _rows(plans, places) if row.differs}
        places = [place for place in places if place.slug in differ]
    page = Paginator(places, ROWS).get_page(request.GET.get("p"))
    context = {
        **admin_site.each_context(request),
        "title": "Compare plans",
        "opts": Plan._meta,
        "plans": plans,
        "every_plan": every_plan,
        "chosen": chosen,
        "rows": list(_rows(plans, list(page.object_list))),
        "page": page,
        "search": search,
        "differing": differing,
        "may_edit": request.user.has_perm("limits.change_policy"),
        "may_add": request.user.has_perm("limits.add_policy"),
        "may_copy": request.user.has_perm("limits.add_plan") and request.user.has_perm("limits.add_policy"),
        "is_fullwidth": "1",
    }
    return TemplateResponse(request, "admin/limits/plan/compare.html", context)


def _places() -> list[Place]:
    """Returns the subjects of all rows: all requests together, then the endpoints."""
    endpoints = Endpoint.objects.order_by("name").values_list("pk", "name", "slug")
    return [Place(None, "All requests together", ""), *(Place(*endpoint) for endpoint in endpoints)]


def _matches(place: Place, search: str) -> bool:
    return search.lower() in place.name.lower() or search.lower() in place.slug


def _rows(plans: Sequence[Plan], places: Sequence[Place]) -> Iterator[Row]:
    policies: defaultdict[tuple[Any, Any], list[Entry]] = defaultdict(list)
    shown = Q(endpoint__in=[place.pk for place in places if place.pk]) | Q(endpoint=None)
    for policy in Policy.objects.filter(shown).order_by("slug").prefetch_related("limits"):
        policies[policy.endpoint_id, policy.plan_id].append(_entry(policy))
    add = reverse("admin:limits_policy_add")
    for place in places:
        yield Row(place.name, place.slug, tuple(_cells(plans, place.pk, policies, add)))


def _cells(
    plans: Sequence[Plan], endpoint: int | None, policies: defaultdict[tuple[Any, Any], list[Entry]], add: str
) -> Iterator[Cell]:
    """Yields cells from left to right, each compared with the one before it."""
    shared = tuple(policies.get((endpoint, None), ()))
    left: tuple[Plan, tuple[Entry, ...]] | None = None
    for plan in plans:
        own = tuple(policies.get((endpoint, plan.pk), ()))
        difference = _difference(*left, own) if left else ""
        query = {"plan": plan.pk, **({"endpoint": endpoint} if endpoint else {}), **BACK}
        yield Cell(own + shared, f"{add}?{urlencode(query)}", plan.name, difference)
        left = plan, own


def _difference(plan: Plan, left: tuple[Entry, ...], right: tuple[Entry, ...]) -> str:
    """“10 × Free”, “differs from Free”"""
    if [(each.limits, each.badges) for each in left] == [(each.limits, each.badges) for each in right]:
        return ""
    times = _times(left, right)
    return f"{times:,g} × {plan.name}" if times else f"differs from {plan.name}"


def _times(left: tuple[Entry, ...], right: tuple[Entry, ...]) -> float | None:
    """Returns the ratio of the quotas if both sides have one limit of the same kind; else None."""
    if [len(each.limits) for each in (*left, *right)] != [1, 1] or len(left) != len(right):
        return None
    one, other = left[0].limits[0], right[0].limits[0]
    same = one.algorithm is not Algorithm.TOKEN_BUCKET and replace(one, quota=0) == replace(other, quota=0)
    if not same or not one.quota or left[0].badges != right[0].badges:
        return None
    return round(other.quota / one.quota, 2)


def _entry(policy: Policy) -> Entry:
    limits = tuple(limit.as_domain() for limit in policy.limits.all())
    url = f"{reverse('admin:limits_policy_change', args=[policy.pk])}?{urlencode(BACK)}"
    own = policy.plan_id is not None
    return Entry(policy.slug, limits_sentence(limits), url, tuple(_badges(policy)), own, limits)


def _badges(policy: Policy) -> Iterator[str]:
    if policy.plan_id is None:
        yield "all plans"
    if policy.partition == Partition.GLOBAL:
        yield "shared by all clients"
    if policy.attributes:
        yield f"by {', '.join(policy.attributes)}"
    if policy.match:
        yield f"only if {match_of(policy.match)}"
    if policy.mode == Mode.SHADOW:
        yield "shadow"
    if policy.mode == Mode.DISABLED:
        yield "disabled"
    if policy.is_dated:
        yield dates_sentence(policy.starts_at, policy.ends_at)
