"""Changes of people who need the approval of another: a save becomes a change set that awaits it."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from limits.changes.drafts import Recording
from limits.changes.lifecycle import Actor, start, submit
from limits.models import ChangeSet
from ratelimit_enforcer.domain.dates import date_and_time

_MAX_SHOWN_USER = 40


def needs_approval(request: HttpRequest) -> bool:
    """Whether what the user publishes has to be approved first."""
    return bool(request.user.is_authenticated and Actor.of(request.user).needs_approval)


def propose(request: HttpRequest, recording: Recording, reason: str) -> HttpResponse:
    """Creates a change set that awaits approval, and leads to its page."""
    change = start(_name_of(request), Actor.of(request.user), recording.edits, reason)  # type: ignore[arg-type]
    change.ids = recording.ids
    change.save()
    submit(change)
    messages.info(request, f"“{change}” awaits the approval of another person. Nothing of it is live yet.")
    return HttpResponseRedirect(reverse("admin:limits_changeset_change", args=[change.pk]))


def _name_of(request: HttpRequest) -> str:
    """Such as “ada, 28 November 2026 09:41 UTC”; a number follows if that is taken."""
    name = f"{request.user.get_username()[:_MAX_SHOWN_USER]}, {date_and_time(timezone.now())}"
    taken = set(ChangeSet.objects.filter(name__startswith=name).values_list("name", flat=True))
    return next(each for each in (name, *(f"{name} ({at})" for at in range(2, len(taken) + 3))) if each not in taken)
