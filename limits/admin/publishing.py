"""A save publishes: when the page comes back, the change is live, and the page says so."""

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from limits.admin.review import EDIT_AGAIN, reason_given, remember_publication, reviewed
from limits.domain.problems import Problem, RulesetRefused
from limits.publishing import clients, rules
from limits.publishing.delivery import Delivery
from limits.publishing.going_live import go_live

_PROBLEMS = "_ruleset_problems"


class RefusedForm(ModelForm):
    """A form that shows why the compiler refused what it would have saved."""

    problems: tuple[Problem, ...] = ()

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        for problem in self.problems:
            field = str(problem.location[-1])
            message = problem.message[:1].upper() + problem.message[1:]
            if len(problem.location) == 3 and field in self.fields:
                self.add_error(field, message)
            else:
                self.add_error(None, f"{place_of(problem)}: {message}")
        return cleaned


def place_of(problem: Problem) -> str:
    """“policies free-search, limits 1, quota”: positions count from one, as on the form."""
    section, *rest = problem.location
    words = [f"{part + 1}" if isinstance(part, int) else str(part) for part in rest]
    return " ".join([str(section), *words[:1]]) + ("," if words[1:] else "") + " ".join(["", *words[1:]])


class EditedAgainForm(ModelForm):
    """A form that came back from the review: shown once more as it was typed, whatever it holds."""

    def is_valid(self) -> bool:
        return False


class PublishesRules:
    """For the admin of rows that rules are compiled from. ``is_reviewed``: what a save or a
    deletion would publish is shown first, and confirmed with a sentence of why."""

    is_reviewed = False

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)  # type: ignore[misc]
        publish_rules(request, f"{'Changed' if change else 'Added'} {_named(form.instance)}.")

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        name = _named(obj)
        super().delete_model(request, obj)  # type: ignore[misc]
        publish_rules(request, f"Deleted {name}.")

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._reviewed(request, lambda: self._changeform_or_reasons(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return self._reviewed(request, lambda: self._delete_or_reasons(request, *args, **kwargs), can_edit=False)

    def _reviewed(self, request: HttpRequest, save: Callable[[], HttpResponse], **options: Any) -> HttpResponse:
        if request.method != "POST" or not self.is_reviewed:
            return save()
        opts = self.opts  # type: ignore[attr-defined]
        return reviewed(request, self.admin_site, save, back=request.get_full_path(), opts=opts, **options)  # type: ignore[attr-defined]

    def _changeform_or_reasons(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """What the compiler refuses is rolled back, and the form is shown again with the reasons."""
        try:
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]
        except RulesetRefused as refusal:
            setattr(request, _PROBLEMS, refusal.problems)
            return super().changeform_view(request, *args, **kwargs)  # type: ignore[misc]

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)  # type: ignore[misc]
        if EDIT_AGAIN in request.POST:
            return type(form)(form.__name__, (EditedAgainForm, form), {})
        problems = getattr(request, _PROBLEMS, ())
        return type(form)(form.__name__, (RefusedForm, form), {"problems": problems}) if problems else form

    def _delete_or_reasons(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().delete_view(request, *args, **kwargs)  # type: ignore[misc]
        except RulesetRefused as refusal:
            return _refuse(request, refusal)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            return super().changelist_view(request, *args, **kwargs)  # type: ignore[misc]
        except RulesetRefused as refusal:
            return _refuse(request, refusal)


class PublishesClients:
    """For the admin of clients and of what belongs to one. ``client_keys_of`` says whose."""

    def client_keys_of(self, queryset: QuerySet[Any]) -> list[str]:
        raise TypeError("Each admin says whose records its rows belong to.")

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)  # type: ignore[misc]
        self._publish(request, type(form.instance)._default_manager.filter(pk=form.instance.pk))

    def _publish(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        publish_clients(request, self.client_keys_of(queryset))


def publish_rules(request: HttpRequest, reason: str) -> None:
    """Records the rules as they are now, in this transaction, and delivers them after it."""
    user = request.user if request.user.is_authenticated else None
    publication = rules.record(request.user.get_username(), user=user, reason=reason_given(request, reason))
    remember_publication(request, publication)
    transaction.on_commit(partial(_deliver_rules, request))


def publish_clients(request: HttpRequest, keys: Collection[str]) -> None:
    """Delivers these clients after the commit."""
    transaction.on_commit(partial(_deliver_clients, request, tuple(keys)))


AT_ONCE = 5_000
"""Clients that are brought to the servers while the page waits; more of them go live by themselves."""


def publish_many_clients(request: HttpRequest, keys: Collection[str]) -> None:
    """Delivers them after the commit, or leaves them to the reconciler where they are too many."""
    if len(keys) > AT_ONCE:
        messages.info(request, "They are so many that they go live one after another, within a few minutes.")
    elif keys:
        publish_clients(request, keys)


def _deliver_rules(request: HttpRequest) -> None:
    delivery = go_live()
    _tell(request, delivery, f"Version {delivery.version} is live on every server.")


def _deliver_clients(request: HttpRequest, keys: tuple[str, ...]) -> None:
    names = ", ".join(keys[:5]) + (f" and {len(keys) - 5:,} more" if len(keys) > 5 else "")
    _tell(request, clients.deliver(keys), f"Live on every server: {names}.")


def _tell(request: HttpRequest, delivery: Delivery, success: str) -> None:
    if delivery.live:
        messages.success(request, success)
    else:
        messages.warning(request, f"Saved, but not live yet. {delivery.problem}")


def _refuse(request: HttpRequest, refusal: RulesetRefused) -> HttpResponse:
    for problem in refusal.problems:
        messages.error(request, f"Nothing was changed. {place_of(problem)}: {problem.message}")
    return HttpResponseRedirect(request.get_full_path())


def _named(row: Model) -> str:
    return f"{row._meta.verbose_name} “{row}”"
