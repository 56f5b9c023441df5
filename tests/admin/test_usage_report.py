"""The page “Usage report”."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from limits.models import Client, LateCount, Progress, RecordedClient, Usage, Work
from tests.admin.desk import Desk
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

NOW = timezone.now().replace(second=0, microsecond=0)
TODAY = NOW.date().isoformat()


@pytest.fixture(autouse=True)
def nothing_is_rolled_up(shop: Platform) -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, NOW - timedelta(days=40))
    RecordedClient.objects.update(from_hour=datetime(2026, 1, 1, tzinfo=UTC))


def requests(client: str, amount: int, outcome: str = "admitted") -> None:
    Usage.objects.create(
        minute=NOW, client_key=client, endpoint="search", outcome=outcome, requests=amount, cost=amount
    )


def report(desk: Desk, **query: str) -> Any:
    page = desk.open(reverse("admin:limits_usage_report"), **query)
    assert page.status == 200
    return page.response.context


def test_the_largest_rows_come_first_and_the_chart_has_everything(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    requests("acme", 5)
    requests("acme", 2, "denied")
    requests("stranger", 3)
    context = report(desk, since=TODAY, until=TODAY)
    assert [(line.texts, line.numbers[0]) for line in context["lines"]] == [(("acme",), 7), (("(unregistered)",), 3)]
    assert context["lines"][0].pk == Client.objects.get(key="acme").pk
    assert "10 requests: 8 admitted, 2 denied." in str(context["chart"])
    monkeypatch.setattr("limits.admin.usage_report.ROWS", 1)
    context = report(desk, since=TODAY, until=TODAY)
    assert (len(context["lines"]), context["max_rows"]) == (1, 1)


def test_the_page_of_a_client_has_its_months(desk: Desk) -> None:
    requests("acme", 1_234)
    requests("acme", 2, "denied")
    page = desk.open(reverse("admin:limits_client_change", args=[Client.objects.get(key="acme").pk]))
    assert [(each.requests, each.cost, each.denied) for each in page.response.context["months"]] == [(1_236, 1_234, 2)]
    assert f"{NOW:%B %Y}" in page.text.split('id="months"')[1]


def test_a_file_with_all_rows(desk: Desk) -> None:
    requests("acme", 5)
    requests("stranger", 3)
    query = {"since": TODAY, "until": TODAY, "rows": "client", "time": "month"}
    response = desk.client.get(reverse("admin:limits_usage_report_file"), query)
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    month = NOW.strftime("%Y-%m")
    assert [(line["month"], line["client"], line["requests"]) for line in csv.DictReader(StringIO(text))] == [
        (month, "acme", "5"),
        (month, "(unregistered)", "3"),
    ]


def test_without_counts_and_with_an_invalid_form(desk: Desk) -> None:
    assert "missing" in report(desk, since=TODAY, until=TODAY)
    form = report(desk, since=TODAY, until="2020-01-01", timezone="Mars")["form"]
    assert set(form.errors) == {"timezone"}
    assert set(report(desk, since=TODAY, until="2020-01-01")["form"].errors) == {"until"}


def test_counts_that_arrived_after_the_close_are_marked(desk: Desk) -> None:
    moment = NOW - timedelta(days=35)
    Usage.objects.create(minute=moment, client_key="acme", endpoint="", outcome="admitted", requests=9, cost=9)
    LateCount.objects.create(
        arrived=NOW, hour=moment.replace(minute=0), client_key="acme", outcome="admitted", requests=4, cost=4
    )
    day = moment.date().isoformat()
    lines = report(desk, since=day, until=day)["lines"]
    assert [(line.numbers[0], line.is_adjustment) for line in lines] == [(5, False), (4, True)]
