"""What the forms have in common."""

import re
from collections.abc import Sequence
from typing import Any

from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model
from django.http import HttpRequest

_KEY = re.compile("[0-9]{1,18}")


class RowSelect(AutocompleteSelect):
    """A row to search for. What cannot be the key of one, in an address or a form, is no choice; Django asks
    PostgreSQL for it."""

    def optgroups(self, name: str, value: Sequence[str], attrs: dict[str, Any] | None = None) -> list[Any]:
        keys = [each for each in value if not each or _KEY.fullmatch(str(each))]
        return super().optgroups(name, keys, attrs)


class SlugKept:
    """The slug is typed once, from the name, and read-only from then on."""

    slug_field = "slug"
    slug_from = "name"

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        fields = list(super().get_readonly_fields(request, obj))  # type: ignore[misc]
        return [*fields, self.slug_field] if obj else fields

    def get_prepopulated_fields(self, request: HttpRequest, obj: Model | None = None) -> dict[str, tuple[str, ...]]:
        return {} if obj else {self.slug_field: (self.slug_from,)}


class NobodyEdits:
    """For rows that the platform writes: people look at them."""

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False
