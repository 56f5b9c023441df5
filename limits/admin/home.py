"""The home page: the live version, current usage, clients in trouble, and the first steps on an empty
platform."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from limits.admin.charts import chart, hourly_bars
from limits.changes.overview import ShownChangeSet, awaiting_approval, shown_change_set
from limits.domain.descriptions import quantity
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
from limits.publishing.planned import planned_change_sets
from limits.publishing.rules import ForeignRules, require_own_rules
from limits.store.advice import advisor
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.ruleset import Version
from ratelimit_enforcer.engine import get_engine
from ratelimit_enforcer.store.connections.factory import store_connections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import Keys
from ratelimit_enforcer.store.ruleset_reader import RulesetReader

admin.site.index_template = "admin/limits/home.html"

MAX_COUNTED_CHANGES = 1_000
"""Maximum number of pending changes that are counted."""

LIST_LENGTH = 5
"""Maximum number of lines in each list."""

STORE_TIMEOUT = 0.1
"""Timeout of the page for Redis, in seconds."""

MAX_DELAY = timedelta(minutes=2)
"""Delay from which on missing counts are reported."""


@dataclass(frozen=True, slots=True)
class StoreState:
    """The version of the rules that Redis names (None: none or unknown), the reason why the newest
    publication may not be in force (else empty), and whether Redis answers."""

    version: Version | None = None
    problem: str = ""
    answers: bool = True


@dataclass(frozen=True, slots=True)
class Publishing:
    """The newest publication, and the version in force in Redis (None: none or unknown). ``problem`` is the
    reason why the newest one is not in force, else empty; ``pending_changes`` is the number of client changes that
    are not live yet."""

    newest: Publication | None
    in_force: Version | None
    problem: str
    pending_changes: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step to do before the platform limits anything."""

    done: bool
    title: str
    text: str
    url: str


def add_home(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Adds the context for the template; each part only for users who may see it."""
    steps, state = list(first_steps()), _store_state()
    home: dict[str, Any] = {
        "steps": steps if not all(step.done for step in steps) else (),
        "warnings": list(warnings(redis_available=state.answers)),
    }
    if request.user.has_perm("limits.view_publication"):
        home["publishing"] = publishing(state)
    if request.user.has_perm("limits.view_changeset"):
        home["change_sets"] = list(_change_sets(request))
    if request.user.has_perm("limits.view_usage"):
        home |= _figures()
    return context | {"title": "Home"} | home


def _change_sets(request: HttpRequest) -> Iterator[ShownChangeSet]:
    """What is scheduled or being tried; and what awaits approval, for those who may approve it."""
    yield from map(shown_change_set, planned_change_sets())
    if request.user.has_perm("limits.approve_change"):
        yield from map(shown_change_set, awaiting_approval())


def publishing(state: StoreState) -> Publishing:
    """Returns the newest version, whether it is live, and why not."""
    newest = Publication.objects.defer("content").order_by("-sequence").first()
    pending_changes = len(ClientChange.objects.values_list("pk")[:MAX_COUNTED_CHANGES])
    return Publishing(newest, state.version, state.problem if newest else "", pending_changes)


def warnings(*, redis_available: bool = True) -> Iterator[str]:
    """Yields warnings for operators, a sentence each. ``redis_available``: False skips the checks that need
    Redis, since a page that waits for several timeouts is useless in an outage."""
    if redis_available:
        yield from _store_warnings()
        yield from _damage_warnings()
    yield from _counting_warnings()


def _store_warnings() -> list[str]:
    """Returns a sentence for each setting of the store to change."""
    try:
        return advisor().check()
    except StoreError:
        return []


def _damage_warnings() -> Iterator[str]:
    try:
        found = usage_counts().damage_found()
    except StoreError:
        return
    if found is not None:
        kinds = ", ".join(f"{kind}: {entries:,}" for kind, entries in found.kinds.items())
        total, last = sum(found.kinds.values()), datetime.fromtimestamp(found.last, UTC)
        yield (
            f"{total:,} damaged entr{'y' if total == 1 else 'ies'} found in Redis ({kinds}), most recently on "
            f"{date_and_time(last)}. Damaged entries are set aside or reset. Another program "
            "writes to the platform's keys: check the password, ACL LIST, and programs that use the same NAMESPACE."
        )


def _counting_warnings() -> Iterator[str]:
    counted_until = figures.counted_until()
    if counted_until is not None and timezone.now() - counted_until > MAX_DELAY:
        yield (
            f"Usage was last read from Redis on {date_and_time(counted_until)}; the figures end there. Check that "
            "Celery worker and beat are running. No counts are lost: they stay in Redis until they are read."
        )
    if folded := figures.requests_without_client():
        yield (
            f"{quantity(folded, 'request')} in the last 24 hours came from more unregistered clients than are counted "
            "separately, and were counted together as “(other)”. This may be a flood of requests with random keys."
        )


def first_steps() -> Iterator[Step]:
    """Yields the setup steps of an empty platform, in order."""
    yield Step(
        Plan.objects.exists(),
        "Add a plan",
        "A tier, such as Free. Tick “Default plan” to apply the plan to all clients that have no other.",
        reverse("admin:limits_plan_add"),
    )
    yield Step(
        Endpoint.objects.exists(),
        "Add an endpoint",
        "A part of your API to protect: a name and routes, such as GET /api/products/{id}.",
        reverse("admin:limits_endpoint_add"),
    )
    yield Step(
        Policy.objects.exists(),
        "Add a policy",
        "Limits for the plan's clients on the endpoint, such as 100 per minute.",
        reverse("admin:limits_policy_add"),
    )
    yield Step(
        ApiToken.objects.filter(revoked_at=None).exists(),
        "Create an API token",
        "Your program authenticates with the token. It is shown only once.",
        reverse("admin:limits_apitoken_add"),
    )
    yield Step(
        _has_usage(),
        "Request the first decision",
        "Send POST /v1/check with the token from your program. The request appears here within seconds.",
        reverse("api-docs"),
    )


def _has_usage() -> bool:
    """Whether there was ever a request: minutes are stored for days only, hours and days for longer."""
    return any(model.objects.exists() for model in (Usage, UsageHour, UsageDay))


def _store_state() -> StoreState:
    """Reads the state over the connections of checks, with a timeout of a tenth of a second."""
    try:
        token = RulesetReader(store_connections(), Keys(setting("NAMESPACE"))).pointer(Deadline(STORE_TIMEOUT))
    except StoreError:
        sentence = f"Redis is unavailable, so the version in force is unknown. {_loaded_version()}"
        return StoreState(problem=sentence, answers=False)
    if token is None:
        return StoreState(
            problem=f"Redis contains no rules. Celery worker and beat restore them within seconds. {_loaded_version()}"
        )
    version = Version.parse(token)
    try:
        require_own_rules(version)
    except ForeignRules as error:
        return StoreState(problem=str(error))
    return StoreState(version)


def _loaded_version() -> str:
    """Returns a sentence about the rules that this server would apply."""
    current = get_engine().current
    if current is None:
        return "Servers continue with the rules that they loaded last; this server has none."
    switch = "on" if current.ruleset.shadow_all else "off"
    return (
        "Servers continue with the rules that they loaded last. This server: version "
        f"{current.version.sequence}, emergency switch {switch}; for the others, see /readyz. Changes go live when "
        "Redis is available again."
    )


def _figures() -> dict[str, Any]:
    """Clients are returned with the URL of their row; None if they are not registered."""
    clients = figures.most_throttled_clients(count=LIST_LENGTH)
    close = figures.close_to_a_limit(count=LIST_LENGTH)
    keys = {*(each.name for each in clients), *(each.client for each in close)}
    pages = dict(Client.objects.filter(key__in=keys).values_list("key", "pk"))
    return {
        "chart": chart(hourly_bars(figures.requests_by_hour()), "%H:%M", "%A %H:%M"),
        "reserved_cost": figures.reserved_cost(),
        "throttled_clients": [(each, pages.get(each.name)) for each in clients],
        "throttled_endpoints": figures.most_throttled_endpoints(count=LIST_LENGTH),
        "close": [(each, pages.get(each.client)) for each in close],
        "alerts": figures.open_alerts(count=LIST_LENGTH),
        "unknown": figures.unknown_endpoints(count=LIST_LENGTH),
    }
