"""Trees of clients on a real platform: from the rows to the decisions, also while clients are being moved."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from django.db import connection, transaction

from limits.models import Client, ClientChange, PolicyLimit
from limits.publishing import clients, rules
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_enforcer.store.keys import client_field, shard_of
from tests.models import rows
from tests.publishing.platforms import Platform
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db


@pytest.fixture
def organisation(shop: Platform) -> Platform:
    """The plan pro has 5 requests per minute. The organisation org is on it, with the team and the keys below."""
    policy = rows.policy("shared", plan=rows.plan("big"))
    PolicyLimit.objects.filter(policy=policy).update(quota=5)
    rules.record("test")
    assert rules.deliver().live
    org = rows.client("org", plan=policy.plan)
    team = rows.client("team", parent=org)
    rows.client("key", parent=team)
    rows.client("other", parent=team)
    rows.client("globex", plan=policy.plan)
    assert clients.deliver().live
    return shop


def entry(platform: Platform, client: str, place: str) -> ClientRecord | None:
    """The entry for a client in the shard of another key."""
    text = platform.redis.hget(platform.keys.shards[shard_of(place)], client_field(client))
    return ClientRecord.from_text(client, text.decode()) if text else None


def move(client: str, parent: str | None) -> None:
    above = Client.objects.get(key=parent) if parent else None
    Client.objects.filter(key=client).update(parent=above)


def whose(client: str) -> list[str | None]:
    """Whose limits apply to a client."""
    decision = get_engine().check(CheckRequest(client, "search"), consume=False)
    assert not decision.degraded
    return [state.client for state in decision.limits if state.policy == "shared"]


def test_the_record_is_in_the_shard_of_the_root_and_a_pointer_in_the_shard_of_the_key(organisation: Platform) -> None:
    for client, parent in (("key", "team"), ("team", "org")):
        record, pointer = entry(organisation, client, "org"), entry(organisation, client, client)
        assert record is not None
        assert pointer == ClientRecord(client, record.revision, root="org")
        assert (record.parent, record.moved > 0) == (parent, True)
    assert whose("key") == ["org"]


def test_a_move_takes_the_whole_subtree_along(organisation: Platform) -> None:
    assert whose("key") == ["org"]
    move("team", "globex")
    assert clients.deliver().live
    assert [whose(client) for client in ("key", "other", "team")] == [["globex"]] * 3
    for client in ("key", "team"):
        pointers = [entry(organisation, client, place) for place in (client, "org")]
        assert {pointer.root for pointer in pointers if pointer} == {"globex"}


def test_the_delivery_of_a_moved_client_includes_its_descendants(organisation: Platform) -> None:
    move("team", "globex")
    assert clients.deliver(["team"]).live
    assert [whose(client) for client in ("key", "other", "team")] == [["globex"]] * 3
    assert not ClientChange.objects.exists()


def test_there_and_back(organisation: Platform) -> None:
    for parent, expected in (("globex", ["globex"]), ("org", ["org"]), (None, []), ("org", ["org"])):
        move("team", parent)
        assert clients.deliver().live
        assert whose("key") == expected


def test_several_moves_before_a_delivery(organisation: Platform) -> None:
    assert whose("key") == ["org"]
    for parent in ("globex", None, "globex", "org", "globex"):
        move("team", parent)
    assert clients.deliver().live
    assert whose("key") == ["globex"]


def test_a_late_delivery_of_an_earlier_move_changes_nothing(organisation: Platform) -> None:
    move("team", "globex")
    late = list(clients._changed(ClientChange.objects.all()))
    move("team", "org")
    assert clients.deliver().live
    organisation.clients.put(late)
    assert whose("key") == ["org"]


def test_a_large_tree_moves_in_steps_without_an_undecided_client(
    organisation: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each step, the limits of each client are those of either parent, and of no other."""
    keys = ["key", "other", "team"]
    assert [whose(client) for client in keys] == [["org"]] * 3
    monkeypatch.setattr(clients, "CHUNK_SIZE", 1)
    put, seen = clients.ClientWriter.put, []

    def watching(writer: clients.ClientWriter, placed: "Iterator[object]") -> int:
        written = put(writer, placed)  # type: ignore[arg-type]
        seen.append([whose(client) for client in keys])
        return written

    monkeypatch.setattr(clients.ClientWriter, "put", watching)
    move("team", "globex")
    assert clients.deliver().live
    assert len(seen) == 3
    assert all(limits in (["org"], ["globex"]) for step in seen for limits in step)
    assert seen[-1] == [["globex"]] * 3


def test_no_check_is_lost_while_clients_move(organisation: Platform) -> None:
    """Every decision is made by the limits of one of the two parents, by the store."""
    engine, done = get_engine(), Event()

    def checking(_: int) -> list[tuple[bool, tuple[str | None, ...]]]:
        found = []
        while not done.is_set():
            decision = engine.check(CheckRequest("key", "search"), consume=False)
            found.append((decision.degraded, tuple(s.client for s in decision.limits if s.policy == "shared")))
        return found

    with ThreadPoolExecutor(4) as pool:
        threads = pool.map(checking, range(4))
        for parent in ("globex", "org") * 20:
            move("team", parent)
            assert clients.deliver().live
        done.set()
        found = {answer for answers in threads for answer in answers}
    assert found <= {(False, ("org",)), (False, ("globex",))}
    assert found


def test_an_emptied_store_gets_records_and_pointers_back(organisation: Platform) -> None:
    before = {place: entry(organisation, "key", place) for place in ("org", "key")}
    for shard in organisation.keys.shards:
        organisation.redis.delete(shard)
    assert rules.deliver().live
    assert clients.load_all()
    assert {place: entry(organisation, "key", place) for place in ("org", "key")} == before
    assert whose("key") == ["org"]


def test_a_single_emptied_shard_gets_its_part_back(organisation: Platform) -> None:
    for place in ("org", "key"):
        before = entry(organisation, "key", place)
        organisation.redis.hdel(organisation.keys.shards[shard_of(place)], client_field("key"))
        assert clients.load_all([shard_of(place)])
        assert entry(organisation, "key", place) == before


def test_a_removed_client_is_gone_from_both_shards(organisation: Platform) -> None:
    assert whose("key") == ["org"]
    Client.objects.get(key="key").delete()
    assert clients.deliver().live
    for place in ("key", "org"):
        found = entry(organisation, "key", place)
        assert found is not None
        assert found.deleted
    assert whose("key") == []


def test_a_reset_concerns_the_counters_of_the_client_alone(organisation: Platform) -> None:
    engine = get_engine()
    key = CheckRequest("key", "search")
    assert [engine.check(key).allowed for _ in range(6)] == [True] * 5 + [False]
    clients.reset_counters("key", reason="test", author="test")
    remaining = {state.name: state.remaining for state in engine.check(key, consume=False).limits}
    assert remaining == {"all:60s": 100, "shared:60s~2": 0}
    clients.reset_counters("org", reason="test", author="test")
    assert engine.check(key).allowed


@pytest.mark.django_db(transaction=True)
def test_a_client_that_is_added_below_one_that_leaves_its_parent_goes_along(organisation: Platform) -> None:
    """The one that comes second waits for the first: it sees the tree as it will be."""
    assert whose("key") == ["org"]
    began = Event()

    def add() -> None:
        began.set()
        rows.client("late", parent=Client.objects.get(key="team"))

    with ThreadPoolExecutor(1) as pool:
        with transaction.atomic():
            move("team", None)
            adding = pool.submit(in_own_connection, add)
            began.wait(10)
            wait_until(waits_for_a_lock)
        adding.result(10)
    assert clients.deliver().live
    assert [whose(client) for client in ("key", "late")] == [[], []]


def waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        return bool(cursor.fetchone()[0])


def in_own_connection(work: Callable[[], None]) -> None:
    try:
        work()
    finally:
        connection.close()
