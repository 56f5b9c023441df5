"""Twice the rules cause at most 2.5 times the work in steps: review, export, selection, decisions, and
pages."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
import yaml

from api.decisions import decision_body, decision_response
from limits.admin import client_page
from limits.admin.overrides import overlapping_forms
from limits.configfile import apply
from limits.domain import differences, rule_items
from limits.models import Override as OverrideRow
from limits.models import Policy as PolicyRow
from ratelimit_enforcer.domain import decision as decisions
from ratelimit_enforcer.domain import selection, validation
from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.decision import CheckRequest, Decision, LimitStates
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, Partition, Reason
from ratelimit_enforcer.domain.headers import LegacyHeaders, closest_to_denying, rate_limit_headers
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset, Version
from ratelimit_enforcer.domain.selection import EffectivePolicy, effective, select
from ratelimit_enforcer.engine import ClientState, explanation, layouts, prepared_ruleset
from ratelimit_enforcer.engine.fallback import LocalCounters
from ratelimit_enforcer.engine.prepared_ruleset import PreparedRuleset
from ratelimit_enforcer.store.heartbeats import ALONE
from tests.support.work import MOST, Call, Case, Word, counted_enumerate, counted_range, growth, words

NOW = 1_800_000_000_000_000


_POSITIONS = (
    client_page,
    decisions,
    differences,
    explanation,
    rule_items,
    layouts,
    prepared_ruleset,
    selection,
    apply,
    validation,
)
"""Modules in which positions in lists are compared in Python code, so that the comparisons are counted."""


@pytest.fixture(autouse=True)
def counted_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in _POSITIONS:
        monkeypatch.setattr(module, "range", counted_range, raising=False)
        monkeypatch.setattr(module, "enumerate", counted_enumerate, raising=False)


def rules(size: int, quota: int = 1, partition: Partition = Partition.CLIENT) -> Ruleset:
    """``size`` plans, endpoints and policies each."""
    plans, endpoints, slugs = words("plan", size), words("e", size), words("p", size)
    return Ruleset(
        plans=tuple(Plan(slug, slug) for slug in plans),
        default_plan=Word("plan-0"),
        endpoints=tuple(Endpoint(slug, slug, (Route("GET", f"/{slug}"),)) for slug in endpoints),
        policies=tuple(Policy(slug, (Limit(quota, 60),), partition=partition) for slug in slugs),
    )


def own_rules(size: int) -> Ruleset:
    """Each policy has a different plan and endpoint; every second one counts all clients together."""
    both = rules(size)
    places = zip(words("p", size), words("plan", size), words("e", size), strict=True)
    kinds = (Partition.CLIENT, Partition.GLOBAL)
    policies = tuple(
        Policy(slug, (Limit(1, 60),), plan, endpoint, kinds[at % 2]) for at, (slug, plan, endpoint) in enumerate(places)
    )
    return Ruleset(both.plans, both.default_plan, both.endpoints, policies)


def review(before: Ruleset, after: Ruleset) -> Call:
    return lambda: (differences.differences(before, after), before.to_bytes(), Ruleset.from_bytes(after.to_bytes()))


def problems_of(size: int) -> Call:
    wrong, right = rules(size, quota=-1), own_rules(size)
    twice = Ruleset(right.plans * 2, None, right.endpoints * 2, right.policies)
    return lambda: [list(validation.ruleset_problems(each)) for each in (wrong, right, twice)]


def unpublished_changes(size: int) -> Call:
    def named(word: str) -> apply.Unpublished:
        return apply.Unpublished(*(dict.fromkeys(words(kind, size), word) for kind in ("p", "c", "r")))

    before, after = named("a"), named("b")
    return lambda: list(apply.unpublished_changes(before, after))


def exported(size: int) -> Call:
    found = rules(size)

    def call() -> None:
        plans = [rule_items.item_of_plan(plan, is_default=False) for plan in found.plans]
        endpoints = [rule_items.item_of_endpoint(endpoint) for endpoint in found.endpoints]
        policies = [rule_items.item_of_policy(each, "a name") for each in found.policies]
        content = json.loads(json.dumps([plans, endpoints, policies]))
        yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)

    return call


RULES: dict[str, tuple[Case, int]] = {
    "nothing changed": (lambda size: review(rules(size), rules(size)), 200),
    "everything changed": (lambda size: review(rules(size), rules(size, quota=2)), 200),
    "everything added": (lambda size: review(Ruleset(), rules(size)), 200),
    "everything removed": (lambda size: review(rules(size), Ruleset()), 200),
    "what cannot be published": (problems_of, 200),
    "what servers need not know": (unpublished_changes, 200),
    "an export": (exported, 50),
}


def record(size: int) -> ClientRecord:
    return ClientRecord("ann", 1, overrides=tuple(Override(slug, (Limit(2, 60),)) for slug in words("p", size)))


def decision(size: int, *, allowed: bool) -> Decision:
    found = effective(rules(size), record(0), rules(size).policies, NOW).policies
    readings = [(allowed, 1, 0, 60_000_000, 60_000_000)] * size
    states = LimitStates(found, 1, readings, consumes=allowed)
    return Decision(allowed, None if allowed else Reason.LIMIT, "ann", "plan-0", None, 1, 1, limits=states)


def answer(*, allowed: bool) -> Case:
    def case(size: int) -> Call:
        found = decision(size, allowed=allowed)
        return lambda: (
            rate_limit_headers(found, LegacyHeaders.BESIDE),
            decision_body(found),
            decision_response(found),
            closest_to_denying([found, found]),
        )

    return case


def counted_locally(size: int) -> Call:
    found = effective(rules(size), record(0), rules(size).policies, NOW).policies
    return lambda: LocalCounters().check(1, ALONE, ("ann",), CheckRequest("ann"), found, 1, NOW, consume=True)


def holding(found: Ruleset) -> PreparedRuleset:
    return PreparedRuleset(Version("e", 1, "d"), found)


def layout(make: Callable[[int], Ruleset]) -> Case:
    def case(size: int) -> Call:
        hold, client = holding(make(size)), record(size)
        return lambda: hold.layout(client, "e-0", NOW)

    return case


def mixed_rules(size: int) -> Ruleset:
    """Policies of which every second one counts all clients together."""
    kinds = (Partition.CLIENT, Partition.GLOBAL)
    policies = [Policy(slug, (Limit(1, 60),), partition=kinds[at % 2]) for at, slug in enumerate(words("p", size))]
    return Ruleset((Plan("plan-0", "Plan"),), "plan-0", policies=tuple(policies))


def all_layouts(size: int) -> Call:
    """With several consecutive overrides of each policy."""
    hold, several = holding(rules(size)), record(size).overrides * 8
    return lambda: hold.all_layouts(ClientRecord("ann", 1, overrides=several), NOW)


def explained(size: int) -> Call:
    """For a client below a parent, which has a plan too."""
    found, answered = rules(size), decision(size, allowed=True)
    records = (replace(record(size), parent="acme"), ClientRecord("acme", 1, plan="plan-0"))
    return lambda: list(explanation._policies(found, answered, records, NOW, {}))


def bars(size: int) -> Call:
    found = own_rules(size)
    seen = ClientState(
        found, record(size), ClientStatus.ACTIVE, decision(size, allowed=True), dict.fromkeys(words("p", size)), NOW
    )
    records = (seen.record,)
    return lambda: (
        list(client_page._limit_usages(seen, records)),
        list(client_page._shared_limits(found, records, NOW)),
    )


def typed_overrides(size: int) -> Call:
    """The override forms of one client, half of them for the same policy."""
    policies = [PolicyRow(pk=at, slug=slug) for at, slug in enumerate(words("p", size))]
    spans = [{"starts_at": datetime(1_000 + at, 1, 1, tzinfo=UTC), "ends_at": None} for at in range(size)]
    found = [OverrideRow(policy=policies[at % 2 * at], **spans[at]) for at in range(size)]
    return lambda: list(overlapping_forms([SimpleNamespace(instance=each) for each in found]))


def calendar(size: int) -> Call:
    limits = tuple(Limit(at, None, Algorithm.CALENDAR, period="day", timezone="UTC") for at in range(size))  # type: ignore[arg-type]
    policies = (Policy("p", limits),)
    found = Ruleset((Plan("free", "Free"),), "free", policies=policies)
    return lambda: select(found, ClientRecord("ann"), None, NOW)


def states_of_disabled(size: int) -> Call:
    both: Sequence[EffectivePolicy] = [EffectivePolicy(each, Mode.SHADOW, each.limits) for each in rules(size).policies]
    found = LimitStates(both, 1, [(True, 0, 0, 0, 0)] * size, consumes=False)
    shadow = Decision(True, None, "ann", None, None, 1, 1, limits=found)
    return lambda: (shadow.leading, shadow.denying, shadow.retry_after, rate_limit_headers(shadow))


DECISIONS: dict[str, tuple[Case, int]] = {
    "an admission by many limits": (answer(allowed=True), 200),
    "a denial by many limits": (answer(allowed=False), 200),
    "limits that only report": (states_of_disabled, 200),
    "selection": (lambda size: lambda: select(rules(size), record(size), "e-0", NOW), 200),
    "selection of calendar limits": (calendar, 200),
    "a layout": (layout(rules), 200),
    "a layout of policies for all": (layout(lambda size: rules(size, partition=Partition.GLOBAL)), 200),
    "a layout of both": (layout(mixed_rules), 400),
    "all limits of a client": (all_layouts, 800),
    "counters of a process": (counted_locally, 200),
    "an explanation": (explained, 200),
    "a client's page": (bars, 200),
    "overrides typed together": (typed_overrides, 100),
}


CASES = {
    **{f"rules: {name}": case for name, case in RULES.items()},
    **{f"decision: {name}": case for name, case in DECISIONS.items()},
}


@pytest.mark.parametrize("name", CASES)
def test_twice_the_input_causes_about_twice_the_work(name: str) -> None:
    case, size = CASES[name]
    assert growth(case, size) <= MOST
