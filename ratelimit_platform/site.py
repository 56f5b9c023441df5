"""The admin's site: what every page of it refuses before its view begins."""

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
"""A primary key of any table here, within PostgreSQL's bigint."""


class PlatformAdminSite(UnfoldAdminSite):
    """Every view of the admin passes here, Django's own and django-unfold's as well."""

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        def checked(request: HttpRequest, *args: Any, **parameters: Any) -> HttpResponse:
            _require_a_key(parameters)
            _refuse_null_characters(request)
            _refuse_an_empty_reference(request)
            return view(request, *args, **parameters)

        return super().admin_view(update_wrapper(checked, view), cacheable)


def _require_a_key(parameters: dict[str, Any]) -> None:
    """What cannot be a primary key names no row."""
    for name in _ROW_PARAMETERS:
        if name in parameters and not _ROW.fullmatch(str(parameters[name])):
            raise Http404(f"“{parameters[name]}” is not the number of a row.")


def _refuse_null_characters(request: HttpRequest) -> None:
    """PostgreSQL takes none. Fields of forms say so themselves; filters and searches do not."""
    for name, values in request.GET.lists():
        if any("\x00" in text for text in (name, *values)):
            raise BadRequest("The address contains a null character.")


def _refuse_an_empty_reference(request: HttpRequest) -> None:
    """Django looks for a field of this name."""
    if request.GET.get(TO_FIELD_VAR) == "" or request.POST.get(TO_FIELD_VAR) == "":
        raise BadRequest("The address refers to a field without naming one.")
