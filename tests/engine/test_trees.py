"""Clients below a parent: one quota for all keys of an organisation, exact, all or nothing, and never stale."""

import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, OnStoreFailure, Partition, Period, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.explanation import explain
from ratelimit_enforcer.engine.factory import make_engine
from ratelimit_enforcer.engine.rounds import MAX_ROUNDS, Rounds
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreUnavailable
from ratelimit_enforcer.store.keys import COMPLETE_FIELD, client_field, shard_of
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.counts import counted_by_client
from tests.support.heartbeats import wait_for_heartbeat
from tests.support.servers import Store

pytestmark = pytest.mark.xdist_group("trees")

OWN = policy("own", per_hour(3), plan="free", on_store_failure=OnStoreFailure.DENY)
SHARED = policy("shared", per_hour(5), plan="pro", on_store_failure=OnStoreFailure.DENY)
EVERYONE = policy("everyone", per_hour(7), partition=Partition.GLOBAL, on_store_failure=OnStoreFailure.DENY)

ACME = record("acme", 1, plan="pro")
TEAM = record("team", 2, parent="acme")
KEY = record("key", 3, plan="free", parent="team")
OTHER_KEY = record("other-key", 4, parent="team")
TREE = (ACME, TEAM, KEY, OTHER_KEY)


def serve(store: Store, *records: ClientRecord, policies: tuple[Policy, ...] = (OWN, SHARED)) -> Engine:
    store.publish(ruleset(*policies))
    store.load(*(records or TREE))
    return store.engine()


def answers(engine: Engine, *clients: str) -> list[bool]:
    return [engine.check(CheckRequest(client, "search")).allowed for client in clients]


def used(engine: Engine, client: str) -> dict[str, int]:
    """What was consumed of each limit, by its name."""
    states = engine.peek_client(client).decision.limits
    return {state.name: state.limit.capacity - state.remaining for state in states}


def test_all_keys_of_an_organisation_share_its_quota(anywhere: Store) -> None:
    engine = serve(anywhere)
    assert answers(engine, "key", "other-key", "team", "acme", "key", "other-key", "acme") == [True] * 5 + [False] * 2


def test_a_denial_by_the_own_limit_consumes_nothing_of_the_organisation(anywhere: Store) -> None:
    engine = serve(anywhere)
    assert answers(engine, *["key"] * 10) == [True] * 3 + [False] * 7
    assert used(engine, "key") == {"own:3600s": 3, "shared:3600s~2": 3}
    assert answers(engine, *["other-key"] * 3) == [True, True, False]


def test_a_denial_by_the_organisation_consumes_nothing_of_the_client(anywhere: Store) -> None:
    engine = serve(anywhere)
    assert answers(engine, *["other-key"] * 5) == [True] * 5
    denied = engine.check(CheckRequest("key", "search"))
    assert (denied.allowed, [state.name for state in denied.denying]) == (False, ["shared:3600s~2"])
    assert used(engine, "key") == {"own:3600s": 0, "shared:3600s~2": 5}


def test_one_quota_is_exact_under_concurrency(anywhere: Store) -> None:
    keys = [record(f"key-{at}", 10 + at, parent="acme") for at in range(20)]
    engines = [
        serve(anywhere, record("acme", 1, plan="pro"), *keys, policies=(policy("big", per_hour(100), plan="pro"),))
    ]
    engines.append(anywhere.engine())
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda at: answers(engines[at % 2], f"key-{at % 20}")[0], range(240)))
    assert sum(found) == 100


def test_a_batch_of_clients_of_several_trees(anywhere: Store) -> None:
    engine = serve(anywhere, *TREE, record("single", 5, plan="free"))
    clients = ("key", "single", "other-key", "stranger", "key", "acme", "single", "acme", "team")
    for _ in range(2):
        found = engine.check_in_order([CheckRequest(client, "search") for client in clients], consume=False)
        assert [decision.allowed for decision in found] == [True] * 9
    found = engine.check_in_order([CheckRequest(client, "search") for client in clients])
    assert [decision.allowed for decision in found] == [True] * 8 + [False], "five of the tree's six"
    assert used(engine, "key") == {"own:3600s": 2, "shared:3600s~2": 5}


def test_with_a_policy_that_counts_all_clients_together(anywhere: Store) -> None:
    engine = serve(anywhere, policies=(OWN, SHARED, EVERYONE))
    assert answers(engine, "key", "stranger", "other-key", "key") == [True] * 4
    assert answers(engine, "key", "key") == [True, False]
    assert answers(engine, "stranger", "stranger", "stranger") == [True, True, False]
    assert used(engine, "key") == {"own:3600s": 3, "shared:3600s~2": 4}


def test_a_client_with_a_blocked_ancestor_is_blocked(store: Store) -> None:
    engine = serve(store)
    assert answers(engine, "key") == [True]
    store.put(record("acme", 10, plan="pro", status=ClientStatus.BLOCKED))
    decision = engine.check(CheckRequest("key", "search"))
    assert (decision.allowed, decision.reason) == (False, Reason.BLOCKED)
    assert store.engine().check(CheckRequest("team", "search")).reason is Reason.BLOCKED


def test_an_exempt_client_consumes_nothing_of_its_ancestors(store: Store) -> None:
    engine = serve(store, ACME, TEAM, record("key", 3, parent="team", status=ClientStatus.EXEMPT))
    assert answers(engine, *["key"] * 9) == [True] * 9
    assert used(engine, "acme") == {"shared:3600s": 0}


@pytest.mark.parametrize("changed", [{"plan": "free"}, {"status": ClientStatus.EXEMPT}, {"tags": ("vip",)}])
def test_every_change_of_an_ancestor_applies_to_the_next_check(anywhere: Store, changed: dict[str, Any]) -> None:
    engine = serve(anywhere)
    names = {"plan": ["own:3600s", "own:3600s~2"], "status": ["own:3600s"], "tags": ["own:3600s", "shared:3600s~2"]}
    assert answers(engine, "key") == [True]
    anywhere.put(record("acme", 10, **({"plan": "pro"} | changed)))
    (field,) = changed
    assert [state.name for state in engine.check(CheckRequest("key", "search")).limits] == names[field]


def test_a_move_applies_to_the_next_check_of_every_descendant(anywhere: Store) -> None:
    engine = serve(anywhere, *TREE, record("globex", 5, plan="pro"))
    assert answers(engine, *["other-key"] * 5) == [True] * 5
    moved = [record("team", 12, parent="globex", moved=12), record("other-key", 11, parent="team")]
    moved.append(record("key", 10, plan="free", parent="team"))
    anywhere.put(*reversed(moved))
    assert answers(engine, *["other-key"] * 6) == [True] * 5 + [False]
    assert used(anywhere.engine(), "globex") == {"shared:3600s": 5}
    assert used(engine, "acme") == {"shared:3600s": 5}
    assert [state.client for state in engine.check(CheckRequest("key", "search")).limits] == ["key", "globex"]


def test_a_client_that_returns_to_a_parent_has_new_counters(anywhere: Store) -> None:
    engine = serve(anywhere)
    assert answers(engine, *["key"] * 4) == [True] * 3 + [False]
    anywhere.put(record("key", 10, plan="free", moved=10))
    assert answers(engine, *["key"] * 4) == [True] * 3 + [False]
    anywhere.put(record("key", 11, plan="free", parent="team", moved=11))
    assert answers(engine, *["key"] * 4) == [True, True, False, False], "two were left of the organisation's quota"
    assert used(engine, "key") == {"own:3600s": 2, "shared:3600s~2": 5}


def test_a_root_that_gets_a_parent(anywhere: Store) -> None:
    engine = serve(anywhere)
    assert answers(engine, "acme", "key") == [True, True]
    anywhere.put(record("holding", 20, plan="free"))
    below = [record(each.key, 20 + each.revision, plan=each.plan, parent=each.parent) for each in reversed(TREE[1:])]
    anywhere.put(*below, record("acme", 30, plan="pro", parent="holding", moved=30))
    for checked in (engine, anywhere.engine()):
        states = checked.check(CheckRequest("key", "search"), consume=False).limits
        assert [(state.name, state.client) for state in states] == [
            *[("own:3600s", "key"), ("shared:3600s~2", "acme"), ("own:3600s~3", "holding")],
        ]


def test_a_removed_client_is_on_the_default_plan_again(anywhere: Store) -> None:
    engine = serve(anywhere)
    assert answers(engine, "other-key") == [True]
    anywhere.put(record("other-key", 10, deleted=True))
    for checked in (engine, anywhere.engine()):
        states = checked.check(CheckRequest("other-key", "search"), consume=False).limits
        assert [state.name for state in states] == ["own:3600s"]


def test_a_first_check_takes_two_round_trips_more(anywhere: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = serve(anywhere)
    calls: list[str] = []
    connections = engine._decider._connections
    execute = connections.execute

    def counting(*command: Any, **options: Any) -> Any:
        calls.append(command[0])
        return execute(*command, **options)

    engine.refresh()
    assert answers(engine, "stranger") == [True]
    monkeypatch.setattr(connections, "execute", counting)
    assert answers(engine, "key") == [True]
    first = [call for call in calls if call == "EVALSHA"]
    calls.clear()
    assert answers(engine, "key") == [True]
    assert (len(first), calls) == (3, ["EVALSHA"])


def test_requests_count_for_the_client_in_the_request(anywhere: Store) -> None:
    engine = serve(anywhere, policies=(OWN, SHARED, EVERYONE))
    assert answers(engine, *["key"] * 4) == [True] * 3 + [False]
    found = {field: amount for field, amount in counted_by_client(anywhere).items() if field[1] in ("a", "d")}
    assert found == {("key", "a", ""): 3, ("key", "d", ""): 1, ("key", "d", "own"): 1}


def test_a_quota_threshold_counts_for_the_client_whose_quota_it_is(anywhere: Store) -> None:
    """On a Cluster with a global policy the counts are written by another script."""
    for rules in ((SHARED,), (SHARED, policy("everyone", per_hour(10**6), partition=Partition.GLOBAL))):
        store = Store(anywhere.url, f"test-{secrets.token_hex(4)}")
        engine = serve(store, policies=rules)
        assert answers(engine, "key", "other-key", "key", "key", "key") == [True] * 5
        found = {field: amount for field, amount in counted_by_client(store).items() if field[2]}
        assert found == {("acme", mark, "shared"): 1 for mark in ("50", "80", "90", "100")}


def test_a_quota_threshold_of_the_parent_counts_for_the_parent(anywhere: Store) -> None:
    engine = serve(anywhere, ACME, record("key", 2, parent="acme"), policies=(SHARED,))
    assert answers(engine, *["key"] * 3) == [True] * 3
    assert counted_by_client(anywhere)["acme", "50", "shared"] == 1


def test_an_ancestor_s_policy_counts_values_of_attributes_separately(anywhere: Store) -> None:
    models = policy("models", per_hour(2), plan="pro", attributes=("model",), on_store_failure=OnStoreFailure.DENY)
    engine = serve(anywhere, policies=(models, OWN))

    def admitted(client: str, model: str) -> bool:
        return engine.check(CheckRequest(client, "search", attributes={"model": model})).allowed

    assert [admitted(client, "a") for client in ("key", "other-key", "team")] == [True, True, False]
    assert [admitted(client, "b") for client in ("team", "acme", "key")] == [True, True, False]


def test_a_policy_that_denies_twice_is_counted_once(anywhere: Store) -> None:
    plan = {"plan": "pro"}
    engine = serve(anywhere, record("acme", 1, **plan), record("key", 2, parent="acme", **plan), policies=(SHARED,))
    assert answers(engine, *["key"] * 6) == [True] * 5 + [False]
    assert counted_by_client(anywhere)["key", "d", "shared"] == 1


def test_without_the_store_the_cached_ancestors_limit_too(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    store = Store(server.url, "own")
    local = policy("shared", per_hour(2), plan="pro", on_store_failure=OnStoreFailure.LOCAL)
    engine = serve(store, policies=(local,))
    assert answers(engine, "key", "other-key") == [True, True]
    wait_for_heartbeat(engine)
    server.kill()
    found = [engine.check(CheckRequest(client, "search")) for client in ("key", "other-key", "acme")]
    assert [decision.degraded for decision in found] == [True] * 3
    assert [decision.allowed for decision in found] == [True, True, False]
    assert [state.name for state in found[0].limits] == ["shared:3600s~2"]


def test_a_pointer_without_a_record_is_no_unregistered_client(anywhere: Store) -> None:
    engine = serve(anywhere, policies=(OWN, SHARED))
    anywhere.redis.hdel(anywhere.keys.shards[shard_of("acme")], client_field("key"))
    decision = engine.check(CheckRequest("key", "search"))
    assert (decision.degraded, decision.allowed) == (True, False)


@pytest.mark.parametrize(
    ("block", "blocked"),
    [
        (Block("acme", reason="fraud"), {"key", "other-key", "team", "acme"}),
        (Block("team", reason="fraud"), {"key", "other-key", "team"}),
        (Block(prefix="te", reason="fraud"), {"key", "other-key", "team"}),
        (Block("key", reason="fraud"), {"key"}),
    ],
)
def test_a_block_of_an_ancestor_blocks_its_descendants_and_is_named(
    anywhere: Store, block: Block, blocked: set[str]
) -> None:
    serve(anywhere)
    anywhere.publish(ruleset(OWN, SHARED, blocks=(block,)))
    for engine in (anywhere.engine(), anywhere.engine()):
        found = {each.key: explain(engine, CheckRequest(each.key, "search")) for each in (*TREE, record("else", 0))}
        assert {key for key, each in found.items() if each.decision.reason is Reason.BLOCKED} == blocked
        assert {key for key, each in found.items() if each.block == block} == blocked
        assert {each.key for each in TREE if engine.peek_client(each.key).status == "blocked"} == blocked


def test_a_missing_ancestor_is_noticed_in_a_complete_shard_alone(anywhere: Store) -> None:
    """As for the client: a shard that lost its records does not say that there are none."""
    engine = serve(anywhere)
    assert answers(engine, "key") == [True]
    shard = anywhere.keys.shards[shard_of("acme")]
    anywhere.redis.hdel(shard, client_field("team"))
    decision = engine.check(CheckRequest("key", "search"))
    assert (decision.degraded, decision.allowed) == (True, False)
    anywhere.put(replace(TEAM, revision=5))
    assert answers(engine, "key") == [True]
    anywhere.redis.hdel(shard, client_field("team"), COMPLETE_FIELD)
    decision = engine.check(CheckRequest("key", "search"))
    assert (decision.degraded, decision.allowed) == (True, True)
    assert [state.client for state in decision.limits] == ["key", "acme"]


def test_a_tree_that_is_not_loaded_affects_no_other_check_of_a_batch(anywhere: Store) -> None:
    engine = serve(anywhere, *TREE, record("single", 9))
    anywhere.redis.hdel(anywhere.keys.shards[shard_of("acme")], client_field("key"))
    found = engine.check_in_order(
        [CheckRequest(client, "search") for client in ("single", "key", "single", "other-key")]
    )
    assert [decision.degraded for decision in found] == [False, True, False, False]


@pytest.mark.parametrize(
    "damaged",
    [
        "007 {}",
        "+7 {}",
        '7 {"parent": ["x"]}',
        '7 {"parent": 5}',
        '7 {"root": ""}',
        '7 {"parent": "VICTIM"}',
        "7 []",
        "",
    ],
)
@pytest.mark.parametrize("victim", ["key", "team"])
def test_a_damaged_record_affects_the_checks_below_it_alone(store: Store, damaged: str, victim: str) -> None:
    valid = '"plan": null, "status": "active", "overrides": []'
    engine = serve(store, *TREE, record("single", 9))
    damaged = damaged.replace("VICTIM", victim)
    text = damaged.replace("{", f"{{{valid}, ") if "root" not in damaged else damaged
    store.redis.hset(store.keys.shards[shard_of("acme")], client_field(victim), text.replace(", }", "}"))
    found = engine.check_in_order([CheckRequest(client, "search") for client in ("single", "key", "key", "single")])
    assert [decision.degraded for decision in found] == [False, True, True, False]


def test_a_shard_of_the_wrong_type_degrades_the_checks_of_its_trees(store: Store) -> None:
    engine = serve(store)
    store.redis.set(store.keys.shards[shard_of("acme")], "no hash")
    assert engine.check(CheckRequest("key", "search")).degraded


def test_a_record_that_could_not_be_applied_is_read_again(store: Store) -> None:
    mars = Override("shared", (Limit(5, algorithm=Algorithm.CALENDAR, period=Period.DAY, timezone="Mars/Olympus"),))
    engine = serve(store, record("acme", 1, plan="pro", overrides=(mars,)), *TREE[1:])
    assert engine.check(CheckRequest("key", "search")).degraded
    store.put(replace(ACME, revision=9, status=ClientStatus.BLOCKED))
    decision = engine.check(CheckRequest("key", "search"))
    assert (decision.degraded, decision.reason) == (False, Reason.BLOCKED)


def test_values_of_an_ancestor_beyond_the_maximum_leave_those_of_the_client_alone(store: Store) -> None:
    own = policy("models", per_hour(1), plan="pro", attributes=("model",), on_store_failure=OnStoreFailure.DENY)
    store.publish(ruleset(own))
    more = Override("models", (Limit(1_000, 3_600),))
    store.load(
        record("acme", 1, plan="pro", overrides=(more,)),
        *(record(f"k{at}", 2 + at, parent="acme", plan="pro") for at in range(2)),
    )
    connections = store_connections_of(parse(store.url), 4, store.keys)
    engine = make_engine(connections, store.keys, deadline=10, cache_size=100, max_values=3)

    def admitted(client: str, model: str) -> bool:
        return engine.check(CheckRequest(client, "search", attributes={"model": model})).allowed

    assert [admitted("k0", model) for model in "abc"] == [True] * 3
    assert [admitted("k1", model) for model in "def"] == [True] * 3
    assert not admitted("k1", "d")


def test_a_batch_ends_where_the_store_and_the_process_disagree_forever() -> None:
    rounds = Rounds(Deadline(10))
    for decided in range(3 * MAX_ROUNDS):
        rounds.next_deadline(decided)
    for _ in range(MAX_ROUNDS + 1):
        rounds.next_deadline(3 * MAX_ROUNDS)
    with pytest.raises(StoreUnavailable, match="disagree"):
        rounds.next_deadline(3 * MAX_ROUNDS)
