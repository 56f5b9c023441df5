"""Uploading a file of clients in the admin, and importing it."""

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from limits.models import ClientImport
from tests.admin.desk import Desk, Page


def upload(desk: Desk, content: str | bytes, why: str = "The contract list.") -> Page:
    """Uploads a file. Returns the page with the result of the check, or the form with errors."""
    data = content.encode() if isinstance(content, str) else content
    file = SimpleUploadedFile("clients.csv", data, "text/csv")
    return Page(
        desk.client.post(reverse("admin:limits_client_import_clients"), {"file": file, "why": why}, follow=True)
    )


def run(desk: Desk) -> Page:
    """Imports the file that was uploaded last."""
    row = ClientImport.objects.latest("id")
    return Page(desk.client.post(reverse("admin:limits_clientimport_run", args=[row.pk]), follow=True))


def exported(desk: Desk, **filters: str) -> str:
    """The file of all clients, or of those that the filters select."""
    answer = desk.client.get(reverse("admin:limits_client_export_clients"), filters)
    return b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
