"""The content security policy is on pages, and costs the API nothing."""

from django.test import Client
from django.urls import reverse


def test_pages_carry_the_policy(db: None) -> None:
    sent = Client().get(reverse("admin:login"))["Content-Security-Policy"]
    assert "default-src 'self'" in sent
    assert "frame-ancestors 'none'" in sent


def test_answers_of_the_api_carry_none() -> None:
    assert "Content-Security-Policy" not in Client().get("/healthz")
