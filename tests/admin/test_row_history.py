"""The history of a row, with author, time, change and reason."""

import pytest
from django.contrib.auth.models import User
from django.urls import reverse

from limits.models import AlertRule, Client, Override, Policy
from tests.admin.desk import WHY, Desk
from tests.admin.test_saving import NEW_LIMIT
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def history(
    desk: Desk, row: Policy | Client | AlertRule
) -> list[tuple[str, str, str, tuple[tuple[str, str, str], ...]]]:
    page = desk.open(reverse(f"admin:limits_{row._meta.model_name}_history", args=[row.pk]))
    return [(entry.user, entry.summary, entry.reason, entry.changes) for entry in page.response.context["entries"]]


def test_the_history_of_a_policy_contains_changes_of_its_limits(desk: Desk, shop: Platform) -> None:
    policy = Policy.objects.get()
    desk.change(policy, limits__0__quota="7", mode="shadow")
    changes = {summary: (user, reason, changed) for user, summary, reason, changed in history(desk, policy)}
    assert changes["policy “all” changed"] == ("ada", WHY, (("mode", "enforce", "shadow"),))
    assert changes["limit “7 per minute” changed"] == ("ada", WHY, (("quota", "100", "7"),))


def test_the_history_of_a_client_contains_its_overrides(desk: Desk, shop: Platform) -> None:
    client = Client.objects.get()
    desk.change(client, plan=rows.plan("pro").pk)
    desk.add(Override, client=client.pk, policy=Policy.objects.get().pk, reason="Sale", **NEW_LIMIT)
    desk.delete(Override.objects.get())
    summaries = [summary for _, summary, _, _ in history(desk, client)]
    assert "client “acme” changed" in summaries
    assert next(summary for summary in summaries if summary.startswith("override")).endswith("deleted")
    assert (("plan", "none", "Pro"),) in [changes for _, _, _, changes in history(desk, client)]


def test_an_alert_rule_and_a_row_without_history(desk: Desk, shop: Platform, ada: User) -> None:
    rule = rows.alert_rule()
    desk.change(rule, threshold="60")
    assert ("ada", "alert rule “abuse” changed", "", (("threshold", "50.0", "60.0"),)) in history(desk, rule)
    Client.history.all().delete()
    page = desk.open(reverse("admin:limits_client_history", args=[Client.objects.get().pk]))
    assert "No history" in page.text
