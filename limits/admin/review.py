"""Review before it is live: what a save would publish is shown first, and asks for a sentence of why.

The save itself is what is shown: it runs in a transaction that is rolled back, so that the page
says exactly what will happen. Confirming sends the same form again, and it is saved only if nobody
published in between.
"""

from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.domain.differences import Change, changes
from limits.domain.ruleset import Ruleset
from limits.domain.validation import MAX_REASON_LENGTH, PRINTABLE
from limits.models import Publication
from limits.models.fields import validate_printable
from limits.models.history import because
from limits.publishing.reach import reach

CONFIRMED, EDIT_AGAIN = "_confirm", "_edit_again"
_PUBLICATION = "_publication_of_this_request"


class ReviewForm(forms.Form):
    """Why, and which version the reviewer saw as the next one."""

    why = forms.CharField(
        label="Why? One sentence, for the history",
        max_length=MAX_REASON_LENGTH,
        validators=[validate_printable],
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "Black Friday: the search gets twice as much."}),
    )
    reviewed_version = forms.IntegerField(widget=forms.HiddenInput)


def reason_given(request: HttpRequest, otherwise: str) -> str:
    """The sentence of why that was typed, or what stands for it where there is none. One that is
    wrong is refused by its form."""
    typed = (request.POST.get("why") or "").strip()
    return typed if 0 < len(typed) <= MAX_REASON_LENGTH and PRINTABLE.match(typed) else otherwise


def remember_publication(request: HttpRequest, publication: Publication | None) -> None:
    """Notes what this request recorded; None: the rules stay as they are."""
    setattr(request, _PUBLICATION, publication)


def published_by(request: HttpRequest) -> Publication | None:
    """What this request recorded."""
    found: Publication | None = getattr(request, _PUBLICATION, None)
    return found


def reviewed(
    request: HttpRequest,
    admin_site: AdminSite,
    save: Callable[[], HttpResponse],
    *,
    back: str,
    can_edit: bool = True,
    **context: Any,
) -> HttpResponse:
    """Runs ``save``, or shows what it would publish. A save that publishes nothing, or whose form
    is wrong, is as ever. ``back`` is where to go without publishing; ``can_edit``: the page that
    was sent takes :data:`EDIT_AGAIN`, to show its form once more."""
    form = ReviewForm(request.POST if CONFIRMED in request.POST else None)
    with transaction.atomic(), because(reason_given(request, "")):
        response = save()
        publication = published_by(request)
        if publication is None or _is_confirmed(request, form, publication):
            return response
        shown = _preview(publication)
        transaction.set_rollback(True)
    _forget_messages(request)
    outdated = form.is_bound and form.data.get("reviewed_version") != str(publication.sequence)
    if outdated or not form.is_bound:
        form = ReviewForm(initial={"reviewed_version": publication.sequence, "why": reason_given(request, "")})
    page = {
        **admin_site.each_context(request),
        "title": "Review before it goes live",
        "form": form,
        "outdated": outdated,
        "fields": list(_fields(request)),
        "can_edit": request.method == "POST" and can_edit,
        "back": back,
    }
    return TemplateResponse(request, "admin/limits/review.html", page | shown | context)


def _is_confirmed(request: HttpRequest, form: ReviewForm, publication: Publication) -> bool:
    if not form.is_bound or not form.is_valid():
        return False
    return bool(form.cleaned_data["reviewed_version"] == publication.sequence)


def changes_of(publication: Publication) -> list[Change]:
    """What a publication changed of the one before it."""
    return changes(*_before_and_after(publication))


def _preview(publication: Publication) -> dict[str, Any]:
    """What the template shows of a publication that is not going to be kept."""
    before, after = _before_and_after(publication)
    return {"version": publication.sequence, "changes": changes(before, after), "reach": reach(before, after)}


def _before_and_after(publication: Publication) -> tuple[Ruleset, Ruleset]:
    previous = Publication.objects.filter(sequence__lt=publication.sequence).order_by("-sequence").first()
    before = Ruleset.from_bytes(previous.content.encode()) if previous else Ruleset()
    return before, Ruleset.from_bytes(publication.content.encode())


def _forget_messages(request: HttpRequest) -> None:
    """What the save said of itself is not true: it was rolled back."""
    kept: Any = messages.get_messages(request)
    kept._queued_messages.clear()


def _fields(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """The form as it was sent, to be sent again."""
    ours = ("csrfmiddlewaretoken", CONFIRMED, EDIT_AGAIN, *ReviewForm.base_fields)
    for name, values in request.POST.lists():
        if name == ACTION_CHECKBOX_NAME:
            yield name, ",".join(map(str, values))
        elif name not in ours:
            yield from ((name, str(value)) for value in values)
