"""Random rules and clients: an export applied to an empty platform restores them, and exports the same file."""

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from pytest_django import Settings

from limits.configfile.export import export
from limits.models import AlertRule
from tests.configfile.documents import documents
from tests.configfile.files import empty_tables, put
from tests.configfile.test_export import meaning
from tests.publishing.platforms import Platform
from tests.support.histories import FUZZ_EXAMPLES, PHASES

pytestmark = pytest.mark.django_db

EXAMPLES = 500 if FUZZ_EXAMPLES else 40
"""Few, because each example publishes two files."""


@pytest.fixture
def signing(platform: Platform, settings: Settings) -> None:
    """Sets the secret, without which webhooks are rejected."""
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"WEBHOOK_SECRET": "whsec_" + "QUJD" * 8}


def everything() -> list[Any]:
    return [*meaning(), [row.as_domain() for row in AlertRule.objects.all()]]


@hypothesis_settings(
    max_examples=EXAMPLES,
    derandomize=not FUZZ_EXAMPLES,
    deadline=None,
    database=None,
    phases=PHASES,
    suppress_health_check=list(HealthCheck),
)
@given(document=documents())
def test_an_export_restores_any_document(signing: None, document: Any) -> None:
    empty_tables()
    put(json.dumps(document))
    before, text = everything(), export(secrets=True)
    assert put(text, prune=True, prune_clients=True, dry_run=True).changes == []
    empty_tables()
    put(text)
    assert everything() == before
    assert export(secrets=True) == text
