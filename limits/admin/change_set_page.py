"""The page of one change set: its state, what it changes, and the conflicts with what others published."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpRequest
from django.urls import reverse

from limits.admin.change_set_forms import seen_of
from limits.admin.change_set_steps import offered
from limits.admin.drafts import DRAFT_KEY
from limits.admin.forms import place_of
from limits.admin.publishing import changes_of
from limits.changes.lifecycle import applied, newest_publication, rebase
from limits.changes.overview import timing
from limits.domain.differences import Change, changes
from limits.domain.edit_words import place_in_words, value_in_words
from limits.domain.edits import Conflict, State, apply_edits
from limits.domain.states import rules_of_state
from limits.models import ChangeSet
from limits.publishing.impact import impact
from limits.publishing.rules import read_ruleset, state_of
from ratelimit_enforcer.domain.dates import date_and_time
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.validation import capitalized, ruleset_problems

_ENDED = (ChangeSet.State.PUBLISHED, ChangeSet.State.REVERTED)


@dataclass(frozen=True, slots=True)
class ShownConflict:
    """A conflict in words. ``key`` identifies it in a form; ``can_keep``: False if the item itself was removed."""

    key: str
    place: str
    before: str
    mine: str
    theirs: str
    can_keep: bool


def rebase_for_editor(request: HttpRequest, change: ChangeSet) -> str:
    """Compares the edits with the present rules when their author opens them and something was published in between.
    Returns a sentence if that withdrew the approval, else an empty text."""
    if not _is_editor(request, change) or change.state not in ChangeSet.EDITABLE:
        return ""
    if change.base == newest_publication():
        return ""
    state = change.state
    rebase(change)
    if state == change.state:
        return ""
    return "Others published some of these changes in the meantime. What remains has to be approved again."


def _is_editor(request: HttpRequest, change: ChangeSet) -> bool:
    """The author; a change set from a command or a token has none."""
    return request.user.has_perm("limits.change_changeset") and change.user in (None, cast("User", request.user))


def change_set_page(request: HttpRequest, change: ChangeSet) -> dict[str, Any]:
    """The context of the template."""
    return {
        "change_set": change,
        "facts": list(_facts(change)),
        "steps": offered(request, change),
        "seen": seen_of(change),
        "works_here": request.session.get(DRAFT_KEY) == change.pk,
        "may_resolve": request.user.has_perm("limits.change_changeset") and change.state in ChangeSet.EDITABLE,
        "links": list(_links(request, change)),
        **differences(change),
    }


def differences(change: ChangeSet) -> dict[str, Any]:
    """What a change set changes in the present rules, or what it changed: ``changes``, ``impact``, ``problems`` and
    ``conflicts`` of a template."""
    if change.state in _ENDED:
        return {"changes": changes_of(change.publication) if change.publication else [], "is_past": True}
    live = read_ruleset()
    state = state_of(live)
    result = applied(change, state)
    new = live.with_rules(rules_of_state(result.state))
    return {
        "changes": [*changes(live, new), *_texts(state, result.state)],
        "impact": impact(live, new),
        "problems": list(_problems(new)),
        "conflicts": [shown_conflict(conflict, state) for conflict in result.conflicts],
    }


def _texts(before: State, after: State) -> Iterator[Change]:
    """The changes of texts for people that servers do not know: names of policies, and reasons of overrides."""
    for section, field in (("policies", "name"), ("overrides", "reason")):
        for key in before[section].keys() & after[section].keys():
            was, will_be = before[section][key].get(field), after[section][key].get(field)
            if was != will_be:
                subject = place_in_words((section, key))
                yield Change("", subject, field, value_in_words(was), value_in_words(will_be))


def shown_conflict(conflict: Conflict, state: State) -> ShownConflict:
    """A conflict for people. ``state``: the present rules."""
    edit, found = conflict
    kept = apply_edits(state, [edit._replace(before=found)])
    return ShownConflict(
        key_of(conflict),
        place_in_words(edit.path, state),
        before=value_in_words(edit.before),
        mine=value_in_words(edit.after),
        theirs=value_in_words(found),
        can_keep=not kept.conflicts,
    )


def key_of(conflict: Conflict) -> str:
    """A digest of the place and all values: a button that was shown for other values has no effect."""
    text = json.dumps([conflict.edit.path, conflict.edit.before, conflict.edit.after, conflict.found], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _problems(rules: Ruleset) -> Iterator[str]:
    for problem in ruleset_problems(rules):
        yield f"{place_of(problem)}: {capitalized(problem.message)}"


def _facts(change: ChangeSet) -> Iterator[tuple[str, str]]:
    yield "Author", f"{change.author}, {date_and_time(change.created_at)}"
    if change.reason:
        yield "Reason", change.reason
    if change.approved_at is not None:
        yield "Approved", f"by {change.approved_by or 'a deleted user'}, {date_and_time(change.approved_at)}"
    if change.publish_at is not None:
        yield "Begins", date_and_time(change.publish_at)
    if change.revert_at is not None:
        yield "Ends", date_and_time(change.revert_at)
    if change.state == ChangeSet.State.TRIAL:
        yield "Applies to", timing(change)
        limit = f"above {change.max_denial_rate} % denied requests" if change.max_denial_rate else "only by a person"
        yield "Withdrawn", limit


def _links(request: HttpRequest, change: ChangeSet) -> Iterator[tuple[str, str]]:
    found = change.publication
    if found is not None and request.user.has_perm("limits.view_publication"):
        yield str(found), reverse("admin:limits_publication_change", args=[found.pk])
    if request.user.has_perm("limits.view_usage"):
        yield "simulation", reverse("admin:limits_changeset_simulation", args=[change.pk])
    if change.state == ChangeSet.State.TRIAL and request.user.has_perm("limits.view_usage"):
        yield "requests and denials of both groups", reverse("admin:limits_changeset_groups", args=[change.pk])
