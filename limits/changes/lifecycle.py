"""Change sets from the draft to the approval, and all their states.

::

    draft ⇄ awaits approval → approved
      └─────────┬───────────────┘
                ├→ published                          all clients, at once
                ├→ scheduled → published → reverted   at a time, and optionally until another
                └→ tried → published                  first a share of the clients

    scheduled, tried → withdrawn;  draft → discarded

:mod:`limits.changes.publication` is what follows the approval.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from limits.changes.messages import request_approval, tell_author
from limits.domain.differences import Change, changes
from limits.domain.edits import Applied, Conflict, Edit, State, apply_edits, edits_between
from limits.domain.states import rules_of_state
from limits.models import ChangeSet, Publication
from limits.publishing.rules import read_ruleset, read_state, state_of
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.enums import MessageKind


class ChangeConflict(Exception):
    """The rules have another value than the change set expects, at the places of ``conflicts``."""

    def __init__(self, change: ChangeSet, conflicts: Sequence[Conflict]) -> None:
        self.conflicts = conflicts
        places = "; ".join(".".join(conflict.edit.path) for conflict in conflicts)
        super().__init__(f"Change set “{change}” was prepared for other values of: {places}.")


class NotAllowedNow(Exception):
    """The change set is in a state in which this cannot be done. The message is for people."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: ``name`` as in histories; ``user``: None for commands and tokens without one. ``publishes_alone``:
    without the approval of another person."""

    name: str
    user: User | None = None
    publishes_alone: bool = False

    @classmethod
    def of(cls, user: User) -> "Actor":
        """A user of the admin."""
        return cls(user.get_username(), user, user.has_perm("limits.publish_alone"))

    @property
    def needs_approval(self) -> bool:
        """Whether another person has to approve what this one publishes."""
        return bool(setting("APPROVAL_REQUIRED")) and not self.publishes_alone


def start(name: str, actor: Actor, edits: Sequence[Edit] = (), reason: str = "") -> ChangeSet:
    """Creates a draft. Raises ``ValidationError`` if an unfinished change set has this name."""
    change = ChangeSet(name=name, reason=reason, author=actor.name, user=actor.user, base=newest_publication())
    change.set_edits(edits)
    change.full_clean()
    change.save()
    return change


def newest_publication() -> Publication | None:
    """The newest version of the rules; None if nothing has been published."""
    return Publication.objects.order_by("-sequence").first()


def applied(change: ChangeSet, live: State | None = None) -> Applied:
    """The rules with the edits of a change set, and the conflicts. ``live``: the present state, if already read."""
    return apply_edits(read_state() if live is None else live, change.list_of_edits)


def differences_of(change: ChangeSet) -> list[Change]:
    """What a change set would change in the present rules, in words."""
    live = read_ruleset()
    return changes(live, live.with_rules(rules_of_state(applied(change, state_of(live)).state)))


@transaction.atomic
def rebase(change: ChangeSet) -> Sequence[Conflict]:
    """Compares the edits with the present rules, which may have changed since. Without conflicts, the edits become
    those from the present rules on; if they are others, an approval is withdrawn."""
    live = read_state()
    result = applied(change, live)
    if not result.conflicts:
        edits = edits_between(live, result.state)
        if edits != change.list_of_edits:
            change.set_edits(edits)
        change.base = newest_publication()
        change.save()
    return result.conflicts


@transaction.atomic
def resolve(change: ChangeSet, conflict: Conflict, *, keep: bool) -> None:
    """Ends a conflict: the change set keeps the value of its author, or (``keep`` False) the value found stays."""
    edits = [edit for edit in change.list_of_edits if edit != conflict.edit]
    if keep:
        edits.append(conflict.edit._replace(before=conflict.found))
    change.set_edits(edits)
    change.save()


@transaction.atomic
def discard(change: ChangeSet) -> None:
    """Ends a draft. Raises :class:`NotAllowedNow`."""
    require_state(change, ChangeSet.EDITABLE, "Only a change set that is not published can be discarded.")
    enter(change, ChangeSet.State.DISCARDED)


@transaction.atomic
def submit(change: ChangeSet) -> None:
    """Asks for the approval of another person, with a message to everybody who may give it. Raises
    :class:`NotAllowedNow`."""
    require_state(change, (ChangeSet.State.DRAFT,), "Only a draft can be submitted for approval.")
    enter(change, ChangeSet.State.AWAITING)
    request_approval(change, differences_of(change), editors_of(change))


@transaction.atomic
def approve(change: ChangeSet, user: User) -> None:
    """Approves a change set of another person. Raises :class:`NotAllowedNow`."""
    require_state(change, (ChangeSet.State.AWAITING,), "Only a change set that awaits approval can be approved.")
    if user.pk in editors_of(change):
        raise NotAllowedNow("Nobody approves their own change.")
    change.approved_by, change.approved_at = user, timezone.now()
    enter(change, ChangeSet.State.APPROVED)
    tell_author(change, MessageKind.APPROVED, f"{user.get_username()} approved this change set.", actor=user)


def editors_of(change: ChangeSet) -> set[int | None]:
    """The primary keys of the users whose work the edits are: the author, and who changed them later."""
    records = change.history.order_by("history_date", "history_id").values_list("history_user_id", "edits")
    found, edits = {change.user_id}, None
    for user, saved in records:
        if edits is not None and saved != edits:
            found.add(user)
        edits = saved
    return found


@transaction.atomic
def send_back(change: ChangeSet, user: User | None = None) -> None:
    """Makes a change set that awaits approval, or was approved, a draft again. ``user``: who does so, which the author
    is notified of. Raises :class:`NotAllowedNow`."""
    require_state(
        change,
        (ChangeSet.State.AWAITING, ChangeSet.State.APPROVED),
        "Only a change set under approval can be sent back.",
    )
    change.set_edits(change.list_of_edits)
    change.save()
    who = user.get_username() if user else "A program"
    tell_author(change, MessageKind.SENT_BACK, f"{who} made this change set a draft again.", actor=user)


def require_state(change: ChangeSet, states: Iterable[Any], otherwise: str) -> None:
    """Locks the row, so that two people do not act on it at once, and reads again what others may have changed. Raises
    :class:`NotAllowedNow`."""
    fields = ("state", "edits", "ids", "approved_by", "approved_at")
    change.refresh_from_db(fields=fields, from_queryset=ChangeSet.objects.select_for_update())
    if change.state not in states:
        raise NotAllowedNow(otherwise)


def enter(change: ChangeSet, state: str) -> None:
    """Saves the change set in this state."""
    change.state = state
    change.save()
