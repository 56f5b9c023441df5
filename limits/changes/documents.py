"""A config file → the edits of a change set."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from django.db import transaction

from limits.changes.drafts import Recording
from limits.changes.lifecycle import Actor, start
from limits.configfile.apply import change_rows, problems_at_positions, reference_problems, with_positions_in_file
from limits.configfile.document import Document
from limits.configfile.override_entries import OverrideEntry, SegmentOverrideEntry
from limits.configfile.reading import InvalidConfig
from limits.domain.edits import Edit, State, edits_between
from limits.domain.states import rules_of_state, state_of_rules
from limits.models import ChangeSet
from limits.publishing.rules import read_ruleset, state_of
from ratelimit_enforcer.domain.dates import optional_microseconds
from ratelimit_enforcer.domain.rules import Rules
from ratelimit_enforcer.domain.segments import SegmentOverride
from ratelimit_enforcer.domain.validation import ValidationProblem, ruleset_problems

_OTHER_SECTIONS = ("clients", "grants", "blocks", "channels", "alert_rules")
_NOT_IN_A_CHANGE_SET = (
    "cannot be part of a change set, which has plans, endpoints, policies, and overrides of segments only."
)


def start_with_document(
    name: str, actor: Actor, document: Document, reason: str = "", *, prune: bool = False
) -> ChangeSet:
    """Creates a draft with what applying the document would change now. Raises :class:`InvalidConfig`, and as
    :func:`~limits.changes.lifecycle.start` does."""
    return start(name, actor, edits_of_document(document, prune=prune), reason)


def record_document(document: Document, *, prune: bool, prune_clients: bool) -> Recording:
    """What applying a document with any sections would change in the rules; nothing is changed. Raises
    :class:`InvalidConfig`."""
    with problems_at_positions(document), transaction.atomic():
        recording = Recording()
        change_rows(document, prune=prune, prune_clients=prune_clients)
        recording.finish()
        transaction.set_rollback(True)
    return recording


def edits_of_document(document: Document, *, prune: bool = False) -> list[Edit]:
    """The edits that turn the present rules into those after the document is applied. ``prune``: items that its
    sections do not name are removed. Raises :class:`InvalidConfig`."""
    _reject([*_foreign_problems(document)])
    _reject([*reference_problems(document)])
    ruleset = read_ruleset()
    live = state_of(ruleset)
    merged = _merged(live, document, prune=prune)
    found = ruleset_problems(ruleset.with_rules(_in_order(rules_of_state(merged), document)))
    _reject([*with_positions_in_file(found, document)])
    return edits_between(live, merged)


def _reject(problems: list[ValidationProblem]) -> None:
    if problems:
        raise InvalidConfig(problems)


def _in_order(rules: Rules, document: Document) -> Rules:
    """The rules with the endpoints of the document last: if two have the same route, the last one is reported."""
    given = {endpoint.slug for endpoint in document.endpoints or ()}
    return replace(rules, endpoints=tuple(sorted(rules.endpoints, key=lambda endpoint: endpoint.slug in given)))


def _foreign_problems(document: Document) -> Iterator[ValidationProblem]:
    for section in _OTHER_SECTIONS:
        if getattr(document, section) is not None:
            yield ValidationProblem((section,), _NOT_IN_A_CHANGE_SET)
    for at, entry in enumerate(document.overrides or ()):
        if isinstance(entry, OverrideEntry):
            yield ValidationProblem(("overrides", at, "client"), _NOT_IN_A_CHANGE_SET)


def _merged(live: State, document: Document, *, prune: bool) -> dict[str, Any]:
    """The present rules with the items of the document in place of those with the same names, or of all."""
    given = _state_of(document)
    pruned = {section for section in live if prune and getattr(document, section) is not None}
    merged = {section: {**({} if section in pruned else items), **given[section]} for section, items in live.items()}
    merged["plans"] = {
        slug: _with_default(plan, live["plans"].get(slug), document) for slug, plan in merged["plans"].items()
    }
    return merged


def _state_of(document: Document) -> State:
    entries = [entry for entry in document.overrides or () if isinstance(entry, SegmentOverrideEntry)]
    rules = Rules(
        plans=tuple(document.plans or ()),
        endpoints=tuple(document.endpoints or ()),
        policies=tuple(document.policies or ()),
        segment_overrides=tuple(map(_segment_override, entries)),
    )
    return state_of_rules(rules, document.policy_names, [entry.reason for entry in entries])


def _segment_override(entry: SegmentOverrideEntry) -> SegmentOverride:
    dates = optional_microseconds(entry.starts_at), optional_microseconds(entry.ends_at)
    return SegmentOverride(entry.segment, entry.policy, entry.limits, *dates)


def _with_default(plan: Mapping[str, Any], before: Mapping[str, Any] | None, document: Document) -> dict[str, Any]:
    """A document that names no default plan leaves the default plan as it is, unless it declares that it is none."""
    slug = plan["slug"]
    if document.default_plan is not None:
        is_default = slug == document.default_plan
    else:
        is_default = bool((before or {}).get("default")) and slug not in document.not_default
    fields = {name: value for name, value in plan.items() if name != "default"}
    return fields | ({"default": True} if is_default else {})
