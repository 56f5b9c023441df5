"""“Undo this change”: a draft that undoes what one version changed, whatever was published since."""

from typing import cast

from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from limits.admin.change_set_page import differences
from limits.admin.permissions import require_permission
from limits.changes.lifecycle import Actor
from limits.changes.undo import edits_of, start_undo, undo_name
from limits.domain.edits import undone
from limits.models import ChangeSet, Publication

_INTRO = "Creates a draft with these changes. Nothing is live until you publish it."
_NOTHING = (
    "This version changed no plan, endpoint, policy or segment override, so there is nothing to undo. A change set "
    "that is scheduled or being tried is withdrawn on its own page."
)


def undo_view(request: HttpRequest, admin_site: AdminSite, publication: Publication) -> HttpResponse:
    """Shows what undoing a version would change now, and creates the draft after confirmation."""
    require_permission(request, "limits.add_changeset")
    draft = ChangeSet()
    draft.set_edits(undone(edits_of(publication)))
    if not draft.edits:
        messages.info(request, _NOTHING)
        return _to_publication(publication)
    if request.method == "POST":
        return _start(request, publication)
    context = {
        **admin_site.each_context(request),
        "title": f"Undo the changes of version {publication.sequence}",
        "opts": Publication._meta,
        "change_set": draft,
        "intro": _INTRO,
        "submit": "Create the draft",
        "back": _address(publication),
        **differences(draft),
    }
    return TemplateResponse(request, "admin/limits/changeset/step.html", context)


def _start(request: HttpRequest, publication: Publication) -> HttpResponse:
    try:
        change = start_undo(publication, Actor.of(cast("User", request.user)))
    except ValidationError:
        return _to_earlier(request, publication)
    messages.success(request, f"The draft “{change}” undoes version {publication.sequence}. Check it, then publish it.")
    return _to_draft(change)


def _to_earlier(request: HttpRequest, publication: Publication) -> HttpResponse:
    """An unfinished change set of the same name is one that undoes the version already."""
    unfinished = ChangeSet.objects.filter(state__in=ChangeSet.UNFINISHED)
    change = unfinished.filter(name=undo_name(publication)).first()
    if change is None:
        messages.error(request, "Another user finished the same draft just now. Try again.")
        return _to_publication(publication)
    messages.info(request, f"This change set undoes version {publication.sequence} already.")
    return _to_draft(change)


def _to_draft(change: ChangeSet) -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:limits_changeset_change", args=[change.pk]))


def _to_publication(publication: Publication) -> HttpResponse:
    return HttpResponseRedirect(_address(publication))


def _address(publication: Publication) -> str:
    return reverse("admin:limits_publication_change", args=[publication.pk])
