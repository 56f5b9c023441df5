"""``GET /v1/reports/usage``: JSON and CSV, and errors that name the parameter."""

import csv
import json
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any
from urllib.parse import urlencode

import pytest
from pytest_django import Settings

from limits.models import PolicyUsage, Progress, RecordedClient, Usage, Work, tokens
from limits.publishing import rules
from limits.publishing.reconciler import go_live
from limits.reports import reading
from ratelimit_enforcer.domain.enums import Scope
from tests.api.conftest import Caller, serve
from tests.models import rows
from tests.support.servers import Store

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
AT = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
OCTOBER = {"from": "2026-10", "to": "2026-11"}
FORMULA = '=HYPERLINK("x")'


class Reader:
    """A program with a token for reports."""

    def __init__(self) -> None:
        self.caller = Caller()
        self.token = tokens.issue(name="billing", scopes=[Scope.REPORTS])

    def ask(self, *, token: str = "", accept: str = "application/json", **query: Any) -> Any:
        headers = {"authorization": f"Bearer {token or self.token}", "accept": accept}
        return self.caller.client.get(f"/v1/reports/usage?{urlencode(query)}", headers=headers)

    def json(self, **query: Any) -> Any:
        response = self.ask(**query)
        assert (response.status_code, response["Content-Type"]) == (200, "application/json")
        return response.json() if not response.streaming else _parsed(response)


def _parsed(response: Any) -> Any:
    return json.loads(b"".join(response.streaming_content))


@pytest.fixture
def reader(settings: Settings, redis_url: str, request: pytest.FixtureRequest) -> Reader:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"KEEP_HOURS": 400}
    serve(settings, Store(redis_url, f"reports-{abs(hash(request.node.nodeid))}"))
    rows.default_plan("free")
    rows.client("acme", plan=rows.plan("pro"), tags=["eu"])
    rows.client(FORMULA)
    RecordedClient.objects.update(from_hour=AT - 100 * 24 * HOUR)
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, AT - 100 * 24 * HOUR)
    Progress.note(Work.DRAIN, AT)
    reader = Reader()
    rules.record("tests")
    assert go_live().live
    for client, outcome, requests in (("acme", "admitted", 3), ("acme", "denied", 1), (FORMULA, "admitted", 5)):
        Usage.objects.create(
            minute=AT, client_key=client, endpoint="search", outcome=outcome, requests=requests, cost=2 * requests
        )
    Usage.objects.create(minute=AT, client_key="", endpoint="", outcome="exempt", requests=7, cost=7)
    return reader


NONE = {"requests": 0, "admitted": 0, "denied": 0, "blocked": 0, "exempt": 0, "cost": 0}
NONE |= {"refunded": 0, "debited": 0, "overdrawn": 0, "granted": 0, "over_quota": 0}


def test_a_report_as_json(reader: Reader) -> None:
    found = reader.json(**OCTOBER, by="plan,month")
    assert found.pop("counted_until")
    assert found == {
        "from": "2026-10-01T00:00:00+00:00",
        "to": "2026-11-01T00:00:00+00:00",
        "timezone": "UTC",
        "by": ["month", "plan"],
        "rows": [
            {"month": "2026-10", "plan": "pro", **NONE, "requests": 4, "admitted": 3, "denied": 1, "cost": 6},
            {"month": "2026-10", "plan": None, **NONE, "requests": 12, "admitted": 5, "exempt": 7, "cost": 10},
        ],
        "adjustments": [],
    }
    assert [row["requests"] for row in reader.json(**OCTOBER)["rows"]] == [16]
    assert reader.json(**OCTOBER, timezone="Europe/Berlin")["rows"] == []
    november = reader.json(**{"from": "2026-11", "to": "2026-12"}, timezone="Europe/Berlin", by="month", tag="eu")
    assert [(row["month"], row["requests"]) for row in november["rows"]] == [("2026-11", 4)]


def test_units_beyond_quotas_by_policy_and_in_sums(reader: Reader) -> None:
    units = {"client_key": "acme", "endpoint": "search", "policy": "month"}
    PolicyUsage.objects.create(minute=AT, **units, granted=9, over_quota=2)
    PolicyUsage.objects.create(minute=AT - HOUR, **units, granted=-4, over_quota=0)
    (row,) = reader.json(**OCTOBER, by="policy,client")["rows"]
    assert row == {"policy": "month", "client": "acme", "denied": 0, "would_deny": 0, "granted": 5, "over_quota": 2}
    PolicyUsage.objects.update(granted=-3)
    lines = b"".join(reader.ask(**OCTOBER, by="policy", format="csv").streaming_content).decode().splitlines()
    assert lines[1:] == ["month,0,0,-6,2,"]
    PolicyUsage.objects.filter(minute=AT).update(granted=9)
    PolicyUsage.objects.filter(minute=AT - HOUR).update(granted=-4)
    (total,) = reader.json(**OCTOBER)["rows"]
    assert (total["requests"], total["granted"], total["over_quota"]) == (16, 5, 2)


@pytest.mark.parametrize("chosen", [{"accept": "text/csv"}, {"accept": "image/png", "format": "csv"}])
def test_a_report_as_csv_contains_no_formulas(reader: Reader, chosen: dict[str, str]) -> None:
    response = reader.ask(**OCTOBER, by="client", **chosen)
    assert (response.status_code, response["Content-Type"]) == (200, "text/csv; charset=utf-8")
    text = b"".join(response.streaming_content).decode("utf-8-sig")
    lines = list(csv.DictReader(StringIO(text)))
    assert [(line["client"], line["requests"], line["adjustment"]) for line in lines] == [
        (f"'{FORMULA}", "5", ""),
        ("acme", "4", ""),
        ("(unregistered)", "7", ""),
    ]


def test_every_invalid_parameter_is_named(reader: Reader) -> None:
    def errors(**query: Any) -> dict[str, list[str]]:
        response = reader.ask(**query)
        assert response.status_code == 400, query
        return dict(response.json()["errors"])

    wrong = {"timezone": "Mars/Base", "by": "colour", "since": "x", "plan": "No Slug", "format": "xml", "from": "soon"}
    assert set(errors(**wrong)) == set(wrong)
    assert errors(by="day,month")["by"] == ["may contain only one of hour, day, month."]
    assert errors(**{"from": "2026-11", "to": "2026-10"}) == {"to": ["must be after “from”."]}
    assert errors(**{"from": "2026-10-01T00:30Z"}) == {"from": ["must be a whole hour."]}
    assert "part of an hour" in errors(**OCTOBER, timezone="Asia/Kolkata")["timezone"][0]
    early = {"from": "2025-03", "to": "2026-10"}
    assert "must be UTC" in errors(**early, timezone="Europe/Berlin")["timezone"][0]
    assert "from" in errors(**{"from": "2020-01"})
    assert reader.ask(**early, by="month").status_code == 200


def test_the_scope_reports_is_required(reader: Reader) -> None:
    other = tokens.issue(name="gateway", scopes=[Scope.CHECK, Scope.CLIENTS])
    rules.record("tests")
    assert go_live().live
    assert reader.ask(token=other).status_code == 403
    assert reader.ask(accept="image/png").status_code == 406


def test_an_error_of_the_database_is_a_problem_document(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_SETTINGS", "SET LOCAL statement_timeout = '1ms'; SELECT pg_sleep(1)")
    response = reader.ask(**OCTOBER, by="client")
    assert (response.status_code, response.json()["type"]) == (503, "/problems/database-unavailable")
