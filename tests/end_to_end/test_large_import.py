"""The import of a file that is too large for a request, with a real web server and a real worker."""

import re
from collections.abc import Iterator

import httpx
import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from limits.admin.client_files import MAX_SYNCHRONOUS_BYTES
from limits.models import Client, ClientImport
from tests.support.celery import CeleryProcess
from tests.support.waiting import wait_until
from tests.support.web import WebServer

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "a password of Ada"
LINES = 20_000


@pytest.fixture
def worker(servers: list[WebServer]) -> Iterator[CeleryProcess]:
    worker = CeleryProcess("worker")
    yield worker
    worker.stop()


@pytest.fixture
def admin(servers: list[WebServer]) -> Iterator[httpx.Client]:
    """An HTTP client with Ada logged in to the first server."""
    User.objects.create_superuser("ada", "ada@example.com", PASSWORD)
    with httpx.Client(base_url=servers[0].url, timeout=60, follow_redirects=True) as browser:
        assert (
            send_form(browser, "/admin/login/", {"username": "ada", "password": PASSWORD, "next": "/admin/"}).url.path
            == "/admin/"
        )
        yield browser


def send_form(
    browser: httpx.Client, page: str, data: dict[str, str], *, to: str = "", files: dict[str, bytes] | None = None
) -> httpx.Response:
    """Opens a page and submits its form, to the URL ``to`` if given."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).text)
    assert token
    return browser.post(to or page, data=data | {"csrfmiddlewaretoken": token[1]}, files=files)


def state() -> str:
    return ClientImport.objects.latest("id").state


def test_the_web_server_passes_a_large_file_to_the_worker(admin: httpx.Client, worker: CeleryProcess) -> None:
    content = "key,name\n" + "".join(f"imported-{number},Customer number {number}\n" for number in range(LINES))
    assert len(content) > MAX_SYNCHRONOUS_BYTES
    upload = reverse("admin:limits_client_import_clients")
    page = send_form(admin, upload, {"why": "All of them."}, files={"file": content.encode()})
    assert page.status_code == 200
    wait_until(lambda: state() == "checked")
    row = ClientImport.objects.latest("id")
    assert row.added == LINES
    send_form(admin, page.url.path, {}, to=reverse("admin:limits_clientimport_run", args=[row.pk]))
    wait_until(lambda: state() == "done")
    assert Client.objects.filter(key__startswith="imported-").count() == LINES
