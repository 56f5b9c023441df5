"""The unsettled reservations of one client: reading them for people, and erasing them."""

import pytest

from limits.store.clients import CounterResetter
from limits.store.open_reservations import ClientReservations
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.enums import Algorithm, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import RETENTION, ReservationId, Reserve, UnknownReservation
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.store.requests import SettleableKind
from tests.engine.conftest import anywhere, masters, store
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.lasting_clusters import LastingCluster
from tests.support.servers import Store
from tests.support.waiting import wait_until

__all__ = ["anywhere", "masters", "store"]

pytestmark = pytest.mark.xdist_group("client-reservations")

PLACES = Limit(5, 60, Algorithm.CONCURRENCY)


@pytest.fixture
def engine(anywhere: Store) -> Engine:
    """Clients with 1,000 per hour, and five concurrent searches."""
    anywhere.publish(ruleset(policy("all", per_hour(1_000)), policy("places", PLACES, endpoint="search")))
    anywhere.load(record("acme", 1), record("globex", 2), record("org", 3))
    return anywhere.engine()


def of(store: Store) -> ClientReservations:
    return ClientReservations(store.redis, store.keys)


def reserve(engine: Engine, cost: int, client: str = "acme", endpoint: str = "orders") -> Decision:
    return engine.check(CheckRequest(client, endpoint, cost=cost, reserve=Reserve(ttl=10)))


def test_unsettled_reservations_and_places_are_read(anywhere: Store, engine: Engine) -> None:
    assert of(anywhere).read("acme", shard_of("acme"), 50).newest == []
    reserve(engine, 1, client="globex")
    engine.settle(reserve(engine, 2).reservation or "", 2)
    reserve(engine, 30)
    engine.check(CheckRequest("acme", "search", cost=4))
    found = of(anywhere).read("acme", shard_of("acme"), 50)
    shown = [(each.record.kind, each.record.endpoint, each.record.cost, len(each.places)) for each in found.newest]
    assert shown == [(SettleableKind.REQUEST, "search", 4, 1), (SettleableKind.RESERVATION, "orders", 30, 0)]
    assert found.total == 2
    holding = found.newest[0].record
    assert holding.made_at <= found.now < holding.expires_at == holding.made_at + 60_000_000
    assert found.newest[0].places == (holding.expires_at,)


def test_the_newest_are_read_whenever_they_expire(anywhere: Store, engine: Engine) -> None:
    engine.check(CheckRequest("acme", "search", cost=1, reserve=Reserve(ttl=3_600)))
    engine.check(CheckRequest("acme", "search", cost=2))
    engine.check(CheckRequest("acme", "search", cost=3, reserve=Reserve(ttl=10)))
    found = of(anywhere).read("acme", shard_of("acme"), 2)
    assert ([each.record.cost for each in found.newest], found.total) == ([3, 2], 3)


def test_a_reset_frees_places(anywhere: Store, engine: Engine) -> None:
    engine.check(CheckRequest("acme", "search", cost=4))
    CounterResetter(anywhere.redis, anywhere.keys).erase("acme", ["all", "places"])
    (found,) = of(anywhere).read("acme", shard_of("acme"), 50).newest
    assert (found.record.cost, found.places) == (4, ())
    assert engine.check(CheckRequest("acme", "search"), consume=False).limits[1].remaining == 5


def test_a_reset_frees_the_places_of_values_of_attributes(anywhere: Store) -> None:
    anywhere.publish(ruleset(policy("places", Limit(1, 60, Algorithm.CONCURRENCY), attributes=("model",))))
    anywhere.load(record("acme", 1))
    engine = anywhere.engine()
    request = CheckRequest("acme", "search", attributes={"model": "small"})
    assert engine.check(request).allowed
    assert not engine.check(request).allowed
    CounterResetter(anywhere.redis, anywhere.keys).erase("acme", ["places"], ["places"])
    assert engine.check(request).allowed


def test_damaged_data_are_left_out(anywhere: Store, engine: Engine) -> None:
    shard = shard_of("acme")
    first, second = reserve(engine, 1), reserve(engine, 2)
    names = [ReservationId.parse(each.reservation or "").name for each in (first, second)]
    anywhere.redis.set(anywhere.keys.reservation(shard, names[0]), b"\1damaged")
    assert [each.record.cost for each in of(anywhere).read("acme", shard, 50).newest] == [2]
    anywhere.redis.set(anywhere.keys.open_reservations_of(shard, "acme"), "damaged")
    assert of(anywhere).read("acme", shard, 50).newest == []


def test_erasing_removes_all_that_is_unsettled(anywhere: Store, engine: Engine) -> None:
    kept = reserve(engine, 1, client="globex")
    settled = reserve(engine, 5)
    engine.settle(settled.reservation or "", 3)
    reserved = [reserve(engine, 7) for _ in range(3)]
    engine.check(CheckRequest("acme", "search"))
    assert of(anywhere).erase("acme") == 4
    shard = shard_of("acme")
    assert of(anywhere).read("acme", shard, 50).total == 0
    assert not anywhere.redis.exists(anywhere.keys.open_reservations_of(shard, "acme"))
    assert anywhere.redis.zcard(anywhere.keys.open_reservations[shard]) == 0
    for decision in reserved:
        with pytest.raises(UnknownReservation):
            engine.settle(decision.reservation or "", 7)
    assert engine.settle(settled.reservation or "", 3).refunded == 2
    assert engine.settle(kept.reservation or "", 0).refunded == 1
    assert of(anywhere).erase("acme") == 0


def test_those_in_the_shard_of_an_earlier_root_are_erased(anywhere: Store, engine: Engine) -> None:
    before = reserve(engine, 7)
    anywhere.put(record("acme", 4, parent="org", moved=4))
    after = reserve(engine, 8)
    shards = [ReservationId.parse(each.reservation or "").shard for each in (before, after)]
    assert shards == [shard_of("acme"), shard_of("org")]
    assert of(anywhere).erase("acme") == 2
    assert [of(anywhere).read("acme", shard, 50).total for shard in shards] == [0, 0]


def test_expired_names_are_erased_too(anywhere: Store, engine: Engine) -> None:
    key = anywhere.keys.open_reservations_of(9, "acme")
    anywhere.redis.zadd(key, {b"n" * 16: 1})
    assert of(anywhere).erase("acme") == 0
    assert not anywhere.redis.exists(key)


def test_settled_records_do_not_name_the_client(store: Store) -> None:
    store.publish(ruleset(policy("all", per_hour(1_000))))
    store.load(record("acme", 1))
    engine = store.engine()
    decision = reserve(engine, 7)
    found = ReservationId.parse(decision.reservation or "")
    key = store.keys.reservation(found.shard, found.name)
    assert b"acme" in store.redis.get(key)
    engine.settle(decision.reservation or "", 3)
    assert b"acme" not in store.redis.get(key)
    assert store.redis.ttl(key) <= RETENTION


def test_the_parts_on_other_masters_do_not_name_the_client(store: Store, masters: LastingCluster) -> None:
    cluster = Store(masters.ready().url, store.keys.namespace)
    shared = [policy(f"shared-{number}", per_hour(1_000), partition=Partition.GLOBAL) for number in range(4)]
    cluster.publish(ruleset(policy("all", per_hour(1_000)), *shared))
    cluster.load(record("acme", 1))
    engine = cluster.engine()
    reserve(engine, 7)
    (found,) = of(cluster).read("acme", shard_of("acme"), 50).newest
    shards = [shard_of(each.slug) for each in shared]
    parts = [cluster.keys.reservation(shard, found.name, part) for part, shard in enumerate(shards, 1)]
    # They are pending until the process confirms them.
    wait_until(lambda: all(cluster.redis.exists(part) for part in parts))
    assert [b"shared" in cluster.redis.get(part) for part in parts] == [True] * len(parts) != []
    assert [b"acme" in cluster.redis.get(part) for part in parts] == [False] * len(parts)
