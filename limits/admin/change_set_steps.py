"""The steps of a change set: who may take which one when, and what each does."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from django.contrib.auth.models import User
from django.http import HttpRequest

from limits.admin.change_set_forms import DiscardForm, PublishForm, ScheduleForm, ShareForm, StepForm
from limits.admin.drafts import DRAFT_KEY
from limits.changes import lifecycle, publication
from limits.changes.lifecycle import Actor, NotAllowedNow, editors_of
from limits.changes.overview import timing
from limits.models import ChangeSet, Publication
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.dates import date_and_time

CHANGE, APPROVE = "limits.change_changeset", "limits.approve_change"

_State = ChangeSet.State


@dataclass(frozen=True, slots=True)
class Done:
    """What a step did. ``published``: the new version, to be delivered (None: none)."""

    message: str = ""
    published: Publication | None = None


Run = Callable[[HttpRequest, ChangeSet, dict[str, Any]], Done]
"""Takes the locked change set, and the values of the form."""


@dataclass(frozen=True, slots=True)
class Step:
    """A button on the page of a change set. ``name``: in the URL; ``states``: in which it is offered;
    ``permissions``: any of them suffices; ``form``: asked for on a page of its own first; ``submit``: the button there;
    ``explanation``: a sentence there; ``is_final``: it approves or publishes the edits, so there have to be some,
    without conflicts; ``style``: the class of the button."""

    name: str
    label: str
    states: tuple[str, ...]
    run: Run
    permissions: tuple[str, ...] = (CHANGE,)
    form: type[StepForm] | None = None
    submit: str = ""
    explanation: str = ""
    is_final: bool = False
    style: str = ""

    def is_permitted(self, request: HttpRequest) -> bool:
        """Whether the user has the permission, whatever the state."""
        return any(map(request.user.has_perm, self.permissions))

    def obstacle(self, request: HttpRequest, change: ChangeSet) -> str:
        """Why the step is not offered now, as a sentence; empty if it is."""
        if change.state not in self.states:
            return f"The change set is {change.get_state_display()}."
        if self.is_final and not change.edits:
            return "The change set contains no edits."
        return _obstacle(self.name, request, change)


def _obstacle(name: str, request: HttpRequest, change: ChangeSet) -> str:
    works_here = request.session.get(DRAFT_KEY) == change.pk
    if name in _PUBLISHING and actor_of(request).needs_approval and change.approved_at is None:
        return "Another person has to approve this change set first."
    if name == "submit" and not setting("APPROVAL_REQUIRED"):
        return "Changes need no approval here."
    if name == "approve" and request.user.pk in editors_of(change):
        return "Nobody approves their own change."
    if name == "work" and works_here:
        return "You work in this draft already."
    return "You do not work in this draft." if name == "leave" and not works_here else ""


_PUBLISHING = ("publish", "schedule", "share")


def actor_of(request: HttpRequest) -> Actor:
    """The user who acts."""
    return Actor.of(cast("User", request.user))


def _work(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    request.session[DRAFT_KEY] = change.pk
    return Done(f"You now work in the draft “{change}”: what you save goes into it, and not live.")


def _leave(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    leave(request, change)
    return Done(f"You no longer work in the draft “{change}”. What you save is live at once.")


def leave(request: HttpRequest, change: ChangeSet) -> None:
    """Ends the work in this draft, if the user works in it."""
    if request.session.get(DRAFT_KEY) == change.pk:
        del request.session[DRAFT_KEY]


def _submit(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    if not change.reason:
        raise NotAllowedNow("Enter the reason first, and save: whoever approves the change set reads it.")
    lifecycle.submit(change)
    leave(request, change)
    return Done(f"“{change}” awaits the approval of another person.")


def _approve(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    lifecycle.approve(change, cast("User", request.user))
    return Done(f"“{change}” is approved, and can be published now.")


def _send_back(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    lifecycle.send_back(change, cast("User", request.user))
    return Done(f"“{change}” is a draft again.")


def _publish(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    found = publication.publish(change, actor_of(request))
    return Done("" if found else "The rules are already so: no version was published.", found)


def _schedule(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    at, until = values["publish_at"], values["revert_at"]
    found = publication.schedule(change, actor_of(request), at, until)
    end = f", and ends on {date_and_time(until)}" if until else ""
    return Done(f"“{change}” begins on {date_and_time(at)}{end}.", found)


def _try(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    share = {name: values[name] for name in ("percent", "tag", "max_denial_rate")}
    found = publication.try_on(change, actor_of(request), **share)
    return Done(f"“{change}” applies to {timing(change)}.", found)


def _withdraw(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    found = publication.withdraw(change, actor_of(request))
    return Done(f"“{change}” is withdrawn.", found)


def _discard(request: HttpRequest, change: ChangeSet, values: dict[str, Any]) -> Done:
    lifecycle.discard(change)
    return Done(f"“{change}” is discarded.")


_SHARE = (
    "Only these clients get the new rules, on every server; all others keep the rules as they are. Counters continue."
)

STEPS: tuple[Step, ...] = (
    Step("work", "Work in this draft", ChangeSet.EDITABLE, _work),
    Step("leave", "Leave this draft", ChangeSet.EDITABLE, _leave),
    Step(
        "publish",
        "Publish now…",
        ChangeSet.EDITABLE,
        _publish,
        form=PublishForm,
        submit="Publish",
        explanation="Publishes the changes for all clients, as one version.",
        is_final=True,
        style="primary",
    ),
    Step(
        "schedule",
        "Schedule…",
        ChangeSet.EDITABLE,
        _schedule,
        form=ScheduleForm,
        submit="Schedule",
        explanation="Every server applies the changes from the first time on, and undoes them at the second, even if "
        "nothing but Redis is available then.",
        is_final=True,
    ),
    Step(
        "share",
        "Try on a share…",
        ChangeSet.EDITABLE,
        _try,
        form=ShareForm,
        submit="Try on these clients",
        explanation=_SHARE,
        is_final=True,
    ),
    Step("submit", "Submit for approval", (_State.DRAFT,), _submit, is_final=True, style="primary"),
    Step("approve", "Approve", (_State.AWAITING,), _approve, permissions=(APPROVE,), is_final=True, style="primary"),
    Step("back", "Send back", (_State.AWAITING, _State.APPROVED), _send_back, permissions=(APPROVE, CHANGE)),
    Step(
        "widen",
        "Widen…",
        (_State.TRIAL,),
        _try,
        form=ShareForm,
        submit="Change the share",
        explanation=f"{_SHARE} Clients that are in the share remain in a larger one.",
        is_final=True,
    ),
    Step("finish", "Finish", (_State.TRIAL,), _publish, is_final=True, style="primary"),
    Step("withdraw", "Withdraw", ChangeSet.PLANNED, _withdraw, style="danger"),
    Step(
        "discard",
        "Discard…",
        ChangeSet.EDITABLE,
        _discard,
        form=DiscardForm,
        submit="Discard",
        explanation="Ends the draft. Its changes remain visible here, but cannot be published any more.",
        style="danger",
    ),
)
"""All steps, in the order of their buttons."""


def offered(request: HttpRequest, change: ChangeSet) -> Iterable[Step]:
    """The steps that the user may take now."""
    return [step for step in STEPS if step.is_permitted(request) and not step.obstacle(request, change)]
