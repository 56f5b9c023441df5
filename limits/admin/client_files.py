"""Clients from a CSV file and into one: upload, preview, progress."""

from typing import Any

from celery import current_app
from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, StreamingHttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnavailable
from unfold.decorators import display
from unfold.widgets import UnfoldAdminFileFieldWidget

from limits.admin.base import PlatformModelAdmin
from limits.admin.fields import NobodyEdits
from limits.admin.form_page import form_page, reason_field
from limits.admin.help import Introduced
from limits.configfile.client_csv import decoded
from limits.configfile.client_files import begin_import, check_again, export_lines, work
from limits.models import Client, ClientImport

SMALL = 512 * 1024
"""Bytes of a file that is worked on while the page waits; a larger one goes to Celery."""
LARGEST = 64 * 1024 * 1024
LONG = 600.0
_COLOURS = {"done": "success", "refused": "danger", "failed": "danger", "checked": "warning"}


class ImportForm(forms.Form):
    """The file and why."""

    file = forms.FileField(
        widget=UnfoldAdminFileFieldWidget,
        help_text="CSV in UTF-8, with commas, semicolons or tabs, up to 64 MB. A spreadsheet saves as such.",
    )
    why = reason_field("The new resellers, from the contract list of November.")

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > LARGEST:
            raise forms.ValidationError("It is larger than 64 MB. Split it into several files.")
        try:
            self.content = decoded(file.read())
        except UnicodeDecodeError as error:
            raise forms.ValidationError(
                "It is not text in UTF-8. In your spreadsheet, save it as “CSV UTF-8”."
            ) from error
        if "\0" in self.content:
            raise forms.ValidationError("It is not a text file. In your spreadsheet, save it as “CSV UTF-8”.")
        return file


def import_view(request: HttpRequest, admin_site: admin.AdminSite) -> HttpResponse:
    """Takes a file, has it checked, and leads to what was found."""
    form = ImportForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        row = _take(request, form)
        _go_on(request, row)
        return HttpResponseRedirect(reverse("admin:limits_clientimport_change", args=[row.pk]))
    return form_page(
        request,
        admin_site,
        form,
        title="Import clients",
        intro=[
            "The first line of the file names its columns: key, and any of name, plan and status. A key that is there "
            "already is changed, a new one is added, and none is ever removed. A column that the file does not have "
            "stays as it is; an empty plan means the default plan.",
            "You see what the file would change before anything is imported. A file with a wrong line is refused as a "
            "whole, and every wrong line is named.",
        ],
        submit="Check the file",
        back=reverse("admin:limits_client_changelist"),
        opts=Client._meta,
    )


def export_view(request: HttpRequest) -> HttpResponse:
    """All clients as a file that can be imported again; ``?status=`` and ``?plan=`` (a slug): only those."""
    filters = {"status": request.GET.get("status"), "plan__slug": request.GET.get("plan")}
    rows = Client.objects.filter(**{field: value for field, value in filters.items() if value})
    response = StreamingHttpResponse(export_lines(rows), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="clients-{timezone.now():%Y-%m-%d}.csv"'
    return response  # type: ignore[return-value]


def _take(request: HttpRequest, form: ImportForm) -> ClientImport:
    return ClientImport.objects.create(
        file_name=form.cleaned_data["file"].name[:200],
        content=form.content,
        reason=form.cleaned_data["why"],
        author=request.user.get_username(),
        user=request.user,  # type: ignore[misc]
        lines=form.content.count("\n"),
    )


def _go_on(request: HttpRequest, row: ClientImport) -> None:
    """Works on a small file at once, and has Celery work on a large one."""
    if len(row.content) <= SMALL:
        work(row.pk, LONG)
        return
    try:
        current_app.send_task("limits.tasks.import_clients", args=[row.pk])
    except BrokerUnavailable:
        messages.error(request, "The worker cannot be reached, so the file waits. Try again when it is back.")


@admin.register(ClientImport)
class ClientImportAdmin(Introduced, NobodyEdits, PlatformModelAdmin):
    introduction = "Files of clients that were uploaded: what each would change, did change, or why it was refused."
    list_display = ("file_name", "created_at", "author", "reason", "state_label")
    search_fields = ("file_name", "author", "reason")

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:object_id>/run/", view(self.run_view), name="limits_clientimport_run"),
            path("<int:object_id>/progress/", view(self.progress_view), name="limits_clientimport_progress"),
            *super().get_urls(),
        ]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        row = get_object_or_404(ClientImport.objects.defer("content"), pk=object_id)
        return self._page(request, row, "admin/limits/clientimport/page.html")

    def progress_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """The part of the page that is asked for again while somebody works on the file."""
        row = get_object_or_404(ClientImport.objects.defer("content"), pk=object_id)
        return self._page(request, row, "admin/limits/clientimport/progress.html")

    def run_view(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Imports a file that was checked, continues one that waits for a worker, or tries a failed one again."""
        row = get_object_or_404(ClientImport, pk=object_id)
        if not may_import(request):
            raise PermissionDenied
        if request.method == "POST" and (begin_import(row) or check_again(row) or row.is_under_way):
            _go_on(request, row)
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
    """Whether this person may import clients."""
    return request.user.has_perm("limits.add_clientimport") and request.user.has_perm("limits.change_client")
