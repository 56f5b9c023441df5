"""Saving what servers apply: review, publish, deliver.

A save that changes rules takes these steps:

1. The page saves the rows, and :func:`publish_rules` records the publication, in one transaction.
2. If the user has not confirmed this publication, :func:`reviewed` rolls the transaction back and shows the changes,
   the clients affected, and a field for the reason. Confirming sends the same form again; if another version was
   published in between, the review is shown again. The review is the save itself, so it shows exactly what happens.
3. Otherwise the transaction is committed, and then the publication is delivered: when the next page appears, the
   change is live, and a message says so.

A save of a user who needs approval becomes a change set instead (:mod:`limits.admin.approval`). In a draft, nothing is
reviewed or published (:mod:`limits.admin.drafts`).
"""

from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from limits.admin.approval import needs_approval, propose
from limits.admin.drafts import is_draft_open
from limits.admin.forms import form_shown_again, place_of, reason_field
from limits.changes.drafts import Recording
from limits.changes.due import apply_pending
from limits.domain.differences import Change, changes
from limits.models import Publication
from limits.models.history import change_reason
from limits.publishing import clients, rules
from limits.publishing.impact import impact
from limits.publishing.reconciler import go_live
from limits.publishing.rules import Delivery, before_and_after
from ratelimit_enforcer.domain.validation import MAX_REASON_LENGTH, PRINTABLE, InvalidRuleset

CONFIRMED, EDIT_AGAIN = "_confirm", "_edit_again"
"""Names of the buttons of a review."""

MAX_DELIVERED_CLIENTS = 5_000
"""Maximum number of clients that are delivered within the request; more of them go live automatically later."""

_PUBLICATION = "_publication_of_this_request"
_IS_REVIEWED = "_is_reviewed"


class PublishesRules:
    """A mixin for the admin of rows that rules are compiled from. ``is_reviewed``: a save or deletion that would
    publish is shown first, and confirmed with a reason."""

    is_reviewed = False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)  # type: ignore[misc]
        publish_rules(request, f"{'Changed' if change else 'Added'} {_named(form.instance)}.")

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        name = _named(obj)
        super().delete_model(request, obj)  # type: ignore[misc]
        publish_rules(request, f"Deleted {name}.")

    def message_user(self, request: HttpRequest, *args: Any, **options: Any) -> None:
        """Adds the message after the commit, so that a save that is only reviewed adds none. A draft adds its own."""
        transaction.on_commit(partial(super().message_user, request, *args, **options))  # type: ignore[misc]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._reviewed(request, partial(super().changeform_view, request, *args, **kwargs))  # type: ignore[misc]

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        delete = partial(super().delete_view, request, *args, **kwargs)  # type: ignore[misc]
        return self._reviewed(request, partial(_page_or_errors, request, delete), can_edit=False)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return _page_or_errors(request, partial(super().changelist_view, request, *args, **kwargs))  # type: ignore[misc]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        return form_shown_again(form) if EDIT_AGAIN in request.POST else form

    def _reviewed(self, request: HttpRequest, save: Callable[[], HttpResponse], **options: Any) -> HttpResponse:
        if request.method != "POST" or not self.is_reviewed:
            return save()
        opts = self.opts  # type: ignore[attr-defined]
        return reviewed(request, self.admin_site, save, back=request.get_full_path(), opts=opts, **options)  # type: ignore[attr-defined]


def _page_or_errors(request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
    """Returns the response of the view, or shows the same page with the reasons why the compiler rejected the rules."""
    try:
        return view()
    except InvalidRuleset as rejection:
        for problem in rejection.problems:
            messages.error(request, f"Nothing was changed. {place_of(problem)}: {problem.message}")
        return HttpResponseRedirect(request.get_full_path())


def _named(row: Model) -> str:
    return f"{row._meta.verbose_name} “{row}”"


def publish_rules(request: HttpRequest, reason: str) -> None:
    """Records the present rules in this transaction, and delivers them after the commit. ``reason`` applies unless
    the form contains one. The rules of a draft are only validated."""
    if is_draft_open(request):
        rules.compile_ruleset()
        return
    user = request.user if request.user.is_authenticated else None
    publication = rules.record(request.user.get_username(), user=user, reason=_reason_of(request) or reason)
    _require_approval(request, publication)
    setattr(request, _PUBLICATION, publication)
    transaction.on_commit(partial(deliver_rules, request))


def _require_approval(request: HttpRequest, publication: Publication | None) -> None:
    """Raises ``PermissionDenied`` for a change of rules without a review, by which it would become a change set."""
    if publication is None or not needs_approval(request) or getattr(request, _IS_REVIEWED, False):
        return
    before, after = before_and_after(publication)
    if before.with_rules(after) != before.without_variants:
        raise PermissionDenied("Another person has to approve changes of rules.")


def publication_of(request: HttpRequest) -> Publication | None:
    """Returns the publication of this request; None if the rules are unchanged."""
    found: Publication | None = getattr(request, _PUBLICATION, None)
    return found


def message_on_commit(request: HttpRequest, level: int, text: str) -> None:
    """Adds a message after the commit, so that a save that is only reviewed adds none."""
    transaction.on_commit(partial(messages.add_message, request, level, text))


def deliver_rules(request: HttpRequest) -> None:
    """Delivers the newest publication, and adds a message that says whether it is live. Call it after the commit."""
    delivery = go_live()
    _report(request, delivery, f"Version {delivery.version} is live on every server.")


def _report(request: HttpRequest, delivery: Delivery, success: str) -> None:
    if delivery.live:
        messages.success(request, success)
    else:
        messages.warning(request, f"Saved, but not live yet. {delivery.problem}")


class ReviewForm(forms.Form):
    """The reason, and the version number shown to the reviewer."""

    why = reason_field("Black Friday: twice the search limits.")
    reviewed_version = forms.IntegerField(widget=forms.HiddenInput)


def reviewed(
    request: HttpRequest,
    admin_site: AdminSite,
    save: Callable[[], HttpResponse],
    *,
    back: str,
    can_edit: bool = True,
    **context: Any,
) -> HttpResponse:
    """Runs ``save``, or shows what it would publish. A save that publishes nothing, or whose form is invalid,
    is not reviewed. ``back`` is the URL for leaving without publishing; ``can_edit``: the submitted page
    accepts :data:`EDIT_AGAIN`, to show its form again. ``save`` adds its messages on commit. In a draft
    there is nothing to review."""
    if is_draft_open(request):
        with transaction.atomic():
            return save()
    apply_pending()
    form = ReviewForm(request.POST if CONFIRMED in request.POST else None)
    with transaction.atomic(), change_reason(_reason_of(request)):
        recording = Recording() if needs_approval(request) else None
        setattr(request, _IS_REVIEWED, True)
        response = save()
        publication = publication_of(request)
        if publication is None:
            return response
        confirmed = _is_confirmed(form, publication)
        if recording is not None:
            recording.finish()
        is_proposal = recording is not None and bool(recording.edits)
        if confirmed and not is_proposal:
            return response
        preview = _preview(publication)
        transaction.set_rollback(True)
    if confirmed and recording is not None:
        return propose(request, recording, _reason_of(request))
    can_edit = request.method == "POST" and can_edit
    page = {**admin_site.each_context(request), "is_proposal": is_proposal, "can_edit": can_edit, "back": back}
    return _review_page(request, form, publication, page | preview | context)


def _review_page(
    request: HttpRequest, form: ReviewForm, publication: Publication, context: dict[str, Any]
) -> HttpResponse:
    outdated = form.is_bound and form.data.get("reviewed_version") != str(publication.sequence)
    if outdated or not form.is_bound:
        form = ReviewForm(initial={"reviewed_version": publication.sequence, "why": _reason_of(request)})
    page = {
        "title": "Review changes",
        "form": form,
        "outdated": outdated,
        "fields": list(_submitted_fields(request)),
    }
    return TemplateResponse(request, "admin/limits/review.html", page | context)


def _reason_of(request: HttpRequest) -> str:
    """Returns the reason from the form; empty if it is missing or invalid. The form reports an invalid reason."""
    typed = (request.POST.get("why") or "").strip()
    return typed if len(typed) <= MAX_REASON_LENGTH and PRINTABLE.match(typed) else ""


def _is_confirmed(form: ReviewForm, publication: Publication) -> bool:
    return form.is_bound and form.is_valid() and bool(form.cleaned_data["reviewed_version"] == publication.sequence)


def _preview(publication: Publication) -> dict[str, Any]:
    """Returns the context for a publication that will be rolled back."""
    before, after = before_and_after(publication)
    return {"version": publication.sequence, "changes": changes(before, after), "impact": impact(before, after)}


def changes_of(publication: Publication) -> list[Change]:
    """Returns the changes of a publication compared with the previous one."""
    return changes(*before_and_after(publication))


def _submitted_fields(request: HttpRequest) -> Iterator[tuple[str, str]]:
    """Yields the submitted form, to be submitted again."""
    of_review = ("csrfmiddlewaretoken", CONFIRMED, EDIT_AGAIN, *ReviewForm.base_fields)
    for name, values in request.POST.lists():
        if name == ACTION_CHECKBOX_NAME:
            yield name, ",".join(map(str, values))
        elif name not in of_review:
            yield from ((name, str(value)) for value in values)


class PublishesClients:
    """A mixin for the admin of clients and of rows that belong to a client. ``client_keys_of`` returns the keys of
    the clients."""

    def client_keys_of(self, queryset: QuerySet[Any]) -> list[str]:
        raise NotImplementedError

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)  # type: ignore[misc]
        rows = type(form.instance)._default_manager.filter(pk=form.instance.pk)
        publish_clients(request, self.client_keys_of(rows))


def publish_clients(request: HttpRequest, keys: Collection[str]) -> None:
    """Delivers these clients after the commit."""
    transaction.on_commit(partial(_deliver_clients, request, tuple(keys)))


def publish_many_clients(request: HttpRequest, keys: Collection[str]) -> None:
    """Delivers the clients after the commit, or leaves them to the reconciler if there are too many."""
    if len(keys) > MAX_DELIVERED_CLIENTS:
        messages.info(request, "The changes affect many clients, and go live within a few minutes.")
    elif keys:
        publish_clients(request, keys)


def _deliver_clients(request: HttpRequest, keys: tuple[str, ...]) -> None:
    names = ", ".join(keys[:5]) + (f" and {len(keys) - 5:,} more" if len(keys) > 5 else "")
    _report(request, clients.deliver(keys), f"Live on every server: {names}.")
