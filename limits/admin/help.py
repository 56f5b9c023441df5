"""A sentence or two at the top of a list, where a newcomer would stop."""

from typing import Any

from django.http import HttpRequest, HttpResponse


class Introduced:
    """``introduction`` says what the list is for; ``introduction_links`` are (text, URL name) pairs."""

    introduction = ""
    introduction_links: tuple[tuple[str, str], ...] = ()
    list_before_template = "admin/limits/introduction.html"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        context = {"introduction": self.introduction, "introduction_links": self.introduction_links}
        return super().changelist_view(request, context | (extra_context or {}))  # type: ignore[misc]
