"""Actions on selected clients: move them to another plan or below a parent, add tags, remove tags. Each asks for a
reason."""

from collections.abc import Callable
from itertools import islice
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import AdminSite
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import UnfoldAdminSelectWidget

from limits.admin.bulk import MAX_ROWS, NAMED_ROWS, chunks, selection
from limits.admin.forms import RowSelect, TagsField, reason_field
from limits.admin.publishing import publish_many_clients
from limits.configfile.rows import write_parents
from limits.domain.descriptions import quantity
from limits.models import Client, Plan
from limits.models.history import change_reason, update_with_history
from limits.models.trees import tree_problems
from ratelimit_enforcer.domain.validation import MAX_TAGS

MOVE, MOVE_BELOW, ADD_TAGS, REMOVE_TAGS = "_move", "_move_below", "_add_tags", "_remove_tags"
"""Names of the buttons that confirm an action."""
MAX_PROBLEMS = 5
"""Maximum number of clients that cannot be moved and are named."""


class MoveForm(forms.Form):
    """The form for the target plan, and the reason."""

    plan = forms.ModelChoiceField(
        Plan.objects.all(),
        required=False,
        empty_label="Default plan (below a parent: no plan)",
        widget=UnfoldAdminSelectWidget,
    )
    why = reason_field("Bought Pro at the trade fair.")


class MoveBelowForm(forms.Form):
    """The form for the new parent (none: the clients become roots), and the reason."""

    parent = forms.ModelChoiceField(
        Client.objects.all(),
        required=False,
        widget=RowSelect(Client._meta.get_field("parent"), admin.site),
        help_text="Empty: no parent. The clients and all clients below them start with new counters.",
    )
    why = reason_field("Keys of Acme, which now share its quota.")

    def __init__(self, clients: QuerySet[Client], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.clients = clients

    def clean_parent(self) -> Client | None:
        parent: Client | None = self.cleaned_data["parent"]
        keys = [key for chunk in chunks(self.clients) for key in chunk.values_list("key", flat=True)]
        self.parents = dict.fromkeys(keys, parent.key if parent else None)
        problems = list(islice(tree_problems(self.parents, Client.objects.all()), MAX_PROBLEMS + 1))
        if problems:
            named = [f"{key}: {message}" for key, message in problems[:MAX_PROBLEMS]]
            raise forms.ValidationError([*named, *(["… and others."] if len(problems) > MAX_PROBLEMS else [])])
        return parent


class TagsForm(forms.Form):
    """The form for the tags to add or remove, and the reason."""

    tags = TagsField()
    why = reason_field("Customers of the wholesale programme.")


def move_view(request: HttpRequest, admin_site: AdminSite, clients: QuerySet[Client]) -> HttpResponse | None:
    """Shows a form for the plan, and moves the clients. Returns None once done; Django then shows the list."""
    form = MoveForm(request.POST if MOVE in request.POST else None)
    if not form.is_valid():
        return _page(request, admin_site, form, clients, title="Move clients to a plan", button=MOVE, submit="Move")
    plan = form.cleaned_data["plan"]

    def move(client: Client) -> None:
        client.plan = plan

    moving = clients.exclude(plan=plan) if plan else clients.exclude(plan=None)
    moved = _change(request, moving, move, "plan_id", form.cleaned_data["why"])
    messages.success(request, f"{quantity(moved, 'client')} moved to {plan or 'the default plan'}.")
    return None


def move_below_view(request: HttpRequest, admin_site: AdminSite, clients: QuerySet[Client]) -> HttpResponse | None:
    """Shows a form for the parent, and moves the clients below it. Returns None once done."""
    form = MoveBelowForm(clients, request.POST if MOVE_BELOW in request.POST else None)
    if not form.is_valid():
        title = "Move clients below a parent"
        return _page(request, admin_site, form, clients, title=title, button=MOVE_BELOW, submit="Move")
    parent = form.cleaned_data["parent"]
    moving = list(Client.objects.filter(key__in=form.parents).exclude(parent=parent).values_list("key", flat=True))
    try:
        with transaction.atomic(), change_reason(form.cleaned_data["why"]):
            write_parents(dict.fromkeys(moving, parent.key if parent else None))
    except IntegrityError:
        messages.error(request, "Nothing was moved: another user moved clients of these trees at the same time.")
        return None
    messages.success(
        request, f"{quantity(len(moving), 'client')} moved below {parent}." if parent else _now_roots(len(moving))
    )
    if len(form.parents) == MAX_ROWS and clients.count() > MAX_ROWS:
        messages.warning(request, f"Only the first {MAX_ROWS:,} of the selected clients were moved.")
    publish_many_clients(request, moving)
    return None


def _now_roots(clients: int) -> str:
    return f"{quantity(clients, 'client')} now without a parent."


def add_tags_view(request: HttpRequest, admin_site: AdminSite, clients: QuerySet[Client]) -> HttpResponse | None:
    """Shows a form for the tags, and adds them. Returns None once done."""
    form = TagsForm(request.POST if ADD_TAGS in request.POST else None)
    if not form.is_valid():
        return _page(request, admin_site, form, clients, title="Add tags to clients", button=ADD_TAGS, submit="Add")
    tags = form.cleaned_data["tags"]

    def add(client: Client) -> None:
        if len(together := {*client.tags, *tags}) <= MAX_TAGS:
            client.tags = sorted(together)

    untagged = clients.exclude(tags__contains=tags)
    added = _change(request, untagged, add, "tags", form.cleaned_data["why"])
    messages.success(request, f"{quantity(added, 'client')} now tagged {' and '.join(tags)}.")
    return None


def remove_tags_view(request: HttpRequest, admin_site: AdminSite, clients: QuerySet[Client]) -> HttpResponse | None:
    """Shows a form for the tags, and removes them. Returns None once done."""
    form = TagsForm(request.POST if REMOVE_TAGS in request.POST else None)
    if not form.is_valid():
        title = "Remove tags from clients"
        return _page(request, admin_site, form, clients, title=title, button=REMOVE_TAGS, submit="Remove")
    tags = form.cleaned_data["tags"]

    def remove(client: Client) -> None:
        client.tags = [tag for tag in client.tags if tag not in tags]

    tagged = clients.filter(tags__overlap=tags)
    removed = _change(request, tagged, remove, "tags", form.cleaned_data["why"])
    messages.success(request, f"{quantity(removed, 'client')} no longer tagged {' or '.join(tags)}.")
    return None


def _page(
    request: HttpRequest,
    admin_site: AdminSite,
    form: forms.Form,
    clients: QuerySet[Client],
    *,
    title: str,
    button: str,
    submit: str,
) -> HttpResponse:
    context = {
        **admin_site.each_context(request),
        "title": title,
        "opts": Client._meta,
        "form": form,
        "count": clients.count(),
        "examples": list(clients[:NAMED_ROWS]),
        "fields": selection(request),
        "button": button,
        "submit": submit,
        "back": reverse("admin:limits_client_changelist"),
    }
    return TemplateResponse(request, "admin/limits/client/selected.html", context)


def _change(
    request: HttpRequest, clients: QuerySet[Client], change: Callable[[Client], None], field: str, why: str
) -> int:
    """Changes ``field`` of the clients, up to ``MAX_ROWS`` of them, and delivers all together. Returns the number of
    changed clients; warns if matching clients remain."""
    seen, keys = 0, list[str]()
    for chunk in chunks(clients):
        rows, changed = _change_chunk(chunk, change, field, why)
        seen, keys = seen + rows, keys + changed
    if unchanged := seen - len(keys):
        messages.warning(request, f"{quantity(unchanged, 'client')} not changed: a client has at most {MAX_TAGS} tags.")
    if seen == MAX_ROWS and (left := clients.count() - unchanged):
        messages.warning(
            request,
            f"{left:,} matching clients remain: at most {MAX_ROWS:,} are changed at a time. Repeat for the rest.",
        )
    publish_many_clients(request, keys)
    return len(keys)


@transaction.atomic
def _change_chunk(
    chunk: QuerySet[Client], change: Callable[[Client], None], field: str, why: str
) -> tuple[int, list[str]]:
    """Writes one revision for each client that changes, with history. Returns the number of clients, and the keys of
    those changed."""
    rows = list(chunk.order_by("pk").select_for_update(of=("self",)))
    before = {row.pk: getattr(row, field) for row in rows}
    for row in rows:
        change(row)
    changed = [row for row in rows if getattr(row, field) != before[row.pk]]
    with change_reason(why):
        update_with_history(Client, changed, [field])
    return len(rows), [row.key for row in changed]
