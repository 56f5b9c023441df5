"""Changes of people who need the approval of another: a save becomes a change set that awaits it."""

from typing import cast

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from limits.changes import drafts
from limits.changes.drafts import Recording
from limits.changes.lifecycle import Actor


def needs_approval(request: HttpRequest) -> bool:
    """Whether what the user publishes has to be approved first."""
    return bool(request.user.is_authenticated and Actor.of(request.user).needs_approval)


def propose(request: HttpRequest, recording: Recording, reason: str) -> HttpResponse:
    """Creates a change set that awaits approval, and leads to its page."""
    change = drafts.propose(recording, Actor.of(cast("User", request.user)), reason)
    messages.info(request, f"“{change}” awaits the approval of another person. Nothing of it is live yet.")
    return HttpResponseRedirect(reverse("admin:limits_changeset_change", args=[change.pk]))
