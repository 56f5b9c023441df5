"""The first page: what is live, what happens, who is in trouble; and what to do first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from limits.admin.charts import chart, of_hours
from limits.admin.store_warnings import store_warnings
from limits.conf import setting
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
from limits.monitoring.drain import usage_counts
from limits.publishing.origin import ForeignRules, require_ours
from limits.store.connection import hot_connections
from limits.store.deadline import Deadline
from limits.store.errors import StoreError
from limits.store.keys import Keys
from limits.store.rules import RulesetReader

admin.site.index_template = "admin/limits/home.html"

COUNTED = 1_000
"""Waiting changes that are counted at most."""

SHOWN = 5
"""Lines of each list."""

PATIENCE = 0.1
"""Seconds that the page waits for Redis."""

BEHIND = timedelta(minutes=2)
"""From when on counts that do not arrive are told of."""


@dataclass(frozen=True, slots=True)
class InRedis:
    """The version of the rules that Redis names (None: none, or not known), why what is recorded may not
    be in force (else empty), and whether Redis answers."""

    version: Version | None = None
    problem: str = ""
    answers: bool = True


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
    steps, in_redis = list(first_steps()), _in_redis()
    home: dict[str, Any] = {
        "steps": steps if not all(step.done for step in steps) else (),
        "warnings": list(warnings(redis_answers=in_redis.answers)),
    }
    if request.user.has_perm("limits.view_publication"):
        home["publishing"] = publishing(in_redis)
    if request.user.has_perm("limits.view_usage"):
        home |= _figures()
    return context | {"title": "Home"} | home


def publishing(in_redis: InRedis) -> Publishing:
    """The newest version, whether it is live, and why not."""
    newest = Publication.objects.defer("content").order_by("-sequence").first()
    waiting = len(ClientChange.objects.values_list("pk")[:COUNTED])
    return Publishing(newest, in_redis.version, in_redis.problem if newest else "", waiting)


def warnings(*, redis_answers: bool = True) -> Iterator[str]:
    """What an operator should know, a sentence each. Redis is not asked again where it did not answer:
    a page that waits for one timeout after the other is of no use in an outage."""
    if redis_answers:
        yield from store_warnings()
        yield from _damage_warnings()
    yield from _counting_warnings()


def _damage_warnings() -> Iterator[str]:
    try:
        found = usage_counts().damage_found()
    except StoreError:
        return
    if found is not None:
        kinds = ", ".join(f"{kind}: {entries:,}" for kind, entries in found.kinds.items())
        last = datetime.fromtimestamp(found.last, UTC)
        yield (
            f"{sum(found.kinds.values()):,} damaged entries in Redis in the last days ({kinds}), last: "
            f"{last:%-d %B, %H:%M} UTC. They were set aside or begun anew, and the rest went on. Something else "
            "writes to the platform's keys: look at who knows the password, at ACL LIST, and for programs with the "
            "same NAMESPACE."
        )


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


def _in_redis() -> InRedis:
    """Asks over the connections of checks, which wait for a tenth of a second at most."""
    try:
        token = RulesetReader(hot_connections(), Keys(setting("NAMESPACE"))).pointer(Deadline(PATIENCE))
    except StoreError:
        sentence = f"Redis is unavailable, so it is not known which version servers decide by. {_held_here()}"
        return InRedis(problem=sentence, answers=False)
    if token is None:
        return InRedis(
            problem=f"Redis holds no rules. The worker and beat bring them back within seconds. {_held_here()}"
        )
    version = Version.parse(token)
    try:
        require_ours(version)
    except ForeignRules as error:
        return InRedis(problem=str(error))
    return InRedis(version)


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
