"""Secrets of notification channels: exports and histories have references, and sending one back keeps the secret."""

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from limits.configfile.export import export
from limits.models import AlertRule
from limits.models.channel_secrets import reference_to
from tests.configfile.files import put, refusal
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
