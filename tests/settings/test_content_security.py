"""Pages have a content security policy, responses of the API have none."""

from django.test import Client
from django.urls import reverse


def test_pages_have_the_policy(db: None) -> None:
    sent = Client().get(reverse("admin:login"))["Content-Security-Policy"]
    assert "default-src 'self'" in sent
    assert "frame-ancestors 'none'" in sent


def test_responses_of_the_api_have_no_policy() -> None:
    assert "Content-Security-Policy" not in Client().get("/healthz")
