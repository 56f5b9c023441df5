"""Django's own errors: HTML pages for users of the admin, problem documents for all other callers; and which settings
Django's error page shows in ``DEBUG`` mode."""

import re
from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views import defaults
from django.views.debug import SafeExceptionReporterFilter

from api import errors
from limits.admin.permissions import access_advice

_TOO_MANY = "The form has more fields than this server accepts. Select fewer rows, or all rows that match a search."
_EXPIRED = (
    "The form was open for too long, or you logged in again in another tab. Nothing was changed. Go back, reload the "
    "page, and submit the form again."
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler400``: a request that Django cannot read, such as a form with too many fields."""
    if not _is_admin_request(request):
        return errors.bad_request(request, exception)
    reason = str(exception) if isinstance(exception, BadRequest) else ""
    if isinstance(exception, TooManyFieldsSent):
        reason = _TOO_MANY
    text = reason or "The URL or the form data is invalid. Nothing was changed."
    return _page(request, HTTPStatus.BAD_REQUEST, "Invalid request", text=text)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler403``: the user lacks a permission, which the page names."""
    if not _is_admin_request(request):
        return defaults.permission_denied(request, exception)
    return _page(request, HTTPStatus.FORBIDDEN, "Permission denied", advice=access_advice(request, exception))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """``CSRF_FAILURE_VIEW``: the form's token is missing or out of date."""
    if not _is_admin_request(request):
        return defaults.permission_denied(request, Exception(reason))
    return _page(request, HTTPStatus.FORBIDDEN, "This form has expired", text=_EXPIRED)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler404``: nothing is at this address, or the row does not exist."""
    if not _is_admin_request(request):
        return errors.not_found(request, exception)
    text = "The page does not exist. It may have been deleted, or the URL may be wrong."
    return _page(request, HTTPStatus.NOT_FOUND, "Not found", text=text)


def _is_admin_request(request: HttpRequest) -> bool:
    """Whether a logged-in user asked for a URL below /admin/. A request may fail before it has a user."""
    user = getattr(request, "user", None)
    return (
        request.path_info.startswith(errors.ADMIN_PATH) and user is not None and bool(user.is_active and user.is_staff)
    )


def _page(request: HttpRequest, status: HTTPStatus, title: str, **context: Any) -> HttpResponse:
    page = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, "admin/limits/error.html", page, status=status).render()


class ReporterFilter(SafeExceptionReporterFilter):
    """Hides URLs in addition to Django's own list: those of stores and of the broker may contain passwords."""

    hidden_settings = re.compile(f"{SafeExceptionReporterFilter.hidden_settings.pattern}|URL|LOCATION", re.IGNORECASE)
