"""The rules as a state, whose differences are edits (:mod:`limits.domain.edits`): the sections of a config file without
clients and alert rules, by name instead of as lists."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from limits.configfile.document import Document, document_of
from limits.configfile.export import exported_rules
from limits.configfile.override_entries import SegmentOverrideEntry
from limits.domain.edits import LIMITS, State, keyed_limits
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.rules import Rules
from ratelimit_enforcer.domain.segments import SegmentOverride

Item = dict[str, Any]


def present_state() -> State:
    """The state of the rows."""
    return state_of(exported_rules())


def state_of(data: Mapping[str, Any]) -> State:
    """The state of a config file, as it was read. The overrides of single clients are no part of it."""
    overrides = [item for item in data.get("overrides", ()) if "clients" in item]
    return {
        "plans": _by(_slug, data.get("plans", ())),
        "endpoints": _by(_slug, data.get("endpoints", ())),
        "policies": _by(_slug, data.get("policies", ())),
        "overrides": _by(_name_of_override, overrides),
    }


def data_of(state: State) -> dict[str, Any]:
    """The config file of a state."""
    slugs = {section: _with_slugs(state.get(section, {})) for section in ("plans", "endpoints", "policies")}
    return {**slugs, "overrides": [_with_limits(item) for item in state.get("overrides", {}).values()]}


def rules_of(state: State) -> Rules:
    """The rules of a state, which need not be valid together. Raises ``KeyError``, ``TypeError`` and ``ValueError`` if
    fields are missing or of another type."""
    document = document_of(data_of(state))
    return Rules(
        plans=_sorted(document.plans),
        default_plan=document.default_plan,
        endpoints=_sorted(document.endpoints),
        policies=_sorted(document.policies),
        segment_overrides=tuple(_segment_overrides(document)),
    )


def _segment_overrides(document: Document) -> Iterable[SegmentOverride]:
    for entry in document.overrides or ():
        if isinstance(entry, SegmentOverrideEntry):
            dates = optional_microseconds(entry.starts_at), optional_microseconds(entry.ends_at)
            yield SegmentOverride(entry.segment, entry.policy, entry.limits, *dates)


def _sorted(items: Iterable[Any] | None) -> tuple[Any, ...]:
    return tuple(sorted(items or (), key=lambda item: item.slug))


def _by(name_of: Callable[[Item], str], items: Iterable[Item]) -> dict[str, Item]:
    return {name_of(item): _with_keyed_limits(item) for item in items}


def _slug(item: Item) -> str:
    return str(item["slug"])


def _name_of_override(item: Item) -> str:
    """What identifies an override of a segment: whom, the policy, and the start."""
    clients = item["clients"]
    whom = clients.get("plan") or clients.get("prefix") or ",".join(sorted(clients.get("tags", ())))
    kind = next(iter(clients))
    return f"{kind} {whom}, {item['policy']}, {item.get('starts_at', '')}"


def _with_keyed_limits(item: Item) -> Item:
    return {**item, LIMITS: keyed_limits(item[LIMITS])} if LIMITS in item else dict(item)


def _with_limits(item: Mapping[str, Any]) -> Item:
    return {**item, LIMITS: list(item[LIMITS].values())} if LIMITS in item else dict(item)


def _with_slugs(items: Mapping[str, Any]) -> list[Item]:
    return [{**_with_limits(item), "slug": slug} for slug, item in items.items()]
