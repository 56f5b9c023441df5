"""The admin site: rejects invalid requests to any of its pages before the view runs."""

import re
from collections.abc import Callable
from functools import update_wrapper
from typing import Any

from django.contrib.admin.options import TO_FIELD_VAR
from django.core.exceptions import BadRequest
from django.http import Http404, HttpRequest, HttpResponse
from unfold.sites import UnfoldAdminSite

View = Callable[..., HttpResponse]

_ROW_PARAMETERS = ("object_id", "id")
_ROW = re.compile(r"[0-9]{1,18}")
"""The primary key of any table, within PostgreSQL's bigint."""


class PlatformAdminSite(UnfoldAdminSite):
    """Checks the requests to every view of the admin, including Django's own and django-unfold's."""

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        def checked(request: HttpRequest, *args: Any, **parameters: Any) -> HttpResponse:
            _require_primary_key(parameters)
            _reject_null_characters(request)
            _reject_empty_reference(request)
            return view(request, *args, **parameters)

        return super().admin_view(update_wrapper(checked, view), cacheable)


def _require_primary_key(parameters: dict[str, Any]) -> None:
    """Raises ``Http404`` for a parameter that cannot be a primary key."""
    for name in _ROW_PARAMETERS:
        if name in parameters and not _ROW.fullmatch(str(parameters[name])):
            raise Http404(f"“{parameters[name]}” is not the key of a row.")


def _reject_null_characters(request: HttpRequest) -> None:
    """PostgreSQL accepts no null characters. Form fields report them; filters and searches do not."""
    for name, values in request.GET.lists():
        if any("\x00" in text for text in (name, *values)):
            raise BadRequest("The URL contains a null character.")


def _reject_empty_reference(request: HttpRequest) -> None:
    """Without this check, Django would look for a field with an empty name."""
    if request.GET.get(TO_FIELD_VAR) == "" or request.POST.get(TO_FIELD_VAR) == "":
        raise BadRequest("The URL refers to a field with an empty name.")
