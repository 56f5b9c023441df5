"""What the forms have in common."""

from django.db.models import Model
from django.http import HttpRequest


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
