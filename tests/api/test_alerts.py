"""Alerts over HTTP: listed, acknowledged and silenced, with a real database."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from pytest_django import Settings

from limits.models import Alert, Message, Usage
from limits.monitoring.alerts import evaluate
from tests.api.test_changes import Deployment, begin
from tests.models import rows

pytestmark = pytest.mark.django_db(transaction=True)

MINUTE = timedelta(minutes=1)


@pytest.fixture
def deployment(settings: Settings, redis_url: str, request: pytest.FixtureRequest) -> Deployment:
    return begin(settings, redis_url, f"alerts-{abs(hash(request.node.nodeid))}")


@pytest.fixture
def firing() -> list[Alert]:
    """Two alerts that fire for ten minutes, with a message for each."""
    rows.alert_rule("abuse", group_by="client", cooldown=60)
    now = timezone.now().replace(second=0, microsecond=0)
    Usage.objects.bulk_create(
        Usage(client_key=key, endpoint="search", minute=now + at * MINUTE, outcome="denied", requests=60, cost=60)
        for key in ("acme", "bolt")
        for at in range(10)
    )
    evaluate(now)
    assert Message.objects.count() == 2
    return [Alert.objects.get(group="acme"), Alert.objects.get(group="bolt")]


def told(since: int) -> set[str]:
    """The subjects of the alerts of all messages but the first ``since``."""
    messages = Message.objects.order_by("pk")[since:]
    return {alert.group for message in messages for alert in message.alerts.all()}


def test_alerts_are_listed_and_read(deployment: Deployment, firing: list[Alert]) -> None:
    acme, bolt = sorted(firing, key=lambda alert: alert.pk)
    page = deployment.ask("GET", "/v1/alerts?limit=1").json()
    assert ([each["id"] for each in page["alerts"]], page["next"]) == ([bolt.pk], f"/v1/alerts?limit=1&after={bolt.pk}")
    assert [each["id"] for each in deployment.ask("GET", page["next"]).json()["alerts"]] == [acme.pk]
    read = deployment.ask("GET", f"/v1/alerts/{acme.pk}").json()
    assert read == deployment.ask("GET", page["next"]).json()["alerts"][0]
    assert {name: read[name] for name in ("rule", "metric", "group_by", "subject", "state", "value", "highest")} == {
        "rule": "abuse",
        "metric": "throttled",
        "group_by": "client",
        "subject": acme.group,
        "state": "open",
        "value": 60,
        "highest": 60,
    }
    assert deployment.ask("GET", "/v1/alerts?rule=other").json()["alerts"] == []
    assert deployment.ask("GET", "/v1/alerts/999999").status_code == 404
    for query in ("limit=0", "after=x", "state=over", "sort=1", "rule=%00"):
        wrong = deployment.ask("GET", f"/v1/alerts?{query}")
        assert (wrong.status_code, list(wrong.json()["errors"])) == (400, [query.partition("=")[0]])


def test_an_acknowledged_alert_sends_no_more_messages(deployment: Deployment, firing: list[Alert]) -> None:
    acme = firing[0]
    first = deployment.ask("POST", f"/v1/alerts/{acme.pk}/acknowledge")
    assert (first.status_code, first.json()["state"], first.json()["live"]) == (200, "acknowledged", True)
    assert first.json()["acknowledged_by"] == "token deploy"
    again = deployment.ask("POST", f"/v1/alerts/{acme.pk}/acknowledge", {})
    assert again.json() == first.json()
    evaluate(timezone.now().replace(second=0, microsecond=0) + 3 * MINUTE)
    assert told(2) == {"bolt"}
    assert [each["id"] for each in deployment.ask("GET", "/v1/alerts?state=acknowledged").json()["alerts"]] == [acme.pk]
    assert [each["subject"] for each in deployment.ask("GET", "/v1/alerts?state=open").json()["alerts"]] == ["bolt"]
    assert deployment.ask("POST", f"/v1/alerts/{acme.pk}/acknowledge", {"by": "me"}).status_code == 400
    assert deployment.ask("POST", "/v1/alerts/999999/acknowledge").status_code == 404


def test_a_silenced_alert_sends_messages_again_at_the_end(deployment: Deployment, firing: list[Alert]) -> None:
    acme = firing[0]
    silenced = deployment.ask("POST", f"/v1/alerts/{acme.pk}/silence", {"minutes": 5, "reason": "A load test."})
    found = silenced.json()
    assert (silenced.status_code, found["state"], found["silenced_by"]) == (200, "silenced", "token deploy")
    assert found["silence_reason"] == "A load test."
    assert [each["subject"] for each in deployment.ask("GET", "/v1/alerts?state=silenced").json()["alerts"]] == ["acme"]
    now = timezone.now().replace(second=0, microsecond=0)
    evaluate(now + 3 * MINUTE)
    assert told(2) == {"bolt"}
    evaluate(now + 7 * MINUTE)
    assert told(3) == {"acme", "bolt"}
    until = (timezone.now() + timedelta(days=1)).replace(microsecond=0)
    again = deployment.ask("POST", f"/v1/alerts/{acme.pk}/silence", {"until": until.isoformat()}).json()
    assert (again["silenced_until"], again["silence_reason"]) == (f"{until:%Y-%m-%dT%H:%M:%S}Z", None)


INVALID: list[tuple[Any, str]] = [
    ({}, "until"),
    ({"minutes": 0}, "minutes"),
    ({"minutes": 5, "until": "2126-01-01T00:00:00Z"}, "until"),
    ({"until": "2020-01-01T00:00:00Z"}, "until"),
    ({"until": "2126-01-01T00:00:00Z"}, "until"),
    ({"until": "tomorrow"}, "until"),
    ({"minutes": 5, "reason": "\n"}, "reason"),
    ([], "body"),
]


def test_invalid_silences(deployment: Deployment, firing: list[Alert]) -> None:
    for body, field in INVALID:
        wrong = deployment.ask("POST", f"/v1/alerts/{firing[0].pk}/silence", body)
        assert (wrong.status_code, list(wrong.json()["errors"])) == (400, [field])
    assert Alert.objects.get(pk=firing[0].pk).silenced_until is None


def test_alerts_need_the_scope_rules(deployment: Deployment) -> None:
    assert deployment.ask("GET", "/v1/alerts", token=deployment.check).status_code == 403
