"""The admin as a person uses it: opening a page, changing some fields, saving."""

from collections.abc import Iterator
from typing import Any

from django.contrib.messages import get_messages
from django.db.models import Model
from django.forms import BaseForm, MultiWidget
from django.test import Client
from django.urls import reverse

WHY = "Somebody asked for it."


class Page:
    """The page in a response."""

    def __init__(self, response: Any) -> None:
        self.response = response
        self.status: int = response.status_code
        self.text: str = response.content.decode()

    @property
    def messages(self) -> list[str]:
        """The messages at the top of the page."""
        return [str(message) for message in get_messages(self.response.wsgi_request)] or [
            str(message) for message in (self.response.context or {}).get("messages", ())
        ]

    @property
    def errors(self) -> dict[str, list[str]]:
        """Field (name in the form; ``__all__`` for the whole form) → its errors."""
        found: dict[str, list[str]] = {}
        for form in self._forms():
            for field, messages in form.errors.items():
                found.setdefault(form.add_prefix(field) if field != "__all__" else field, []).extend(messages)
        for formset in self._formsets():
            if messages := formset.non_form_errors():
                found[formset.prefix] = list(messages)
        return found

    @property
    def fields(self) -> dict[str, Any]:
        """The form data that the page would submit without changes."""
        data: dict[str, Any] = {}
        for form in self._forms():
            data |= _fields(form)
        for formset in self._formsets():
            data |= _fields(formset.management_form)
        return data

    @property
    def is_review(self) -> bool:
        """Whether the page is a review that asks for a confirmation."""
        return "admin/limits/review.html" in [template.name for template in self.response.templates]

    @property
    def is_deletion(self) -> bool:
        """Whether the page asks for the reason of a deletion."""
        return "admin/limits/deletion.html" in [template.name for template in self.response.templates]

    @property
    def sent_again(self) -> dict[str, list[str]]:
        """The form data that a review contains and submits again."""
        kept: dict[str, list[str]] = {}
        for name, value in self.response.context["fields"]:
            kept.setdefault(name, []).append(value)
        return kept

    def _forms(self) -> Iterator[BaseForm]:
        yield self.response.context["adminform"].form
        for formset in self._formsets():
            yield from formset.forms

    def _formsets(self) -> Iterator[Any]:
        """The formsets of the page, and those nested in them."""
        for inline in self.response.context["inline_admin_formsets"]:
            yield inline.formset
            for form in inline.formset.forms:
                yield from (nested.formset for nested in getattr(form, "nested_formsets", ()))


def _fields(form: BaseForm) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for bound in form:
        value = bound.value()
        widget = bound.field.widget
        if isinstance(widget, MultiWidget):
            parts = enumerate(value if isinstance(value, list) else widget.decompress(value))
            data |= {f"{bound.html_name}_{at}": "" if part is None else str(part) for at, part in parts}
        elif getattr(widget, "allow_multiple_selected", False):
            data[bound.html_name] = [str(each) for each in value or ()]
        elif value is True:
            data[bound.html_name] = "on"
        elif value is not False:
            data[bound.html_name] = "" if value is None else str(value)
    return data


class Desk:
    """A logged in user who opens pages and submits forms."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def open(self, path: str, **query: str) -> Page:
        return Page(self.client.get(path, query))

    def list(self, model: type[Model], **query: str) -> Page:
        return self.open(reverse(f"admin:limits_{model._meta.model_name}_changelist"), **query)

    def change(self, row: Model, **changes: Any) -> Page:
        """Opens a row's page, changes these fields (None: an unchecked box) and saves."""
        return self._save(reverse(f"admin:limits_{row._meta.model_name}_change", args=[row.pk]), changes)

    def add(self, model: type[Model], **fields: Any) -> Page:
        return self._save(reverse(f"admin:limits_{model._meta.model_name}_add"), fields)

    def _save(self, path: str, changes: dict[str, Any]) -> Page:
        return self.confirm(self.send(path, **changes))

    def send(self, path: str, **changes: Any) -> Page:
        """Saves without confirming the review, if there is one."""
        data = self.open(path).fields | {name.replace("__", "-"): value for name, value in changes.items()}
        sent = {name: value for name, value in data.items() if value is not None}
        return Page(self.client.post(path, sent, follow=True))

    def delete(self, row: Model) -> Page:
        path = reverse(f"admin:limits_{row._meta.model_name}_delete", args=[row.pk])
        return self.confirm(Page(self.client.post(path, {"post": "yes"}, follow=True)))

    def confirm(self, page: Page, why: str = "") -> Page:
        """Confirms a review or a deletion; returns any other page unchanged."""
        if page.is_deletion:
            answer = {"_delete": "1", "why": why or WHY, "count": str(page.response.context["count"])}
        elif page.is_review:
            answer = {"_confirm": "1", "why": why or WHY, "reviewed_version": page.response.context["version"]}
        else:
            return page
        path = page.response.wsgi_request.get_full_path()
        return Page(self.client.post(path, page.sent_again | answer, follow=True))

    def act(self, action: str, *rows: Model) -> Page:
        """Runs an action of the list on these rows, and confirms it if necessary."""
        path = reverse(f"admin:limits_{rows[0]._meta.model_name}_changelist")
        chosen = {"action": action, "_selected_action": [str(row.pk) for row in rows]}
        return self.confirm(Page(self.client.post(path, chosen, follow=True)))
