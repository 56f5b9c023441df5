"""Import and export of clients as CSV: upload, preview, progress."""

from typing import Any

from celery import current_app
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnavailable
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.csv_files import csv_response
from limits.admin.forms import ReadOnlyAdmin, form_page, reason_field
from limits.configfile.client_files import begin_import, continue_import, export_lines, restart_import
from limits.domain.client_csv import decode
from limits.models import Client, ClientImport

MAX_SYNCHRONOUS_BYTES = 512 * 1024
"""Maximum size in bytes of a file that is processed within the request; larger files are left to Celery."""
MAX_FILE_BYTES = 64 * 1024 * 1024
SYNCHRONOUS_SECONDS = 600.0
_COLOURS = {"done": "success", "refused": "danger", "failed": "danger", "checked": "warning"}


class ImportForm(forms.Form):
    """The form for the CSV file, and the reason."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        help_text="CSV in UTF-8, separated by commas, semicolons or tabs, up to 64 MB.",
    )
    why = reason_field("New resellers from the November contract list.")

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > MAX_FILE_BYTES:
            raise forms.ValidationError("The file is larger than 64 MB. Split it into several files.")
        try:
            self.content = decode(file.read())
        except UnicodeDecodeError as error:
            raise forms.ValidationError(
                "The file is not UTF-8 text. In your spreadsheet program, save it as “CSV UTF-8”."
            ) from error
        if "\0" in self.content:
            raise forms.ValidationError(
                "The file is not a text file. In your spreadsheet program, save it as “CSV UTF-8”."
            )
        return file


def import_view(request: HttpRequest, admin_site: admin.AdminSite) -> HttpResponse:
    """Accepts a file, starts the check, and redirects to the result."""
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        row = _create(request, form)
        _process(request, row)
        return HttpResponseRedirect(reverse("admin:limits_clientimport_change", args=[row.pk]))
    return form_page(
        request,
        admin_site,
        form,
        title="Import clients",
        intro=[
            "The first line names the columns: key (required), name, plan, status, tags (separated by spaces) and "
            "parent (the key of a client that exists, or of any line of the file). Existing clients are updated, new "
            "clients are added, and no client is removed. Values of missing columns stay unchanged; an empty plan "
            "means the default plan, or no plan below a parent; an empty cell of tags or parent removes them.",
            "You can review the changes before anything is imported. If any line has an error, nothing is imported and "
            "all errors are listed.",
        ],
        submit="Check file",
        back=reverse("admin:limits_client_changelist"),
        opts=Client._meta,
    )


def export_view(request: HttpRequest) -> HttpResponse:
    """Returns all clients as a file that can be imported again; ``?status=`` and ``?plan=`` (a slug) restrict
    them."""
    filters = {"status": request.GET.get("status"), "plan__slug": request.GET.get("plan")}
    rows = Client.objects.filter(**{field: value for field, value in filters.items() if value})
    return csv_response(export_lines(rows), f"clients-{timezone.now():%Y-%m-%d}")


def _create(request: HttpRequest, form: ImportForm) -> ClientImport:
    return ClientImport.objects.create(
        file_name=form.cleaned_data["file"].name[:200],
        content=form.content,
        reason=form.cleaned_data["why"],
        author=request.user.get_username(),
        user=request.user,  # type: ignore[misc]
        lines=form.content.count("\n"),
    )


def _process(request: HttpRequest, row: ClientImport) -> None:
    """Processes a small file at once, and passes a large one to Celery."""
    if len(row.content) <= MAX_SYNCHRONOUS_BYTES:
        continue_import(row.pk, SYNCHRONOUS_SECONDS)
        return
    try:
        current_app.send_task("limits.tasks.import_clients", args=[row.pk])
    except BrokerUnavailable:
        messages.error(
            request, "The message broker is unavailable, so the file is not being processed. Try again later."
        )


@admin.register(ClientImport)
class ClientImportAdmin(HasIntroduction, ReadOnlyAdmin, PlatformModelAdmin):
    introduction = "Uploaded client files: the changes that each file makes, or the errors that prevent the import."
    list_before_template = "admin/limits/clientimport/upload.html"
    list_display = ("file_name", "created_at", "author", "reason", "state_label")
    search_fields = ("file_name", "author", "reason")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:object_id>/run/", view(self.run_view), name="limits_clientimport_run"),
            path("<int:object_id>/progress/", view(self.progress_view), name="limits_clientimport_progress"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Adds the form for another file, for those who may import."""
        upload = {"upload": ImportForm()} if may_import(request) else {}
        return super().changelist_view(request, upload | (extra_context or {}))

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = get_object_or_404(ClientImport.objects.defer("content"), pk=object_id)
        return self._page(request, row, "admin/limits/clientimport/page.html")

    def progress_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Returns the part of the page that is refreshed while the file is being processed."""
        row = get_object_or_404(ClientImport.objects.defer("content"), pk=object_id)
        return self._page(request, row, "admin/limits/clientimport/progress.html")

    def run_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Imports a checked file, continues one that waits for a worker, or retries a failed one."""
        row = get_object_or_404(ClientImport, pk=object_id)
        if not may_import(request):
            raise PermissionDenied
        if request.method == "POST" and (begin_import(row) or restart_import(row) or row.is_under_way):
            _process(request, row)
        return HttpResponseRedirect(reverse("admin:limits_clientimport_change", args=[row.pk]))

    def _page(self, request: HttpRequest, row: ClientImport, template: str) -> HttpResponse:
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": f"Import of “{row.file_name}”",
            "opts": self.opts,
            "row": row,
            "may_import": may_import(request),
        }
        return TemplateResponse(request, template, context)

    @display(description="State", ordering="state", label=_COLOURS)
    def state_label(self, row: ClientImport) -> tuple[str, str]:
        return row.state, row.get_state_display()


def may_import(request: HttpRequest) -> bool:
    """Whether the user may import clients."""
    return request.user.has_perm("limits.add_clientimport") and request.user.has_perm("limits.change_client")
