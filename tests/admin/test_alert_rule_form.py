"""The form of an alert rule: minutes, fields that the metric does not use, and the sentence."""

import pytest

from limits.models import AlertRule
from tests.admin.desk import Desk
from tests.admin.test_alerts import RULE
from tests.models import rows

pytestmark = pytest.mark.django_db(transaction=True)

SENTENCE = "/admin/limits/alertrule/sentence/"


def test_durations_are_entered_in_minutes_and_stored_in_seconds(desk: Desk) -> None:
    desk.add(AlertRule, **RULE | {"window_0": "5", "cooldown_0": "1.5"})
    rule = AlertRule.objects.get()
    assert (rule.window, rule.cooldown) == (300, 90)
    page = desk.open(f"/admin/limits/alertrule/{rule.pk}/change/")
    assert (page.fields["window_0"], page.fields["cooldown_0"]) == ("5", "1.5")


def test_a_browser_leaves_out_fields_that_the_metric_does_not_use(desk: Desk) -> None:
    page = desk.open("/admin/limits/alertrule/add/")
    assert (page.fields["window_0"], page.fields["cooldown_0"]) == ("1", "10")
    typed = {"name": "problems", "metric": "platform", "cooldown_0": "10", "emails": "ops@example.com"}
    desk.client.post("/admin/limits/alertrule/add/", typed)
    rule = AlertRule.objects.get()
    assert (rule.threshold, rule.window, rule.min_requests) == (1, 60, 1)
    assert "data-unused-fields" in page.text


def test_a_threshold_is_required(desk: Desk) -> None:
    page = desk.add(AlertRule, **RULE | {"threshold": ""})
    assert page.errors == {"threshold": ["This field is required."]}


def test_the_sentence_says_whom_the_rule_notifies_of_what(desk: Desk) -> None:
    rows.alert_rule("search-abuse")
    endpoint = rows.endpoint("search")
    typed = RULE | {"emails": "ops@example.com", "endpoint": endpoint.pk, "notify_resolved": "on", "name": ""}
    assert desk.client.post(SENTENCE, typed).json() == {
        "sentence": "Notifies ops@example.com: 50 requests denied in 1 minute, for each client, on endpoint search; at "
        "most one message every 10 minutes about the same subject; also when resolved."
    }
    assert desk.client.post(SENTENCE, typed | {"window_0": "0"}).json() == {
        "problem": "Window in minutes: Must be whole minutes, from 1 to 1,440 (a multiple of 60 seconds)."
    }
