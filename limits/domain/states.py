"""The rules as a state, whose differences are edits (:mod:`limits.domain.edits`): the sections of a config file for
plans, endpoints, policies and overrides of segments, by name instead of as lists."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from limits.domain.edits import LIMITS, State, keyed_limits
from limits.domain.rule_items import (
    endpoint_of_item,
    item_of_endpoint,
    item_of_plan,
    item_of_policy,
    item_of_segment_override,
    plan_of_item,
    policy_of_item,
    segment_override_of_item,
)
from ratelimit_enforcer.domain.rules import Rules

Item = dict[str, Any]


def state_of_rules(rules: Rules, policy_names: Mapping[str, str], reasons: Iterable[str]) -> State:
    """The state of rules. ``policy_names``: slug → the name for people; ``reasons``: those of the overrides of
    segments, in order."""
    overrides = zip(rules.segment_overrides, reasons, strict=True)
    return state_of_data(
        {
            "plans": [item_of_plan(plan, is_default=plan.slug == rules.default_plan) for plan in rules.plans],
            "endpoints": [item_of_endpoint(endpoint) for endpoint in rules.endpoints],
            "policies": [item_of_policy(policy, policy_names.get(policy.slug, "")) for policy in rules.policies],
            "overrides": [item_of_segment_override(override, reason) for override, reason in overrides],
        }
    )


def state_of_data(data: Mapping[str, Any]) -> State:
    """The state of the data of a config file. Overrides of single clients are no part of it."""
    overrides = [item for item in data.get("overrides", ()) if "clients" in item]
    return {
        "plans": _by(_slug, data.get("plans", ())),
        "endpoints": _by(_slug, data.get("endpoints", ())),
        "policies": _by(_slug, data.get("policies", ())),
        "overrides": _by(_name_of_override, overrides),
    }


def data_of_state(state: State) -> dict[str, Any]:
    """The data of a config file with this state."""
    return {section: list(map(_with_list_of_limits, items.values())) for section, items in state.items()}


def rules_of_state(state: State) -> Rules:
    """The rules of a state, which need not be valid together. Raises ``KeyError``, ``TypeError`` and ``ValueError`` if
    fields are missing or of another type."""
    data = data_of_state(state)
    return Rules(
        plans=_sorted(map(plan_of_item, data["plans"])),
        default_plan=next((item["slug"] for item in data["plans"] if item.get("default")), None),
        endpoints=_sorted(map(endpoint_of_item, data["endpoints"])),
        policies=_sorted(map(policy_of_item, data["policies"])),
        segment_overrides=tuple(map(segment_override_of_item, data["overrides"])),
    )


def _sorted(items: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted(items, key=lambda item: item.slug))


def _by(name_of: Callable[[Item], str], items: Iterable[Item]) -> dict[str, Item]:
    return {name_of(item): _with_keyed_limits(item) for item in items}


def _slug(item: Item) -> str:
    return str(item["slug"])


def _name_of_override(item: Item) -> str:
    """What identifies an override of a segment: whom, the policy, and the start."""
    clients = item["clients"]
    kind, whom = next(iter(clients.items()))
    named = ",".join(sorted(whom)) if kind == "tags" else whom
    return " ".join([kind, named, item["policy"], item.get("starts_at", "")])


def _with_keyed_limits(item: Item) -> Item:
    return {**item, LIMITS: keyed_limits(item[LIMITS])} if LIMITS in item else dict(item)


def _with_list_of_limits(item: Mapping[str, Any]) -> Item:
    return {**item, LIMITS: list(item[LIMITS].values())} if LIMITS in item else dict(item)
