"""What change sets are about to do: for lists, the home page, and the pages of plans."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import QuerySet

from limits.domain.edit_words import summary
from limits.domain.edits import Edit
from limits.models import ChangeSet, Plan, Policy
from limits.publishing.planned import planned_change_sets
from ratelimit_enforcer.domain.dates import date_and_time


def timing(change: ChangeSet) -> str:
    """“from 30 Nov 2026, 00:00 UTC, until 14 Dec 2026, 00:00 UTC”, “10 % of the clients”; empty: neither."""
    if change.state == ChangeSet.State.TRIAL:
        return f"clients with the tag {change.tag}" if change.tag else f"{change.percent} % of the clients"
    begin = f"from {date_and_time(change.publish_at)}" if change.publish_at else ""
    end = f"until {date_and_time(change.revert_at)}" if change.revert_at else ""
    return ", ".join(filter(None, [begin, end]))


@dataclass(frozen=True, slots=True)
class ShownChangeSet:
    """A line of a list of change sets, in words."""

    pk: int
    name: str
    state: str
    when: str
    what: str


def shown_change_set(change: ChangeSet) -> ShownChangeSet:
    """The line for a change set."""
    return ShownChangeSet(
        change.pk, change.name, change.get_state_display(), timing(change), summary(change.list_of_edits)
    )


def awaiting_approval() -> QuerySet[ChangeSet]:
    """The change sets that await approval, the oldest first."""
    return ChangeSet.objects.filter(state=ChangeSet.State.AWAITING).order_by("updated_at", "pk")


def planned_for(plan: Plan) -> Sequence[ChangeSet]:
    """The change sets that will begin or end, or are being tried, and touch a plan, its policies, or overrides of
    these."""
    policies = set(Policy.objects.filter(plan=plan).values_list("slug", flat=True))
    return [change for change in planned_change_sets() if _touches(change.list_of_edits, plan.slug, policies)]


def _touches(edits: Iterable[Edit], plan: str, policies: set[str]) -> bool:
    return any(_is_about(edit, plan, policies) for edit in edits)


def _is_about(edit: Edit, plan: str, policies: set[str]) -> bool:
    section, key = edit.path[0], edit.path[1]
    if section == "plans":
        return key == plan
    if section == "policies":
        return key in policies or plan in _plans_of(edit)
    return section == "overrides" and (key.rsplit(" ", 2)[1] in policies or key.startswith(f"plan {plan} "))


def _plans_of(edit: Edit) -> list[str | None]:
    """The plans of a policy that is added or removed, or whose plan changes."""
    if len(edit.path) == len(("policies", "slug")):
        return [item.get("plan") for item in (edit.before, edit.after) if item]
    return [edit.before, edit.after] if edit.path[2] == "plan" else []
