"""Loading all clients into an emptied store: one process at a time, with progress in the log."""

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction

from limits.models import Client, ClientChange
from limits.publishing import clients
from limits.publishing.reconciler import reconcile
from ratelimit_enforcer.domain.client import ClientRecord
from tests.models import rows
from tests.publishing.platforms import Platform

COUNT = 3_000


def many_clients() -> None:
    Client.objects.bulk_create(Client(key=f"client-{number}") for number in range(COUNT))
    ClientChange.objects.all().delete()


def in_another_session(action: object) -> bool:
    def run() -> bool:
        try:
            return action()  # type: ignore[operator, no-any-return]
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


@pytest.mark.django_db(transaction=True)
def test_one_process_loads_at_a_time(shop: Platform) -> None:
    shop.empty()
    with transaction.atomic():
        assert clients._acquire_loading_lock()
        assert not in_another_session(clients.load_all)
        assert not shop.is_complete
    assert in_another_session(clients.load_all)
    assert shop.is_complete


@pytest.mark.django_db(transaction=True)
def test_a_killed_loader_releases_the_lock(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        """Stands for kill -9."""

    def die() -> Iterator[ClientRecord]:
        raise Killed
        yield

    shop.empty()
    with monkeypatch.context() as patch:
        patch.setattr(clients, "all_clients", die)
        with pytest.raises(Killed):
            clients.load_all()
    assert not shop.is_complete
    assert in_another_session(clients.load_all)


@pytest.mark.django_db
def test_a_long_loading_logs_its_progress(
    shop: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    many_clients()
    monkeypatch.setattr(clients, "PROGRESS_LOG_SECONDS", 0)
    with caplog.at_level(logging.INFO):
        assert clients.load_all()
    lines = [record.msg for record in caplog.records if record.msg["event"] == "clients_loading"]
    assert [(line["done"], line["of"]) for line in lines] == [(1_000 * n, COUNT + 1) for n in (1, 2, 3)]


@pytest.mark.django_db
def test_clients_are_loaded_with_their_overrides_over_several_chunks(
    shop: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "CHUNK_SIZE", 7)
    policy = rows.policy("search")
    for number in range(20):
        rows.override_limit(rows.override(rows.client(f"client-{number}"), policy), quota=number)
    shop.empty()
    assert reconcile().clients_loaded
    found = [shop.client(f"client-{number}").overrides[0].limits[0].quota for number in range(20)]
    assert found == list(range(20))


@pytest.mark.django_db
def test_only_shards_that_lost_their_clients_are_loaded(shop: Platform) -> None:
    many_clients()
    assert clients.load_all()
    lost = shop.keys.shards[7]
    shop.redis.delete(lost)
    shop.redis.hset(shop.keys.shards[8], "c:witness", "1 {}")
    before = shop.redis.info("commandstats")["cmdstat_hset"]["calls"]
    assert reconcile().clients_loaded
    assert shop.is_complete
    assert shop.redis.info("commandstats")["cmdstat_hset"]["calls"] - before < COUNT / 20 + 2 * 256 + 10
    assert shop.redis.hlen(lost) > 2
