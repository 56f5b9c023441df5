"""While the store is unavailable, saved changes wait in the database, and go live automatically."""

import pytest

from limits.models import Client, ClientChange, PolicyLimit, Publication
from limits.publishing import clients, rules
from limits.publishing.reconciler import Reconciliation, reconcile
from ratelimit_enforcer.store.errors import StoreUnavailable
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

SENTENCE = "Redis is unavailable; the change will go live automatically."


@pytest.fixture
def cut_off(shop: Platform) -> Platform:
    """A shop whose store is unavailable, and which has saved version 2 with quota 5 since."""
    shop.make_store_unavailable()
    PolicyLimit.objects.update(quota=5)
    assert rules.record("test")
    return shop


def test_rules_are_saved_and_reported_as_not_live(cut_off: Platform) -> None:
    delivery = rules.deliver()
    assert (delivery.live, delivery.version, delivery.problem) == (False, None, SENTENCE)
    assert Publication.objects.get(sequence=2).state == "pending"


def test_rules_go_live_after_the_outage(cut_off: Platform) -> None:
    rules.deliver()
    cut_off.make_store_available()
    assert reconcile().published
    assert cut_off.quotas == {"all": 5}
    assert Publication.objects.get(sequence=2).state == "live"


def test_clients_are_saved_and_reported_as_not_live(cut_off: Platform) -> None:
    Client.objects.update(status="blocked")
    delivery = clients.deliver()
    assert (delivery.live, delivery.problem) == (False, SENTENCE)
    assert ClientChange.objects.exists()


def test_clients_go_live_after_the_outage(cut_off: Platform) -> None:
    Client.objects.update(status="blocked")
    clients.deliver()
    cut_off.make_store_available()
    assert reconcile().clients_delivered
    assert cut_off.client("acme").status == "blocked"
    assert not ClientChange.objects.exists()


def test_the_reconciler_reports_the_unavailable_store(cut_off: Platform) -> None:
    problem = reconcile().problem
    assert "Connection refused" in problem
    assert reconcile() == Reconciliation(problem=problem)


def test_changes_outside_the_admin_are_recorded_while_the_store_is_unavailable(shop: Platform) -> None:
    shop.make_store_unavailable()
    PolicyLimit.objects.update(quota=7)
    reconcile()
    assert Publication.objects.get(sequence=2).state == "pending"


def test_a_take_over_without_a_store_changes_nothing(cut_off: Platform) -> None:
    with pytest.raises(StoreUnavailable):
        rules.take_over("test")
    assert Publication.objects.count() == 2
