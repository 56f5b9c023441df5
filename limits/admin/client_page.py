"""The page of a client above the form: current limits with their usage, buttons, and the chart of the last days."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from limits.admin.charts import chart, daily_bars
from limits.admin.client_actions import may_set_status, status_verb
from limits.admin.client_tree import tree
from limits.admin.grants import grants_section
from limits.admin.open_reservations import ReservationList, unsettled_reservations
from limits.admin.quick_overrides import end_of, raisable
from limits.admin.quota_peaks import monthly_peaks
from limits.admin.tags import clients_url, raise_url
from limits.domain.descriptions import duration, limit_sentence, limits_sentence
from limits.models import Client, CounterReset, Publication
from limits.monitoring.figures import client_by_hour, client_reserved_cost
from limits.reports.months import monthly_usage
from ratelimit_enforcer.domain import blocks
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.decision import LimitState
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, Partition
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.selection import described, plan_of
from ratelimit_enforcer.engine import ClientState, RulesetMissing, StoreError, get_engine
from ratelimit_enforcer.engine.explanation import blocked_ancestor

DAYS = 14


def client_page(request: HttpRequest, client: Client) -> dict[str, Any]:
    """Returns the context of the client's page: limits and their usage, possible actions, the chart of the
    last days, and the latest counter resets."""
    statuses = [status for status in ClientStatus if status != client.status]
    return (
        limits_section(request, client)
        | grants_section(request, client)
        | {
            "statuses": [
                _action(client, status) for status in statuses if may_set_status(request, client.status, status)
            ],
            "tags": _tags(request, client),
            "tree": tree(client),
            "may_reset": request.user.has_perm("limits.reset_client"),
            "chart": chart(daily_bars(client_by_hour(client.key, hours=_hours())), "%-d %b", "%A %-d %B"),
            "reserved_cost": client_reserved_cost(client.key, hours=_hours()),
            "months": [each for each in reversed(monthly_usage(client.key)) if each.requests],
            "report_url": _report_url(client),
            "peaks": monthly_peaks(client.key),
            "resets": CounterReset.objects.filter(client_key=client.key)[:3],
        }
    )


def _report_url(client: Client) -> str:
    query = urlencode({"client": client.key, "rows": "", "time": "month"})
    return f"{reverse('admin:limits_usage_report')}?{query}"


def _tags(request: HttpRequest, client: Client) -> list[dict[str, str]]:
    """Returns each tag with the URLs of its clients and, if the user may add an override for them, of the form."""
    may_raise = request.user.has_perm("limits.add_segmentoverride")
    return [
        {"name": tag, "clients": clients_url(tag), "raise": raise_url([tag]) if may_raise else ""}
        for tag in client.tags
    ]


def _hours() -> int:
    """Returns the number of hours of whole days, the last of which is not over."""
    return (DAYS - 1) * 24 + timezone.now().hour + 1


def limits_section(request: HttpRequest, client: Client) -> dict[str, Any]:
    """Returns the context of the part of the page that is refreshed periodically."""
    current, reservations = current_state(client.key)
    return {
        "client": client,
        "current_limits": current,
        "reservations": reservations,
        **_possible_overrides(request, client),
    }


def _possible_overrides(request: HttpRequest, client: Client) -> dict[str, Any]:
    """Returns ``may_override``: whether any limit of the client can be raised; ``until_sunday``: slugs of the
    policies whose limits can be raised until then. Nothing is offered if no limit applies."""
    if client.status != ClientStatus.ACTIVE or not request.user.has_perm("limits.add_override"):
        return {"may_override": False, "until_sunday": set()}
    now = timezone.now()
    sunday = end_of("sunday", None, now) or now
    return {
        "may_override": raisable(client, now).exists(),
        "until_sunday": set(raisable(client, sunday).values_list("slug", flat=True)),
    }


def _action(client: Client, status: ClientStatus) -> tuple[str, str]:
    return f"{status_verb(client, status)}…", reverse("admin:limits_client_status", args=[client.pk, status.value])


STORE_UNAVAILABLE = (
    "Redis is unavailable, so current usage is unknown. Until Redis is available again, each policy applies the "
    "setting “if Redis is down”."
)

NEARLY_FULL = 0.8
"""The fraction of a quota from which on a client is close to the limit."""


@dataclass(frozen=True, slots=True)
class LimitUsage:
    """One limit, shown as a bar. ``source``: the origin of the limit. ``used`` and ``capacity`` are whole units of
    cost. ``owner``: the ancestor that the limit belongs to; None: the client itself."""

    name: str
    policy: str
    endpoint: str
    sentence: str
    source: str
    used: int
    capacity: int
    mode: Mode
    available_again: str
    owner: Client | None = None

    @property
    def is_full(self) -> bool:
        return self.used >= self.capacity

    @property
    def is_nearly_full(self) -> bool:
        return not self.is_full and self.used >= NEARLY_FULL * self.capacity


@dataclass(frozen=True, slots=True)
class CurrentLimits:
    """``limits``: every limit that counts this client or an ancestor separately. ``has_inherited``: some are those of
    an ancestor. ``shared``: sentences for the limits that count all clients together. ``blocked_by``: the block of the
    client in words, if one is active. ``blocked_ancestor``: the ancestor whose status blocks the client, in words.
    ``problem``: why the state is unknown, else empty. ``root``: the key of the client's root."""

    plan: str | None = None
    status: ClientStatus = ClientStatus.ACTIVE
    limits: tuple[LimitUsage, ...] = ()
    has_inherited: bool = False
    shared: tuple[str, ...] = ()
    blocked_by: str = ""
    blocked_ancestor: str = ""
    problem: str = ""
    root: str = ""


def current_limits(key: str) -> CurrentLimits:
    """Reads the counters without consuming anything."""
    try:
        client_state = get_engine().peek_client(key)
    except RulesetMissing:
        return CurrentLimits(problem=missing_rules_reason())
    except StoreError:
        return CurrentLimits(problem=STORE_UNAVAILABLE)
    ruleset = client_state.ruleset
    records = (client_state.record, *client_state.ancestors)
    plan = plan_of(ruleset, client_state.record)
    limits = tuple(_limit_usages(client_state, records))
    return CurrentLimits(
        plan=next((each.name for each in ruleset.plans if each.slug == plan), None),
        status=client_state.status,
        limits=limits,
        has_inherited=any(usage.owner for usage in limits),
        shared=tuple(_shared_limits(ruleset, records, client_state.now)),
        blocked_by=blocks.described(client_state.block) if client_state.block else "",
        blocked_ancestor=blocked_ancestor(records),
        root=records[-1].key,
    )


def current_state(key: str) -> tuple[CurrentLimits, ReservationList]:
    """Reads the counters and the unsettled reservations of a client without consuming anything."""
    current = current_limits(key)
    try:
        reservations = ReservationList() if current.problem else unsettled_reservations(key, current.root)
    except StoreError:
        return CurrentLimits(problem=STORE_UNAVAILABLE), ReservationList()
    return current, reservations


def missing_rules_reason() -> str:
    """Returns why this process has no rules: there are none, or it could not read them."""
    return STORE_UNAVAILABLE if Publication.objects.exists() else "Nothing has been published yet, so no limits apply."


def _limit_usages(client_state: ClientState, records: Sequence[ClientRecord]) -> Iterator[LimitUsage]:
    ruleset = client_state.ruleset
    policies = {policy.slug: policy for policy in ruleset.policies}
    names = {endpoint.slug: endpoint.name for endpoint in ruleset.endpoints}
    sources = {record.key: _Sources(ruleset, record) for record in records}
    owners = {row.key: row for row in Client.objects.filter(key__in=[record.key for record in records[1:]])}
    for state in client_state.decision.limits:
        endpoint = client_state.endpoints[state.policy]
        whose = state.client or client_state.record.key
        yield LimitUsage(
            name=state.name,
            policy=state.policy,
            endpoint=names.get(endpoint, endpoint) if endpoint else "All requests",
            sentence=limit_sentence(state.limit),
            source=sources[whose].of(state, policies[state.policy]) if whose in sources else "",
            used=state.used,
            capacity=state.limit.capacity,
            mode=state.mode,
            available_again=available_again(state),
            owner=owners.get(whose),
        )


def available_again(state: LimitState) -> str:
    """“some in 12 seconds, all in 58 seconds”: when used capacity becomes available again; empty if nothing is
    used. For a concurrency limit the latest time, since requests usually end earlier."""
    if state.next_capacity_after is None:
        return ""
    if state.limit.algorithm is Algorithm.CONCURRENCY:
        return f"as requests end, all within {about(state.reset_after)}"
    return f"some in {about(state.next_capacity_after)}, all in {about(state.reset_after)}"


def about(seconds: float) -> str:
    """“0.4 seconds”, “58 seconds”, “about 3 hours”"""
    if seconds < 10:
        return f"{seconds:.1f} seconds"
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    unit = 60 if seconds < 7_200 else 3_600 if seconds < 172_800 else 86_400
    words = duration(round(seconds / unit) * unit)
    return f"about {words if words[0].isdigit() else f'one {words}'}"


class _Sources:
    """The origin of a client's limits: an override, the plan, or all plans."""

    def __init__(self, ruleset: Ruleset, record: ClientRecord) -> None:
        self._plans = {plan.slug: plan.name for plan in ruleset.plans}
        self._is_default = record.plan is None or record.plan not in self._plans

    def of(self, state: LimitState, policy: Policy) -> str:
        if state.override:
            return described(state.override)
        if policy.plan is None:
            return "all plans"
        name = self._plans[policy.plan]
        return f"default plan ({name})" if self._is_default else f"plan {name}"


def _shared_limits(ruleset: Ruleset, records: Sequence[ClientRecord], now: int) -> Iterator[str]:
    above = [record for record in records[1:] if record.status is not ClientStatus.EXEMPT]
    plans = {None, *(plan_of(ruleset, record) for record in (records[0], *above))}
    for policy in ruleset.policies:
        is_on = policy.plan in plans and ruleset.mode_of(policy) is not Mode.DISABLED
        if is_on and policy.is_active(now) and policy.partition is Partition.GLOBAL:
            where = f"on {policy.endpoint}" if policy.endpoint else "on all requests"
            yield f"{limits_sentence(policy.limits)} {where} ({policy.slug})"
