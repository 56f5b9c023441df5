"""Deleting rows, one or all that match a search: a page that says how many, and asks why."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import model_ngettext
from django.db import transaction
from django.db.models import CASCADE, Model, ProtectedError, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse

from limits.admin.bulk import AT_MOST, chunks, selection
from limits.admin.form_page import reason_field
from limits.admin.permissions import require
from limits.admin.publishing import publish_many_clients, publish_rules
from limits.admin.review import reviewed
from limits.models.history import because, history_together

SHOWN = 10
"""Rows that the page names."""


class DeletionForm(forms.Form):
    """Why, and how many rows the page named."""

    why = reason_field("They ended their contract.")
    count = forms.IntegerField(widget=forms.HiddenInput)


def delete_selected(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse | None:
    """The action of every list. None: done, so back to the list."""
    require_cascade(request, rows.model)
    try:
        if getattr(model_admin, "is_reviewed", False):
            return _review(model_admin, request, rows)
        return _ask_or_delete(model_admin, request, rows, back=request.get_full_path(), fields=selection(request))
    except ProtectedError as error:
        _refuse(request, error)
        return None


def delete_one(model_admin: Any, request: HttpRequest, row: Model, back: str) -> HttpResponse:
    """The page of one row's deletion. ``back``: where to go from there."""
    require_cascade(request, type(row))
    rows = type(row)._default_manager.filter(pk=row.pk)
    try:
        page = _ask_or_delete(model_admin, request, rows, back=request.path.replace("/delete/", "/change/"), fields=[])
    except ProtectedError as error:
        _refuse(request, error)
        page = None
    return page or HttpResponseRedirect(back)


def require_cascade(request: HttpRequest, model: type[Model]) -> None:
    """What goes with a row may be deleted by whoever may delete it by itself."""
    for part in _cascading(model):
        permission = f"limits.delete_{part._meta.model_name}"
        if part in admin.site._registry and part._meta.app_label == "limits" and permission not in _WITH_ITS_RULE:
            require(request, permission)


_WITH_ITS_RULE = ("limits.delete_alert",)
"""Nobody deletes an alert by itself; it goes with its rule."""


def _cascading(model: type[Model]) -> list[Any]:
    """Models whose rows are deleted with a row of this one."""
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
        "most": AT_MOST,
        "some": list(rows.order_by("pk")[:SHOWN]),
        "consequence": model_admin.consequence_of_deleting(rows, count),
        "parts": [str(part._meta.verbose_name_plural) for part in _cascading(rows.model)],
        "fields": fields,
        "back": back,
    }
    return TemplateResponse(request, "admin/limits/deletion.html", context)


def _delete(model_admin: Any, request: HttpRequest, rows: QuerySet[Any], why: str) -> None:
    """In chunks: what is deleted stays deleted if a later one fails. Live once, at the end."""
    deleted = 0
    keys: list[str] = []
    keys_of: Callable[[QuerySet[Any]], list[str]] = getattr(model_admin, "client_keys_of", lambda chunk: [])
    for chunk in chunks(rows):
        with transaction.atomic(), because(why), history_together():
            keys += keys_of(chunk)
            model_admin.log_deletions(request, chunk)
            deleted += len(chunk)
            chunk.delete()
    messages.success(request, f"{deleted:,} {model_ngettext(model_admin.opts, deleted)} deleted.")
    if deleted == AT_MOST and (left := rows.count()):
        messages.warning(request, f"{left:,} more match. One step deletes {AT_MOST:,}: select them again and go on.")
    publish_many_clients(request, list(dict.fromkeys(keys)))


def _review(model_admin: Any, request: HttpRequest, rows: QuerySet[Any]) -> HttpResponse:
    """A deletion of rules is reviewed like every other change of them, and happens at once or not at all."""
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
    names = ", ".join(f"“{row}”" for row in found[:SHOWN])
    model_admin.log_deletions(request, rows.model._default_manager.filter(pk__in=[row.pk for row in found]))
    for row in found:
        row.delete()
    name = model_ngettext(model_admin.opts, len(found))
    publish_rules(request, f"Deleted {len(found):,} {name}: {names}.")
    messages.success(request, f"{len(found):,} {name} deleted.")
    return HttpResponseRedirect(back)


def _refuse(request: HttpRequest, error: ProtectedError) -> None:
    """What holds on to the rows."""
    holding = sorted({f"{row._meta.verbose_name} “{row}”" for row in error.protected_objects})
    names = ", ".join(holding[:SHOWN]) + (f" and {len(holding) - SHOWN:,} more" if len(holding) > SHOWN else "")
    messages.error(request, f"Nothing was deleted, because this needs them: {names}. Change or delete that first.")
