"""The first page: what is live, what happens, who is in trouble; and what to do first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from limits.admin.charts import chart, of_hours
from limits.admin.store_warnings import store_warnings
from limits.domain.ruleset import Version
from limits.enforcement import get_engine
from limits.models import (
    ApiToken,
    Client,
    ClientChange,
    Endpoint,
    Plan,
    Policy,
    Publication,
    Usage,
    UsageDay,
    UsageHour,
)
from limits.monitoring import figures
from limits.publishing.delivery import ruleset_writer
from limits.publishing.origin import ForeignRules, require_ours
from limits.store.errors import StoreUnavailable

admin.site.index_template = "admin/limits/home.html"

COUNTED = 1_000
"""Waiting changes that are counted at most."""

SHOWN = 5
"""Lines of each list."""

BEHIND = timedelta(minutes=2)
"""From when on counts that do not arrive are told of."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """What is recorded, and what is in force: the version that Redis holds (None: none, or not known).
    ``problem`` says why the newest version is not, else it is empty; ``waiting`` are changes of clients
    that are not live yet."""

    newest: Publication | None
    in_force: Version | None
    problem: str
    waiting: int


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do before the platform limits anything."""

    done: bool
    title: str
    text: str
    url: str


def add_home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the template shows; each part only to who may see it."""
    steps = list(first_steps())
    home: dict[str, Any] = {
        "steps": steps if not all(step.done for step in steps) else (),
        "warnings": list(warnings()),
    }
    if request.user.has_perm("limits.view_publication"):
        home["publishing"] = publishing()
    if request.user.has_perm("limits.view_usage"):
        home |= _figures()
    return context | {"title": "Home"} | home


def publishing() -> Publishing:
    """The newest version, whether it is live, and why not."""
    newest = Publication.objects.defer("content").order_by("-sequence").first()
    waiting = len(ClientChange.objects.values_list("pk")[:COUNTED])
    in_force, problem = _in_force() if newest else (None, "")
    return Publishing(newest, in_force, problem, waiting)


def warnings() -> Iterator[str]:
    """What an operator should know, a sentence each. Whoever finds something adds it here."""
    yield from store_warnings()
    yield from _counting_warnings()


def _counting_warnings() -> Iterator[str]:
    counted = figures.counted_until()
    if counted is not None and timezone.now() - counted > BEHIND:
        yield (
            f"Counts were last brought here {counted:%-d %B, %H:%M} UTC; the figures end there. "
            "Is the Celery worker running, and beat? Nothing is lost: counts wait in Redis."
        )
    if folded := figures.callers_folded():
        yield (
            f"{folded:,} requests of the last 24 hours came from so many different callers that those who are not "
            "registered were counted together, as “(other)”. Somebody may be making up keys."
        )


def first_steps() -> Iterator[Step]:
    """What an empty platform needs, in this order."""
    yield Step(
        Plan.objects.exists(),
        "Add a plan",
        "The tier that everybody is on until they have another, such as Free. Tick “default plan”.",
        reverse("admin:limits_plan_add"),
    )
    yield Step(
        Endpoint.objects.exists(),
        "Add an endpoint",
        "Which part of your API is protected: a name, and its routes, such as GET /api/products/{id}.",
        reverse("admin:limits_endpoint_add"),
    )
    yield Step(
        Policy.objects.exists(),
        "Add a policy",
        "How much the plan's clients may use of the endpoint, such as 100 per minute.",
        reverse("admin:limits_policy_add"),
    )
    yield Step(
        ApiToken.objects.filter(revoked_at=None).exists(),
        "Make an API token",
        "What your program identifies itself with. It is shown once.",
        reverse("admin:limits_apitoken_add"),
    )
    yield Step(
        _was_asked(),
        "Ask for the first decision",
        "Send POST /v1/check with the token from your program. It shows here some seconds later.",
        reverse("api-docs"),
    )


def _was_asked() -> bool:
    """Whether there was ever a request: minutes are kept for days only, hours and days for longer."""
    return any(model.objects.exists() for model in (Usage, UsageHour, UsageDay))


def _in_force() -> tuple[Version | None, str]:
    """The version that Redis holds (None: none, or not known), and why what is recorded may not be in
    force; empty where nothing is wrong."""
    try:
        found = ruleset_writer().pointer()
        if found is not None:
            require_ours(found)
    except StoreUnavailable:
        return None, f"Redis is unavailable, so it is not known which version servers decide by. {_held_here()}"
    except ForeignRules as error:
        return None, str(error)
    if found is None:
        return None, f"Redis holds no rules. The worker and beat bring them back within seconds. {_held_here()}"
    return found, ""


def _held_here() -> str:
    """What this server itself would answer by."""
    held = get_engine().held
    if held is None:
        return "Each server goes on with the rules that it held; this one holds none."
    switch = "on" if held.ruleset.shadow_all else "off"
    return (
        f"Each server goes on with the rules that it held: this one with version {held.version.sequence}, emergency "
        f"switch {switch}; the others say in /readyz. Changes go live when Redis is back."
    )


def _figures() -> dict[str, Any]:
    """Clients come with the page of their row; None: they are not registered."""
    clients = figures.most_throttled_clients(count=SHOWN)
    close = figures.close_to_a_limit(count=SHOWN)
    keys = {*(each.name for each in clients), *(each.client for each in close)}
    pages = dict(Client.objects.filter(key__in=keys).values_list("key", "pk"))
    return {
        "chart": chart(of_hours(figures.requests_by_hour()), "%H:%M", "%A %H:%M"),
        "throttled_clients": [(each, pages.get(each.name)) for each in clients],
        "throttled_endpoints": figures.most_throttled_endpoints(count=SHOWN),
        "close": [(each, pages.get(each.client)) for each in close],
        "alerts": figures.open_alerts(count=SHOWN),
        "unknown": figures.unknown_endpoints(count=SHOWN),
    }
