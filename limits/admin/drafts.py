"""Working in a draft: the pages of rules show and change the draft that a user has chosen, not the live rules."""

from collections.abc import Callable
from functools import partial, wraps
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, reverse

from limits.changes.drafts import opened, save
from limits.changes.lifecycle import ChangeConflict
from limits.configfile.reading import InvalidConfig
from limits.models import ChangeSet

DRAFT_KEY = "draft"
"""The key in the session of the primary key of the draft that the user works in."""

_CHOSEN = "_chosen_draft"
_IS_OPEN = "_draft_is_open"


def chosen_draft(request: HttpRequest) -> ChangeSet | None:
    """The draft that the user works in. One that was published or discarded in the meantime is none any more."""
    if not hasattr(request, _CHOSEN):
        setattr(request, _CHOSEN, _chosen(request))
    found: ChangeSet | None = getattr(request, _CHOSEN)
    return found


def _chosen(request: HttpRequest) -> ChangeSet | None:
    pk = request.session.get(DRAFT_KEY) if hasattr(request, "session") else None
    if pk is None or not request.user.has_perm("limits.change_changeset"):
        return None
    change = ChangeSet.objects.filter(pk=pk).first()
    if change is not None and change.state in ChangeSet.EDITABLE:
        return change
    del request.session[DRAFT_KEY]
    if change is not None:
        messages.warning(request, f"Draft “{change}” is {change.get_state_display()}. You see the live rules again.")
    return None


def draft_context(request: HttpRequest) -> dict[str, Any]:
    """A context processor: ``chosen_draft`` for the banner of every page. Pages without one do not look for it."""
    return {"chosen_draft": partial(chosen_draft, request)}


def is_draft_open(request: HttpRequest) -> bool:
    """Whether the tables contain the rules of a draft, so that nothing is published."""
    return getattr(request, _IS_OPEN, False)


class WorksOnDraft:
    """A mixin for the admin of rules: all its pages work on the chosen draft."""

    def get_urls(self) -> list[Any]:
        found: list[Any] = super().get_urls()  # type: ignore[misc]
        for pattern in found:
            if isinstance(pattern, URLPattern):
                pattern.callback = in_draft(pattern.callback)
        return found


def in_draft(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Returns the view with the rows of the chosen draft, if there is one; what it changes goes into the draft."""

    @wraps(view)
    def page(request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        if not request.user.is_authenticated or (change := chosen_draft(request)) is None:
            return view(request, *args, **options)
        try:
            return _page(request, change, lambda: view(request, *args, **options))
        except (ChangeConflict, InvalidConfig) as error:
            messages.error(request, f"{error} Nothing was saved.")
            return HttpResponseRedirect(reverse("admin:limits_changeset_change", args=[change.pk]))

    return page


def _page(request: HttpRequest, change: ChangeSet, view: Callable[[], HttpResponse]) -> HttpResponse:
    setattr(request, _IS_OPEN, True)
    with opened(change) as recording:
        response = view()
        if isinstance(response, SimpleTemplateResponse):
            response.render()
        if request.method == "POST":
            recording.finish()
    setattr(request, _IS_OPEN, False)
    if recording.edits:
        messages.success(request, f"Saved in the draft “{save(change, recording)}”. Nothing of it is live yet.")
    return response
