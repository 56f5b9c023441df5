"""Lists: what an empty one says, dates with their time zone, and the upload on the list of imports."""

import pytest
from django.db.models import Model
from django.urls import reverse

from limits.models import Alert, AlertRule, ClientImport, Endpoint, Publication, Usage
from tests.admin.desk import Desk
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (Endpoint, 'No endpoints yet. <a href="/admin/limits/endpoint/add/">Add an endpoint</a>'),
        (AlertRule, 'No alert rules yet. <a href="/admin/limits/alertrule/add/">Add an alert rule</a>'),
        (Alert, "No alerts yet. They appear when the condition of an alert rule is met."),
        (Usage, "They appear within ten seconds of the first request."),
    ],
)
def test_an_empty_list_names_the_next_step(desk: Desk, shop: Platform, model: type[Model], text: str) -> None:
    model._default_manager.all().delete()
    assert text in desk.list(model).text


def test_a_search_without_results_leads_back_to_all_rows(desk: Desk, shop: Platform) -> None:
    assert 'No endpoint matches. <a href="?">Show all endpoints</a>' in desk.list(Endpoint, q="nothing").text


def test_dates_in_lists_have_a_time_zone(desk: Desk, shop: Platform) -> None:
    published = Publication.objects.get().created_at
    assert f"{published:%-d %b %Y, %H:%M} UTC" in desk.list(Publication).text


def test_a_file_is_uploaded_on_the_list_of_imports(desk: Desk, shop: Platform) -> None:
    page = desk.list(ClientImport)
    form = page.text.split('id="upload"', 1)[1].split("</form>", 1)[0]
    assert 'name="file"' in form
    assert 'name="why"' in form
    assert f'action="{reverse("admin:limits_client_import_clients")}"' in page.text
