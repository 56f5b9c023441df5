"""The section for alert rules."""

import pytest
from pytest_django import Settings

from limits.configfile.export import export
from limits.models import AlertRule
from ratelimit_enforcer.domain.enums import AlertMetric, GroupBy
from tests.configfile.files import put, refusal, refused
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

RULE = "name: abuse, metric: throttled, threshold: 50, emails: [ops@example.com]"
FULL = f"""
alert_rules:
  - {{{RULE}, window: 300, client: acme, plan: free, endpoint: search, policy: all, group_by: client, cooldown: 60}}
"""


def test_a_rule_becomes_a_row_and_is_exported(shop: Platform) -> None:
    rows.endpoint("search")
    assert put(FULL).changes[0].startswith("Alert rule “abuse” added (50 requests denied in 5 minutes, for each client")
    rule = AlertRule.objects.get().as_domain()
    assert (rule.metric, rule.threshold, rule.window, rule.cooldown) == (AlertMetric.THROTTLED, 50, 300, 60)
    assert (rule.client, rule.plan, rule.endpoint, rule.policy) == ("acme", "free", "search", "all")
    assert (rule.group_by, rule.emails) == (GroupBy.CLIENT, ("ops@example.com",))
    text = export()
    AlertRule.objects.all().delete()
    put(text)
    assert AlertRule.objects.get().as_domain() == rule


def test_the_defaults(shop: Platform) -> None:
    put(f"alert_rules: [{{{RULE}, group_by: none}}]")
    rule = AlertRule.objects.get().as_domain()
    assert (rule.window, rule.cooldown, rule.group_by, rule.client) == (60, 600, None, None)


def test_a_change_is_reported_and_publishes_nothing(shop: Platform) -> None:
    put(f"alert_rules: [{{{RULE}}}]")
    (change,) = put(f"alert_rules: [{{{RULE.replace('50', '60')}}}]").changes
    assert change.startswith("Alert rule “abuse”: 50 requests denied")
    assert "→ 60 requests denied" in change
    assert put(f"alert_rules: [{{{RULE.replace('50', '60')}}}]").changes == []
    assert shop.sequence == 1


def test_pruning_removes_rules_that_the_section_does_not_contain(shop: Platform) -> None:
    put(f"alert_rules: [{{{RULE}}}, {{{RULE.replace('abuse', 'other')}}}]")
    put("clients: []", prune=True)
    assert AlertRule.objects.count() == 2
    assert put(f"alert_rules: [{{{RULE}}}]", prune=True).changes == ["Alert rule “other” removed."]


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        (
            "metric: usage_ratio",
            "threshold: must be 0.5, 0.8, 0.9 or 1.",
        ),
        ("metric: throttled_ratio", "threshold: must be a ratio above 0 and at most 1, such as 0.2."),
        ("metric: platform", "threshold: must be 1 for platform problems."),
        (
            "metric: loudness",
            "metric: must be one of: throttled, throttled_ratio, usage_ratio, overdrawn, over_quota, platform.",
        ),
        ("webhooks: ['http://example.com/']", "webhooks: http://example.com/ must begin with https://."),
        (
            "webhooks: ['https://10.0.0.1/']",
            "webhooks: https://10.0.0.1/ resolves to 10.0.0.1, which is neither public",
        ),
        ("min_requests: 0", "min_requests: must be a whole number from 1 to 1,000,000,000,000."),
        ("notify_resolved: 1", "notify_resolved: must be true or false."),
        ("threshold: 0", "threshold: must be a whole number of requests, from 1 to 1,000,000,000,000."),
        ("threshold: 0.5", "threshold: must be a whole number of requests, from 1 to 1,000,000,000,000."),
        ("threshold: true", "threshold: must be a number."),
        ("window: 90", "window: must be a multiple of 60 seconds, from 60 to 86,400."),
        ("window: 0", "window: must be a multiple of 60 seconds, from 60 to 86,400."),
        ("cooldown: -1", "cooldown: must be between 0 and 2,592,000 seconds."),
        ("emails: []", "emails: must contain at least one address, unless there is a webhook or a channel."),
        ("emails: [nobody]", "emails[0]: must be an email address."),
        ("group_by: plan", "group_by: must be one of: client, endpoint, policy, none."),
        ("name: ''", "name: must not be empty."),
        ("colour: red", None),
    ],
)
def test_an_invalid_rule_is_rejected(fields: str, line: str | None, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": "whsec_" + "QUJD" * 8}
    name = fields.partition(":")[0]
    kept = [part for part in RULE.split(", ") if not part.startswith(f"{name}:")]
    (found,) = refusal(f"alert_rules: [{{{', '.join([*kept, fields])}}}]")
    assert found.startswith(f"alert_rules[0].{line or name}")


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ("group_by: policy", "group_by: must be client, endpoint or none: overdrawn cost is not counted by policy."),
        ("policy: all", "policy: must be empty: overdrawn cost is not counted by policy."),
        ("threshold: 0.5", "threshold: must be a whole number of units of cost, from 1 to 1,000,000,000,000."),
    ],
)
def test_an_invalid_rule_on_overdrawn_cost_is_rejected(fields: str, line: str) -> None:
    threshold = "" if "threshold" in fields else "threshold: 1, "
    item = f"name: debt, metric: overdrawn, {threshold}{fields}, emails: [ops@example.com]"
    assert refusal(f"alert_rules: [{{{item}}}]") == [f"alert_rules[0].{line}"]


def test_a_rule_on_overdrawn_cost_is_restored_from_an_export(shop: Platform) -> None:
    rule = "{name: debt, metric: overdrawn, threshold: 5000, group_by: client, emails: [a@b.de]}"
    assert put(f"alert_rules: [{rule}]").changes == [
        "Alert rule “debt” added (5,000 units of cost overdrawn in 1 minute, for each client; to a@b.de; at most one "
        "message every 600 seconds)."
    ]
    before = AlertRule.objects.get().as_domain()
    text = export()
    AlertRule.objects.all().delete()
    put(text)
    assert AlertRule.objects.get().as_domain() == before


def test_a_rule_with_unknown_references_is_rejected(shop: Platform) -> None:
    assert refused(f"alert_rules: [{{{RULE}, plan: a, endpoint: b, policy: c}}]") == [
        "alert_rules[0].plan: there is no plan “a”.",
        "alert_rules[0].endpoint: there is no endpoint “b”.",
        "alert_rules[0].policy: there is no policy “c”.",
    ]


def test_channels_and_their_options_are_exported(shop: Platform, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": "whsec_" + "QUJD" * 8}
    put(
        "alert_rules: [{name: ratio, metric: throttled_ratio, threshold: 0.2, min_requests: 50, notify_resolved: true, "
        "webhooks: ['https://example.com/hook']}, {name: platform, metric: platform, threshold: 1, emails: [a@b.de]}]"
    )
    before = {rule.name: rule.as_domain() for rule in AlertRule.objects.all()}
    assert before["ratio"].webhooks == ("https://example.com/hook",)
    assert (before["ratio"].min_requests, before["ratio"].notify_resolved, before["ratio"].emails) == (50, True, ())
    text = export(secrets=True)
    AlertRule.objects.all().delete()
    put(text)
    assert {rule.name: rule.as_domain() for rule in AlertRule.objects.all()} == before


def test_webhooks_require_a_secret_for_signing() -> None:
    assert refusal(
        "alert_rules: [{name: hook, metric: throttled, threshold: 1, webhooks: ['https://example.com/']}]"
    ) == ["alert_rules[0].webhooks: cannot be used until the setting WEBHOOK_SECRET is set."]


def test_two_rules_with_one_name_are_rejected() -> None:
    assert refusal(f"alert_rules: [{{{RULE}}}, {{{RULE}}}]") == [
        "alert_rules[1].name: “abuse” is a duplicate of alert_rules[0]."
    ]
