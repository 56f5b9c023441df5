"""Django's own errors: pages for people at the admin, problem documents for everybody else."""

from http import HTTPStatus
from typing import Any

from django.contrib import admin
from django.core.exceptions import BadRequest, TooManyFieldsSent
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views import defaults

from api import errors
from limits.admin.permissions import advice

_TOO_MANY = "The form has more fields than this server accepts. Select fewer rows, or all that match a search."
_EXPIRED = (
    "The form was open for too long, or you logged in again in another tab since. Go back, load the page again and "
    "send it once more: nothing was changed."
)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler400``."""
    if not _is_at_the_admin(request):
        return errors.bad_request(request, exception)
    reason = str(exception) if isinstance(exception, BadRequest) else ""
    if isinstance(exception, TooManyFieldsSent):
        reason = _TOO_MANY
    text = reason or "The address or the form is not one that a page here sends. Nothing was changed."
    return _page(request, HTTPStatus.BAD_REQUEST, "This request cannot be read", text=text)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler403``."""
    if not _is_at_the_admin(request):
        return defaults.permission_denied(request, exception)
    return _page(request, HTTPStatus.FORBIDDEN, "You may not do this", advice=advice(request, exception))


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """``CSRF_FAILURE_VIEW``."""
    if not _is_at_the_admin(request):
        return defaults.permission_denied(request, Exception(reason))
    return _page(request, HTTPStatus.FORBIDDEN, "This form is out of date", text=_EXPIRED)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """``handler404``."""
    if not _is_at_the_admin(request):
        return errors.not_found(request, exception)
    text = "What you are looking for is not here. Perhaps it was deleted, or the address has a mistake."
    return _page(request, HTTPStatus.NOT_FOUND, "There is nothing here", text=text)


def _is_at_the_admin(request: HttpRequest) -> bool:
    """Whether somebody who is logged in asked below /admin/. A request may fail before it has a user."""
    user = getattr(request, "user", None)
    return request.path_info.startswith(errors.ADMIN) and user is not None and bool(user.is_active and user.is_staff)


def _page(request: HttpRequest, status: HTTPStatus, title: str, **context: Any) -> HttpResponse:
    page = {**admin.site.each_context(request), "title": title, **context}
    return TemplateResponse(request, "admin/limits/error.html", page, status=status).render()
