"""Concurrent saves."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connection, transaction

from limits.models import Client, PolicyLimit, Publication
from limits.publishing import clients, rules
from limits.publishing.reconciler import reconcile
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

SAVERS = 6
SAVES = 5


def at_once(save: Callable[[int], None], count: int = SAVERS) -> None:
    """Calls ``save(number)`` in ``count`` threads, which start simultaneously."""
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            barrier.wait()
            save(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, range(count)))


def test_the_last_version_contains_every_change_and_versions_are_consecutive(shop: Platform) -> None:
    limits = [rows.policy(f"policy-{number}", quota=1).limits.get().pk for number in range(SAVERS)]
    seen: list[int] = []

    def save(number: int) -> None:
        for quota in range(2, 2 + SAVES):
            with transaction.atomic():
                PolicyLimit.objects.filter(pk=limits[number]).update(quota=quota)
                publication = rules.record("test")
            assert publication
            delivery = rules.deliver()
            assert delivery.live
            assert delivery.version
            # The version reported as live contains at least the change of this thread.
            assert delivery.version >= publication.sequence
            seen.append(publication.sequence)

    at_once(save)
    assert sorted(seen) == list(range(2, 2 + SAVERS * SAVES))
    assert shop.sequence == max(seen)
    assert shop.quotas == {"all": 100, **{f"policy-{number}": 1 + SAVES for number in range(SAVERS)}}
    assert set(Publication.objects.values_list("state", flat=True)) == {"live"}


def test_a_late_publisher_does_not_restore_an_older_version(shop: Platform) -> None:
    PolicyLimit.objects.update(quota=2)
    late = rules.record("late")
    PolicyLimit.objects.update(quota=3)
    rules.record("quick")
    assert rules.deliver().version == 3
    assert late
    live = shop.rules.publish(late.version, late.content.encode(), lambda current: current.sequence <= late.sequence)
    assert live.sequence == 3
    assert shop.quotas == {"all": 3}


def test_concurrent_changes_of_one_client_end_with_the_newest(shop: Platform) -> None:
    plans = [rows.plan(f"plan-{number}") for number in range(SAVERS)]

    def save(number: int) -> None:
        Client.objects.filter(key="acme").update(plan=plans[number])
        assert clients.deliver(["acme"]).live

    at_once(save)
    row = Client.objects.select_related("plan").get()
    live = shop.client("acme")
    assert row.plan
    assert (live.revision, live.plan) == (row.revision, row.plan.slug)


def test_concurrent_saves_and_the_reconciler_agree(shop: Platform) -> None:
    def run(number: int) -> None:
        if number % 2:
            reconcile()
            return
        with transaction.atomic():
            PolicyLimit.objects.update(quota=1_000 + number)
            rules.record("test")
        assert rules.deliver().live

    at_once(run)
    reconcile()
    assert shop.quotas == {"all": PolicyLimit.objects.get().quota}
    assert shop.version == Publication.objects.order_by("-sequence").first().version  # type: ignore[union-attr]
