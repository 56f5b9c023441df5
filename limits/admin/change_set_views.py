"""The requests that take a step of a change set: checked, done in one transaction, and delivered after it."""

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.admin import AdminSite
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse

from limits.admin.change_set_forms import StepForm, seen_of
from limits.admin.change_set_page import differences, key_of
from limits.admin.change_set_steps import CHANGE, Done, Step, leave
from limits.admin.forms import place_of
from limits.admin.permissions import PermissionMissing, require_permission
from limits.admin.publishing import deliver_rules
from limits.changes.due import apply_pending
from limits.changes.lifecycle import ChangeConflict, NotAllowedNow, applied, rebase, resolve
from limits.configfile.reading import InvalidConfig
from limits.models import ChangeSet
from ratelimit_enforcer.domain.validation import InvalidRuleset, capitalized

_SAVED_AT_ONCE = "Another user saved at the same time. Nothing was done; try again."
_EDITED = "The change set was edited since you opened it. Check the changes, then decide again."
_CONFLICTS = "Nothing was done: others published changes at the same places. Choose a value for each of them below."


class _Edited(Exception):
    """The change set is no longer what the user saw."""


def step_view(request: HttpRequest, admin_site: AdminSite, object_id: int, step: Step) -> HttpResponse:
    """Shows the form of a step, or takes it. What is refused is said at its field, or on the page of the change set."""
    if not step.is_permitted(request):
        raise PermissionMissing(step.permissions[0])
    if request.method == "POST":
        apply_pending()
    change = get_object_or_404(ChangeSet, pk=object_id)
    if obstacle := step.obstacle(request, change):
        messages.error(request, obstacle)
        return _to_page(change)
    form = step.form(change, request.POST if request.method == "POST" else None) if step.form else None
    if request.method == "POST" and (form is None or form.is_valid()):
        return _take(request, admin_site, change, step, form)
    return _form_page(request, admin_site, change, step, form) if form else _to_page(change)


def _take(
    request: HttpRequest, admin_site: AdminSite, change: ChangeSet, step: Step, form: StepForm | None
) -> HttpResponse:
    try:
        done = _done(request, change.pk, step, form.cleaned_data if form else {})
    except _Edited:
        return _seen_again(request, admin_site, change, step, form)
    except (NotAllowedNow, ChangeConflict, IntegrityError) as error:
        messages.error(request, _message(error))
        return _to_page(change)
    except (InvalidRuleset, InvalidConfig, ValidationError) as error:
        if form is not None:
            _add_to_form(form, error)
            return _form_page(request, admin_site, change, step, form)
        messages.error(request, f"Nothing was done. {' '.join(_sentences(error))}")
        return _to_page(change)
    _report(request, done)
    return _to_page(change)


@transaction.atomic
def _done(request: HttpRequest, pk: int, step: Step, values: dict[str, Any]) -> Done:
    change = ChangeSet.objects.select_for_update().get(pk=pk)
    if obstacle := step.obstacle(request, change):
        raise NotAllowedNow(obstacle)
    if step.is_final:
        if request.POST.get("seen") != seen_of(change):
            raise _Edited
        if conflicts := applied(change).conflicts:
            raise ChangeConflict(change, conflicts)
    change.reason = values.get("why", change.reason)
    done = step.run(request, change, values)
    if change.state not in ChangeSet.EDITABLE:
        leave(request, change)
    return done


def _report(request: HttpRequest, done: Done) -> None:
    if done.message:
        messages.success(request, done.message)
    if done.published is not None:
        deliver_rules(request)


def _message(error: Exception) -> str:
    if isinstance(error, ChangeConflict):
        return _CONFLICTS
    return _SAVED_AT_ONCE if isinstance(error, IntegrityError) else str(error)


def _add_to_form(form: StepForm, error: Exception) -> None:
    if isinstance(error, ValidationError):
        form.add_problems(error)
    else:
        for sentence in _sentences(error):
            form.add_error(None, sentence)


def _sentences(error: Any) -> list[str]:
    if isinstance(error, ValidationError):
        return error.messages
    return [f"{place_of(problem)}: {capitalized(problem.message)}" for problem in error.problems]


def _seen_again(
    request: HttpRequest, admin_site: AdminSite, change: ChangeSet, step: Step, form: StepForm | None
) -> HttpResponse:
    """Shows the change set as it is now; what the user typed is kept."""
    if form is None or step.form is None:
        messages.warning(request, _EDITED)
        return _to_page(change)
    change.refresh_from_db()
    data = request.POST.copy()
    data["seen"] = seen_of(change)
    return _form_page(request, admin_site, change, step, step.form(change, data), outdated=True)


def _form_page(
    request: HttpRequest, admin_site: AdminSite, change: ChangeSet, step: Step, form: forms.Form, **more: Any
) -> HttpResponse:
    context = {
        **admin_site.each_context(request),
        "title": f"{step.label.removesuffix('…')}: “{change}”",
        "opts": ChangeSet._meta,
        "change_set": change,
        "form": form,
        "intro": step.explanation,
        "submit": step.submit,
        "danger": step.style == "danger",
        "back": _address(change),
        **differences(change),
    }
    return TemplateResponse(request, "admin/limits/changeset/step.html", context | more)


def resolve_view(request: HttpRequest, object_id: int) -> HttpResponse:
    """Ends a conflict: ``value`` is “mine” or “theirs”, ``conflict`` the key of what the user saw."""
    require_permission(request, CHANGE)
    change = get_object_or_404(ChangeSet, pk=object_id)
    if request.method == "POST" and not _resolved(request, change.pk):
        messages.error(request, "This conflict has changed in the meantime. Check the values below.")
    return _to_page(change)


@transaction.atomic
def _resolved(request: HttpRequest, pk: int) -> bool:
    change = ChangeSet.objects.select_for_update().get(pk=pk)
    chosen, value = request.POST.get("conflict"), request.POST.get("value")
    conflict = next((each for each in applied(change).conflicts if key_of(each) == chosen), None)
    if conflict is None or value not in ("mine", "theirs") or change.state not in ChangeSet.EDITABLE:
        return False
    resolve(change, conflict, keep=value == "mine")
    rebase(change)
    return True


def _to_page(change: ChangeSet) -> HttpResponse:
    return HttpResponseRedirect(_address(change))


def _address(change: ChangeSet) -> str:
    return reverse("admin:limits_changeset_change", args=[change.pk])


def view_of(step: Step, admin_site: AdminSite) -> Callable[..., HttpResponse]:
    """The view of a step, for a URL."""

    def view(request: HttpRequest, object_id: int) -> HttpResponse:
        return step_view(request, admin_site, object_id, step)

    return view
