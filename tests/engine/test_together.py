"""Several requests decided as one: all of them consume, or none does. On one server, and on a Cluster in parts."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, OnStoreFailure, Partition, Reason
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.reservations import Reserve
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.together import MAX_TOGETHER
from ratelimit_enforcer.store.errors import AnswerLost
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.counts import counted_by_client
from tests.support.servers import Store

pytestmark = pytest.mark.xdist_group("together")

ANN, BOB = CheckRequest("ann", "search"), CheckRequest("bob", "search")
ANN_ORDERS = CheckRequest("ann", "orders")


def everyone(quota: int, **fields: Any) -> Policy:
    return policy("everyone", per_hour(quota), partition=Partition.GLOBAL, **fields)


def ready(store: Store, *policies: Policy) -> Engine:
    store.publish(ruleset(*policies))
    vip, bad = record("vip", 1, status=ClientStatus.EXEMPT), record("bad", 2, status=ClientStatus.BLOCKED)
    team, member = record("team", 3), record("member", 4, parent="team")
    store.load(vip, bad, team, member, record("ann", 5))
    return store.engine()


def used(engine: Engine, request: CheckRequest) -> dict[str, int]:
    """The usage of each limit of a request."""
    states = engine.check(request._replace(cost=1), consume=False).limits
    return {state.policy: state.limit.quota - state.remaining for state in states}


def kinds(store: Store, client: str) -> dict[tuple[str, str], int]:
    """(kind, policy) → count of one client, without quota thresholds."""
    counts = counted_by_client(store).items()
    return {(kind, slug): count for (name, kind, slug), count in counts if name == client and not kind.isdigit()}


def test_the_clients_are_in_different_shards() -> None:
    assert len({shard_of(client) for client in ("ann", "bob", "everyone")}) == 3


def test_all_requests_consume(anywhere: Store) -> None:
    engine = ready(anywhere, policy("own", per_hour(10)))
    decisions = engine.check_together([ANN._replace(cost=2), BOB._replace(cost=3)])
    assert [(each.allowed, each.client, each.cost, each.limits[0].remaining) for each in decisions] == [
        (True, "ann", 2, 8),
        (True, "bob", 3, 7),
    ]
    assert (used(engine, ANN), used(engine, BOB)) == ({"own": 2}, {"own": 3})
    assert kinds(anywhere, "ann") == {("a", ""): 1, ("A", ""): 1}
    assert kinds(anywhere, "bob") == {("a", ""): 1, ("A", ""): 2}


@pytest.mark.parametrize("is_denied_first", [False, True])
def test_if_one_request_is_denied_none_consumes_and_the_decisions_say_which(
    is_denied_first: bool, anywhere: Store
) -> None:
    engine = ready(anywhere, policy("own", per_hour(10)))
    asked = [ANN._replace(cost=2), BOB._replace(cost=11)]
    decisions = engine.check_together(asked[::-1] if is_denied_first else asked)
    of_ann, of_bob = decisions[::-1] if is_denied_first else decisions
    assert (of_ann.allowed, of_ann.reason, of_ann.limits[0].remaining) == (True, None, 10)
    assert (of_bob.allowed, of_bob.reason, of_bob.limits[0].remaining) == (False, Reason.COST_EXCEEDS_QUOTA, 10)
    assert (used(engine, ANN), used(engine, BOB)) == ({"own": 0}, {"own": 0})
    assert kinds(anywhere, "ann") == {("d", ""): 1, ("D", ""): 1}
    assert kinds(anywhere, "bob") == {("d", ""): 1, ("D", ""): 10, ("d", "own"): 1}


@pytest.mark.parametrize("costs", [(1, 4), (4, 1), (4, 4)])
def test_a_counter_that_several_requests_reach_is_consumed_once_by_the_largest_cost(
    costs: tuple[int, int], anywhere: Store
) -> None:
    bucket = policy("bucket", Limit(10, 3_600_000, Algorithm.TOKEN_BUCKET), partition=Partition.GLOBAL)
    engine = ready(anywhere, everyone(10), bucket, policy("own", per_hour(10)))
    decisions = engine.check_together([ANN._replace(cost=costs[0]), BOB._replace(cost=costs[1])])
    remaining = [{state.policy: state.remaining for state in each.limits} for each in decisions]
    assert remaining == [
        {"everyone": 6, "bucket": 6, "own": 10 - costs[0]},
        {"everyone": 6, "bucket": 6, "own": 10 - costs[1]},
    ]
    assert used(engine, ANN) == {"everyone": 4, "bucket": 4, "own": costs[0]}
    assert used(engine, BOB) == {"everyone": 4, "bucket": 4, "own": costs[1]}


@pytest.mark.parametrize("asked", [[ANN, ANN_ORDERS], [ANN_ORDERS, ANN]])
def test_one_client_on_two_endpoints_is_counted_once_by_its_first_request_at_the_largest_cost(
    asked: list[CheckRequest], anywhere: Store
) -> None:
    engine = ready(
        anywhere,
        policy("all", per_hour(100)),
        policy("search", per_hour(50), endpoint="search"),
        policy("orders", per_hour(40), endpoint="orders"),
    )
    decisions = engine.check_together(asked)
    assert {each.endpoint: each.cost for each in decisions} == {"search": 1, "orders": 5}
    assert used(engine, ANN) == {"all": 5, "search": 1}
    assert used(engine, ANN_ORDERS) == {"all": 5, "orders": 5}
    assert kinds(anywhere, "ann") == {("a", ""): 1, ("A", ""): 4}
    fields = [field.decode().split("\n") for key in anywhere.keys.usage for field in anywhere.redis.hgetall(key)]
    assert {endpoint for _, kind, endpoint, _, _ in fields if kind.lower() == "a"} == {asked[0].endpoint}


def test_quota_thresholds_are_counted_once_for_each_counter(anywhere: Store) -> None:
    ready(anywhere, everyone(4), policy("own", per_hour(8))).check_together(
        [ANN._replace(cost=2), BOB._replace(cost=2)]
    )
    marks = {key: count for key, count in counted_by_client(anywhere).items() if key[1].isdigit()}
    assert marks == {("ann", "50", "everyone"): 1}


def test_a_policy_that_denies_several_requests_of_a_client_is_counted_once(anywhere: Store) -> None:
    engine = ready(anywhere, policy("all", per_hour(0)), everyone(100))
    assert not any(each.allowed for each in engine.check_together([ANN, ANN_ORDERS, BOB]))
    assert kinds(anywhere, "ann") == {("d", ""): 1, ("D", ""): 4, ("d", "all"): 1}
    assert kinds(anywhere, "bob") == {("d", ""): 1, ("d", "all"): 1}


def test_a_request_of_cost_0_consumes_nothing_and_denies_where_1_would_be_denied(anywhere: Store) -> None:
    engine = ready(anywhere, policy("own", per_hour(1)), everyone(100))
    decisions = engine.check_together([ANN._replace(cost=0), BOB])
    assert [(each.allowed, each.cost) for each in decisions] == [(True, 0), (True, 1)]
    assert [state.remaining for state in decisions[0].limits] == [1, 99]
    assert used(engine, ANN) == {"everyone": 1, "own": 0}
    assert kinds(anywhere, "ann") == {}
    again = engine.check_together([CheckRequest("cat", "search"), BOB._replace(cost=0)])
    assert [each.allowed for each in again] == [True, False]
    assert used(engine, CheckRequest("cat", "search")) == {"everyone": 1, "own": 0}


def test_one_request_of_cost_0(anywhere: Store) -> None:
    engine = ready(anywhere, policy("own", per_hour(1)))
    assert [(each.allowed, each.cost) for each in engine.check_together([ANN._replace(cost=0)])] == [(True, 0)]
    assert engine.check_together([ANN])[0].allowed
    assert [(each.allowed, each.cost) for each in engine.check_together([ANN._replace(cost=0)])] == [(False, 0)]
    assert kinds(anywhere, "ann") == {("a", ""): 1}


def test_looking_at_a_group_consumes_and_counts_nothing(anywhere: Store) -> None:
    engine = ready(anywhere, policy("own", per_hour(1)), everyone(100))
    for _ in range(2):
        decisions = engine.check_together([ANN, BOB], consume=False)
        assert [(each.allowed, each.limits[0].remaining) for each in decisions] == [(True, 1)] * 2
    assert not counted_by_client(anywhere)


def test_a_blocked_client_denies_the_group_and_an_exempt_one_consumes_nothing(anywhere: Store) -> None:
    engine = ready(anywhere, policy("own", per_hour(1)))
    denied = engine.check_together([ANN, CheckRequest("bad", "search")])
    assert [(each.allowed, each.reason) for each in denied] == [(True, None), (False, Reason.BLOCKED)]
    assert used(engine, ANN) == {"own": 0}
    admitted = engine.check_together([CheckRequest("vip", "search"), ANN])
    assert [(each.allowed, each.reason) for each in admitted] == [(True, Reason.EXEMPT), (True, None)]
    assert used(engine, ANN) == {"own": 1}
    assert kinds(anywhere, "bad") == {("b", ""): 1}
    assert kinds(anywhere, "vip") == {("e", ""): 1}
    assert kinds(anywhere, "ann") == {("d", ""): 1, ("a", ""): 1}


def test_a_policy_in_shadow_mode_never_denies_and_is_not_consumed_if_it_does_not_admit_the_largest_cost(
    anywhere: Store,
) -> None:
    engine = ready(anywhere, everyone(3, mode=Mode.SHADOW))
    decisions = engine.check_together([ANN, BOB._replace(cost=5)])
    assert [each.allowed for each in decisions] == [True, True]
    assert [(each.limits[0].allowed, each.limits[0].remaining) for each in decisions] == [(True, 3), (False, 3)]
    assert used(engine, ANN) == {"everyone": 0}
    assert kinds(anywhere, "bob") == {("a", ""): 1, ("A", ""): 4, ("s", "everyone"): 1}


def test_a_client_and_its_parent_share_the_parents_counter(anywhere: Store) -> None:
    engine = ready(anywhere, policy("own", per_hour(10), plan="free"))
    engine.check_together([CheckRequest("member", "search", cost=2), CheckRequest("team", "search", cost=3)])
    assert used(engine, CheckRequest("team", "search")) == {"own": 3}


def test_attributes_are_counted_separately_and_together_beyond_the_maximum(store: Store) -> None:
    models = policy("models", per_hour(10), attributes=("model",))
    engine = ready(store, models)
    asked = [ANN._replace(attributes={"model": model}) for model in ("a", "b", "a")]
    assert all(each.allowed for each in engine.check_together(asked))
    assert [used(engine, each) for each in asked] == [{"models": 1}] * 3
    values = [key for key in store.redis.keys("*:v:*") if store.keys.namespace.encode() in key]
    assert [store.redis.get(key) for key in values] == [b"2"]


def test_concurrency_limits_are_left_out(anywhere: Store) -> None:
    engine = ready(anywhere, policy("places", Limit(0, 60, Algorithm.CONCURRENCY), per_hour(10)))
    for group in ([ANN], [ANN, BOB]):
        decisions = engine.check_together(group)
        assert [(each.allowed, each.reservation, len(each.limits)) for each in decisions] == [
            (True, None, 1) for _ in group
        ]


def test_a_group_has_1_to_16_requests_that_reserve_nothing(store: Store) -> None:
    engine = ready(store, policy("own", per_hour(100)))
    assert len(engine.check_together([ANN] * MAX_TOGETHER)) == 16
    for group in ([], [ANN] * 17, [ANN, BOB._replace(reserve=Reserve())]):
        with pytest.raises(ValueError, match="decided together"):
            engine.check_together(group)
    assert used(engine, ANN) == {"own": 1}


def test_new_rules_and_changed_clients_apply_at_once(anywhere: Store) -> None:
    engine = ready(anywhere, policy("own", per_hour(1)))
    assert all(each.allowed for each in engine.check_together([ANN, BOB]))
    assert not any(each.allowed for each in engine.check_together([ANN, BOB]))
    anywhere.publish(ruleset(policy("own", per_hour(3))))
    anywhere.put(record("bob", 9, status=ClientStatus.EXEMPT))
    decisions = engine.check_together([ANN, BOB])
    assert [(each.allowed, each.reason) for each in decisions] == [(True, None), (True, Reason.EXEMPT)]


def in_threads(asked: list[list[CheckRequest]], engines: list[Engine]) -> list[bool]:
    def ask(at: int) -> bool:
        decisions = engines[at % len(engines)].check_together(asked[at])
        assert not any(decision.degraded for decision in decisions)
        return all(decision.allowed for decision in decisions)

    with ThreadPoolExecutor(32) as pool:
        return list(pool.map(ask, range(len(asked))))


def test_with_32_threads_exactly_the_quota_is_admitted_and_denied_groups_consume_nothing(anywhere: Store) -> None:
    """Each client has enough; what all share admits 50 groups of two."""
    ready(anywhere, everyone(50), policy("own", per_hour(1_000)))
    engines = [anywhere.engine() for _ in range(3)]
    clients = [f"client-{number}" for number in range(20)]
    asked = [
        [CheckRequest(clients[at % 20], "search"), CheckRequest(clients[(at + 7) % 20], "search")] for at in range(200)
    ]
    admitted = in_threads(asked, engines)
    assert sum(admitted) == 50
    consumed = Counter(
        request.client for group, was_admitted in zip(asked, admitted, strict=True) if was_admitted for request in group
    )
    assert {client: used(engines[0], CheckRequest(client, "search"))["own"] for client in clients} == {
        client: consumed[client] for client in clients
    }
    assert used(engines[0], ANN)["everyone"] == 50
    counts = counted_by_client(anywhere)
    assert sum(count for (_, kind, slug), count in counts.items() if (kind, slug) == ("a", "")) == 100
    assert sum(count for (_, kind, slug), count in counts.items() if (kind, slug) == ("d", "")) == 300


def test_no_limit_of_two_clients_is_exceeded_and_all_that_fits_is_admitted(anywhere: Store) -> None:
    """Groups in both orders, so that those that wait for each other would deny each other forever."""
    ready(anywhere, policy("own", per_hour(50)))
    engines = [anywhere.engine() for _ in range(3)]
    admitted = in_threads([[ANN, BOB] if at % 2 else [BOB, ANN] for at in range(80)], engines)
    usage = [used(engines[0], request)["own"] for request in (ANN, BOB)]
    assert usage == [sum(admitted)] * 2
    assert usage[0] == 50 or anywhere.url.startswith("redis+cluster")
    assert usage[0] <= 50


# -- without the store


@pytest.fixture
def server(redis_server: Callable[..., RedisServer]) -> RedisServer:
    return redis_server()


def degraded(server: RedisServer, *policies: Policy) -> Engine:
    store = Store(server.url, "own")
    engine = ready(store, *policies)
    clients = ("ann", "bob", "vip", "bad")
    engine.check_together([CheckRequest(client, "search") for client in clients], consume=False)
    return engine


def test_a_group_ends_at_the_callers_deadline_and_is_decided_by_the_policies(server: RedisServer) -> None:
    engine = degraded(server, policy("own", per_hour(5), on_store_failure=OnStoreFailure.DENY))
    server.pause()
    try:
        decisions = engine.check_together([ANN, CheckRequest("vip", "search")], deadline=0.02)
    finally:
        server.resume()
    assert [(each.allowed, each.reason, each.degraded) for each in decisions] == [
        (False, Reason.STORE_UNAVAILABLE, True),
        (True, Reason.EXEMPT, True),
    ]


def test_without_the_store_the_share_of_the_process_is_consumed_by_admitted_groups_only(server: RedisServer) -> None:
    engine = degraded(
        server,
        policy("own", per_hour(3), on_store_failure=OnStoreFailure.LOCAL),
        everyone(100, on_store_failure=OnStoreFailure.LOCAL),
    )
    server.kill()
    assert [each.allowed for each in engine.check_together([ANN, BOB._replace(cost=4)])] == [True, False]
    assert [each.allowed for each in engine.check_together([ANN, CheckRequest("bad", "search")])] == [True, False]
    groups = [engine.check_together([ANN, BOB]) for _ in range(4)]
    assert [all(each.allowed for each in group) for group in groups] == [True, True, True, False]
    assert {each.degraded for group in groups for each in group} == {True}
    with engine._usage_buffer._lock:
        buffered = {
            (client, kind): amount
            for (_, client, _), counts in engine._usage_buffer._buffered.items()
            for (kind, slug, _), amount in counts.items()
            if not slug
        }
    assert buffered == {
        ("ann", "a"): 3,
        ("ann", "d"): 3,
        ("bob", "a"): 3,
        ("bob", "d"): 2,
        ("bob", "D"): 3,
        ("bad", "b"): 1,
    }


def test_a_group_whose_answer_was_lost_is_not_counted_again(store: Store) -> None:
    engine = ready(store, policy("own", per_hour(5)))
    assert all(each.allowed for each in engine.check_together([ANN, BOB]))
    execute = engine._decider._connections.execute

    def lose(*command: Any, **options: Any) -> Any:
        execute(*command, **options)
        raise AnswerLost("lost")

    engine._decider._connections.execute = lose  # type: ignore[method-assign]
    assert all(each.degraded for each in engine.check_together([ANN, BOB]))
    assert not engine._usage_buffer._buffered
    assert kinds(store, "ann") == {("a", ""): 2}
