"""Changing many selected rows of a list: without a form field for each row, and in bounded time.

Deleting rows, one or all that match a search: a page shows the number of rows and asks for a reason.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.utils import model_ngettext
from django.db import transaction
from django.db.models import CASCADE, Model, ProtectedError, QuerySet, RestrictedError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse

from limits.admin.forms import reason_field
from limits.admin.permissions import require_permission
from limits.admin.publishing import PublishesRules, message_on_commit, publish_many_clients, publish_rules, reviewed
from limits.models.history import batched_history, change_reason

CHUNK_ROWS = 1_000
"""Rows that are changed in one transaction."""

MAX_ROWS = 20_000
"""Maximum number of rows that one request changes; further rows need another confirmation."""

_KEYS = re.compile("[0-9]{1,18}(,[0-9]{1,18})*")


def selection_with_keys(form: QueryDict) -> QueryDict:
    """Returns the list's form with one value for each selected row, even if one value contains several keys.
    Values that cannot be keys are dropped."""
    given = [text for text in form.getlist(ACTION_CHECKBOX_NAME) if _KEYS.fullmatch(text)]
    copy = form.copy()
    copy.setlist(ACTION_CHECKBOX_NAME, [key for text in given for key in text.split(",")])
    return copy


def selection(request: HttpRequest) -> list[tuple[str, str]]:
    """Returns the selection as hidden fields (name, value), at most three, for a page that asks before it
    acts. A selection across pages is defined by the list's search and filters, which are in the URL."""
    chosen = ",".join(request.POST.getlist(ACTION_CHECKBOX_NAME))
    across = request.POST.get("select_across") == "1"
    if across:
        chosen = chosen.split(",")[0]
    fields = {"action": request.POST.get("action", ""), ACTION_CHECKBOX_NAME: chosen}
    return [*fields.items(), ("select_across", "1" if across else "0")]


def chunks(rows: QuerySet[Any], most: int = MAX_ROWS) -> Iterator[QuerySet[Any]]:
    """Yields these rows in chunks of ``CHUNK_ROWS``, ordered by key, ``most`` in total. Each chunk is read when it
    is needed."""
    last = -1
    for _ in range(-(-most // CHUNK_ROWS)):
        keys = list(rows.filter(pk__gt=last).order_by("pk").values_list("pk", flat=True)[:CHUNK_ROWS])
        if not keys:
            return
        yield rows.model._default_manager.filter(pk__in=keys)
        last = keys[-1]


NAMED_ROWS = 10
"""Maximum number of rows that the page names."""


class DeletionForm(forms.Form):
    """The reason, and the number of rows shown on the page."""

    why = reason_field("Contract ended.")
    count = forms.IntegerField(widget=forms.HiddenInput)


def delete_selected(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
    """The delete action of every list. Returns the confirmation page, or None once the rows are deleted."""
    require_cascade(request, rows.model)
    if _is_obstructed(model_admin, request, rows):
        return None
    try:
        if getattr(model_admin, "is_reviewed", False):
            return _review(model_admin, request, rows)
        return _ask_or_delete(model_admin, request, rows, back=request.get_full_path(), fields=selection(request))
    except (ProtectedError, RestrictedError) as error:
        _reject(request, error)
        return None


def delete_one(model_admin: Any, request: HttpRequest, row: Model, back: str) -> HttpResponse:
    """Shows or handles the deletion page of one row. ``back``: the URL to redirect to afterwards."""
    require_cascade(request, type(row))
    rows = type(row)._default_manager.filter(pk=row.pk)
    page_of_row = request.path.replace("/delete/", "/change/")
    if _is_obstructed(model_admin, request, rows):
        return HttpResponseRedirect(page_of_row)
    try:
        page = _ask_or_delete(model_admin, request, rows, back=page_of_row, fields=[])
    except (ProtectedError, RestrictedError) as error:
        _reject(request, error)
        page = None
    return page or HttpResponseRedirect(back)


def _is_obstructed(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> bool:
    """Whether other rows are in the way, which a message then names."""
    obstacle: str = model_admin.obstacle_to_deleting(rows)
    if obstacle:
        messages.error(request, f"Nothing was deleted. {obstacle}")
    return bool(obstacle)


def require_cascade(request: HttpRequest, model: type[Model]) -> None:
    """Raises :class:`~limits.admin.permissions.PermissionMissing` unless the user may also delete the rows that are
    deleted with one of ``model``."""
    for part in _cascading(model):
        permission = f"limits.delete_{part._meta.model_name}"
        if part in admin.site._registry and part._meta.app_label == "limits" and permission not in _DELETED_WITH_RULE:
            require_permission(request, permission)


_DELETED_WITH_RULE = ("limits.delete_alert",)
"""Alerts cannot be deleted separately; they are deleted with their rule."""


def _cascading(model: type[Model]) -> list[Any]:
    """Returns the models whose rows are deleted with a row of this model."""
    relations = [each for each in model._meta.related_objects if not each.hidden]
    return [each.related_model for each in relations if getattr(each, "on_delete", None) is CASCADE]


def _ask_or_delete(
    model_admin: Any, request: HttpRequest, rows: QuerySet[Any], *, back: str, fields: list[tuple[str, str]]
) -> HttpResponse | None:
    count = rows.count()
    form = DeletionForm(request.POST if "_delete" in request.POST else None, initial={"count": count})
    if form.is_valid() and form.cleaned_data["count"] == count:
        _delete(model_admin, request, rows, form.cleaned_data["why"])
        return None
    outdated = form.is_valid()
    if outdated:
        form = DeletionForm(initial={"count": count, "why": form.cleaned_data["why"]})
    context = {
        **admin.site.each_context(request),
        "title": f"Delete {count:,} {model_ngettext(model_admin.opts, count)}",
        "opts": model_admin.opts,
        "form": form,
        "outdated": outdated,
        "count": count,
        "maximum": MAX_ROWS,
        "examples": list(rows.order_by("pk")[:NAMED_ROWS]),
        "effect": model_admin.effect_of_deleting(rows, count),
        "parts": [str(part._meta.verbose_name_plural) for part in _cascading(rows.model)],
        "fields": fields,
        "back": back,
    }
    return TemplateResponse(request, "admin/limits/deletion.html", context)


def _delete(model_admin: Any, request: HttpRequest, rows: QuerySet[Any], why: str) -> None:
    """Deletes in chunks: deleted chunks stay deleted if a later one fails. Publishes once, at the end."""
    deleted = 0
    keys: list[str] = []
    keys_of: Callable[[QuerySet[Any]], list[str]] = getattr(model_admin, "client_keys_of", lambda chunk: [])
    for chunk in chunks(rows):
        with transaction.atomic(), change_reason(why), batched_history():
            keys += keys_of(chunk)
            model_admin.log_deletions(request, chunk)
            deleted += len(chunk)
            chunk.delete()
    messages.success(request, f"{deleted:,} {model_ngettext(model_admin.opts, deleted)} deleted.")
    if deleted == MAX_ROWS and (left := rows.count()):
        messages.warning(
            request, f"{left:,} matching rows remain: at most {MAX_ROWS:,} are deleted at a time. Repeat for the rest."
        )
    publish_many_clients(request, list(dict.fromkeys(keys)))
    if isinstance(model_admin, PublishesRules):
        with transaction.atomic():
            publish_rules(request, why)


def _review(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
    """A deletion of rules is reviewed like any other change of rules, and is all or nothing."""
    back = request.get_full_path()
    return reviewed(
        request,
        admin.site,
        lambda: _delete_rules(model_admin, request, rows, back),
        back=back,
        can_edit=False,
        opts=model_admin.opts,
    )


def _delete_rules(model_admin: Any, request: HttpRequest, rows: QuerySet[Any], back: str) -> HttpResponse:
    found = list(rows)
    names = ", ".join(f"“{row}”" for row in found[:NAMED_ROWS])
    model_admin.log_deletions(request, rows.model._default_manager.filter(pk__in=[row.pk for row in found]))
    for row in found:
        row.delete()
    name = model_ngettext(model_admin.opts, len(found))
    publish_rules(request, f"Deleted {len(found):,} {name}: {names}.")
    message_on_commit(request, messages.SUCCESS, f"{len(found):,} {name} deleted.")
    return HttpResponseRedirect(back)


def _reject(request: HttpRequest, error: ProtectedError | RestrictedError) -> None:
    """Shows which rows prevent the deletion."""
    rows = error.protected_objects if isinstance(error, ProtectedError) else error.restricted_objects
    users = sorted({f"{row._meta.verbose_name} “{row}”" for row in rows})
    names = ", ".join(users[:NAMED_ROWS]) + (
        f" and {len(users) - NAMED_ROWS:,} more" if len(users) > NAMED_ROWS else ""
    )
    messages.error(request, f"Nothing was deleted. Still in use by {names}. Change or delete these first.")
