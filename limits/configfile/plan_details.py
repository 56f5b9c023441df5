"""The positions and price notes of plans in a config file. Servers do not need them, so they are not part of the
rules."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from limits.models import Plan
from limits.models.plan_order import MAX_POSITION
from ratelimit_enforcer.domain.validation import ValidationProblem

DETAILS = ("position", "price_note")

Details = Mapping[str, Any]
"""Field → value, only for fields that are given."""


def details_of_items(items: Sequence[Mapping[str, Any]] | None) -> dict[str, Details]:
    """Slug → details, for plans of a document that give any."""
    found = {item["slug"]: {name: item[name] for name in DETAILS if name in item} for item in items or ()}
    return {slug: details for slug, details in found.items() if details}


def detail_problems(items: Sequence[Mapping[str, Any]]) -> Iterator[ValidationProblem]:
    """Yields a problem for each position out of range."""
    for at, item in enumerate(items):
        if not 0 <= item.get("position", 0) <= MAX_POSITION:
            yield ValidationProblem(("plans", at, "position"), f"must be between 0 and {MAX_POSITION:,}.")


def stored_details() -> dict[str, dict[str, Any]]:
    """Slug → details of each plan, without those that are not set."""
    return {row.slug: details_of(row) for row in Plan.objects.only("slug", *DETAILS)}


def details_of(row: Plan) -> dict[str, Any]:
    """The details of a plan, without those that are not set."""
    return {name: getattr(row, name) for name in DETAILS if getattr(row, name)}


def detail_changes(before: Mapping[str, Details], after: Mapping[str, Details]) -> Iterator[str]:
    """Yields one sentence for each detail that changed of a plan that was there before."""
    for slug in sorted(before.keys() & after.keys()):
        for name in DETAILS:
            old, new = before[slug].get(name), after[slug].get(name)
            if old != new:
                yield f"Plan {slug}, {name.replace('_', ' ')}: {old or 'none'} → {new or 'none'}."
