"""Secrets of notification channels: exports and histories have references, and sending one back keeps the secret."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from limits.configfile.export import export
from limits.models import AlertRule, NotificationChannel
from limits.models.channel_secrets import reference_to
from tests.configfile.files import put, refusal, refused
from tests.management.running import run
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

HOOKS = ["https://hooks.example.com/services/T0/B0/hush", "https://example.com/other"]
RULE = "{{name: {}, metric: throttled, threshold: 1, webhooks: [{}]}}"


def rules(**hooks: str) -> str:
    return f"alert_rules: [{', '.join(RULE.format(name, urls) for name, urls in hooks.items())}]"


@pytest.fixture(autouse=True)
def signing(shop: Platform, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": "whsec_" + "QUJD" * 8}


def test_an_export_sent_back_keeps_the_secrets() -> None:
    added = put(rules(a=", ".join(HOOKS))).changes
    text = export()
    assert "hush" not in text + "".join(added)
    assert re.findall(r"secret:[0-9a-f]{16}", text) == [reference_to(hook) for hook in HOOKS]
    assert put(text, prune=True).changes == []
    assert AlertRule.objects.get().webhooks == HOOKS


def test_a_reference_may_move_beside_new_secrets_and_to_other_rules() -> None:
    put(rules(a=", ".join(HOOKS)))
    kept, new = reference_to(HOOKS[1]), "https://example.com/new"
    put(rules(a=f"'{kept}', '{new}'", b=f"'{kept}'"))
    found = dict(AlertRule.objects.values_list("name", "webhooks"))
    assert found == {"a": [HOOKS[1], new], "b": [HOOKS[1]]}


def test_an_unknown_reference_is_rejected_at_its_place() -> None:
    put(rules(a=HOOKS[0]))
    gone = reference_to("https://example.com/gone")
    assert refusal(rules(a=f"{HOOKS[0]}, '{gone}'")) == [
        "alert_rules[0].webhooks[1]: refers to a secret that is not stored here; write the secret itself."
    ]


def test_secrets_are_printed_on_request() -> None:
    put(rules(a=", ".join(HOOKS)))
    assert "hush" not in run("export_config").out
    assert run("export_config", "--secrets").out == export(secrets=True)
    assert all(hook in export(secrets=True) for hook in HOOKS)


def test_the_history_of_a_rule_shows_references(client: Client) -> None:
    put(rules(a=HOOKS[0]))
    put(rules(a=HOOKS[1]))
    client.force_login(User.objects.create_superuser("ann"))
    page = client.get(reverse("admin:limits_alertrule_history", args=[AlertRule.objects.get().pk])).content.decode()
    assert [reference_to(hook) in page for hook in HOOKS] == [True, True]
    assert "hush" not in page


def test_a_channel_is_kept_by_its_reference_and_no_text_contains_its_url(client: Client) -> None:
    url = "https://hooks.slack.com/services/T0000001/B0000001/hushhushhushhush"
    rule = "{name: a, metric: throttled, threshold: 1, channels: [ops]}"
    added = put(f"channels: [{{slug: ops, url: '{url}'}}]\nalert_rules: [{rule}]").changes
    assert f"Channel ops added (Slack, {reference_to(url)})." in added
    text = export()
    assert "hush" not in text + "".join(added)
    assert put(text, prune=True).changes == []
    assert NotificationChannel.objects.get().url == url
    assert url in export(secrets=True)
    assert AlertRule.objects.get().channels == ["ops"]
    assert refusal("channels: [{slug: ops, url: 'json://10.0.0.1/hush'}]")[0].startswith(
        "channels[0].url: is not a URL"
    )
    assert refused(f"alert_rules: [{rule.replace('ops', 'sales')}]") == [
        "alert_rules[0].channels[0]: there is no channel “sales”."
    ]
    assert refused("channels: []", prune=True) == ["channels: cannot be pruned, because it is still used by: a."]
    put(f"channels: [{{slug: ops, url: '{url}2', approvals: true}}]")
    client.force_login(User.objects.create_superuser("ann"))
    row = NotificationChannel.objects.get()
    for page in ("change", "history"):
        shown = client.get(reverse(f"admin:limits_notificationchannel_{page}", args=[row.pk])).content.decode()
        assert reference_to(f"{url}2") in shown
        assert "hush" not in shown
