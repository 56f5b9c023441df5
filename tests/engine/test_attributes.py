"""Policies that count values of attributes separately, and policies with conditions."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from limits.store.clients import CounterResetter
from ratelimit_enforcer.domain.attributes import Match, values_digest
from ratelimit_enforcer.domain.enums import Mode, OnStoreFailure, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.factory import make_engine
from ratelimit_enforcer.store.connections.factory import store_connections_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import shard_of
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.counts import counted
from tests.support.deciding import START, script_with_clock
from tests.support.servers import Store

pytestmark = pytest.mark.xdist_group("attributes")

BY_CLIENT_AND_MODEL = policy("models", per_hour(3), attributes=("model",), on_store_failure=OnStoreFailure.DENY)
BY_ADDRESS = policy(
    "addresses", per_hour(3), partition=Partition.GLOBAL, attributes=("ip",), on_store_failure=OnStoreFailure.DENY
)


def asked(client: str = "acme", **attributes: str) -> CheckRequest:
    return CheckRequest(client, "search", attributes=attributes)


def serve(store: Store, *policies: Policy, max_values: int = 10_000) -> Engine:
    store.publish(ruleset(*policies))
    store.load()
    connections = store_connections_of(parse(store.url), 32, store.keys)
    return make_engine(connections, store.keys, deadline=10, cache_size=1_000, max_values=max_values)


def admitted(engine: Engine, *requests: CheckRequest) -> list[bool]:
    return [engine.check(request).allowed for request in requests]


def test_each_value_has_its_own_quota(anywhere: Store) -> None:
    engine = serve(anywhere, BY_CLIENT_AND_MODEL)
    assert admitted(engine, *[asked(model="gpt-x")] * 4) == [True, True, True, False]
    assert admitted(engine, *[asked(model="gpt-y")] * 4) == [True, True, True, False]
    assert admitted(engine, asked("other", model="gpt-x")) == [True]


def test_checks_without_the_attribute_are_counted_together(anywhere: Store) -> None:
    engine = serve(anywhere, BY_CLIENT_AND_MODEL)
    assert admitted(engine, asked(), asked(region="eu"), asked(), asked()) == [True, True, True, False]
    assert admitted(engine, asked(model="gpt-x")) == [True]


def test_a_value_is_counted_for_all_clients_together(anywhere: Store) -> None:
    engine = serve(anywhere, BY_ADDRESS)
    requests = [asked(f"client-{at}", ip="192.0.2.7") for at in range(4)]
    assert admitted(engine, *requests) == [True, True, True, False]
    assert admitted(engine, asked("client-0", ip="192.0.2.8")) == [True]


def test_addresses_of_one_ipv6_network_are_counted_together(store: Store) -> None:
    engine = serve(store, BY_ADDRESS)
    requests = [asked(ip=f"2001:db8:0:1::{at}") for at in range(4)]
    assert admitted(engine, *requests) == [True, True, True, False]
    assert admitted(engine, asked(ip="2001:db8:0:2::1")) == [True]


def test_a_denied_request_consumes_nothing_from_any_policy(anywhere: Store) -> None:
    engine = serve(anywhere, BY_ADDRESS, BY_CLIENT_AND_MODEL, policy("own", per_hour(100)))
    request = asked(ip="192.0.2.7", model="gpt-x")
    assert admitted(engine, *[request] * 5) == [True, True, True, False, False]
    states = engine.check(asked(ip="192.0.2.9", model="gpt-z"), consume=False).limits
    assert {state.policy: state.remaining for state in states} == {"addresses": 3, "models": 3, "own": 97}


def test_exactly_the_quota_of_each_value_is_admitted_under_concurrency(anywhere: Store) -> None:
    quotas = policy("models", per_hour(40), attributes=("model",), on_store_failure=OnStoreFailure.DENY)
    serve(anywhere, quotas)
    engines = [anywhere.engine(), anywhere.engine()]
    requests = [asked(model=f"m{at % 2}") for at in range(160)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda at: (at % 2, engines[at % 4 // 2].check(requests[at]).allowed), range(160)))
    assert Counter(answers) == {(0, True): 40, (0, False): 40, (1, True): 40, (1, False): 40}


def test_a_batch_counts_each_value_separately(anywhere: Store) -> None:
    engine = serve(anywhere, BY_CLIENT_AND_MODEL, policy("own", per_hour(100)))
    requests = [asked(model=model) for model in "aabbaabb"]
    assert [each.allowed for each in engine.check_in_order(requests)] == [True] * 5 + [False, True, False]


def test_values_beyond_the_maximum_share_one_counter(anywhere: Store) -> None:
    engine = serve(anywhere, BY_CLIENT_AND_MODEL, BY_ADDRESS, max_values=2)
    assert admitted(engine, asked(model="a", ip="192.0.2.1"), asked(model="b", ip="192.0.2.2")) == [True, True]
    others = [asked(model=model, ip=f"192.0.2.{at}") for at, model in enumerate("cdef", start=3)]
    assert admitted(engine, *others) == [True, True, True, False]
    assert admitted(engine, asked(model="a", ip="192.0.2.1")) == [True], "a value with a counter keeps it"


def test_values_beyond_the_maximum_in_a_batch(store: Store) -> None:
    engine = serve(store, BY_CLIENT_AND_MODEL, max_values=1)
    decisions = engine.check_in_order([asked(model=model) for model in "abcdea"])
    assert [each.allowed for each in decisions] == [True, True, True, True, False, True]


def test_the_maximum_is_that_of_each_client_and_window(store: Store) -> None:
    engine = serve(store, policy("models", Limit(1, 60), attributes=("model",)), max_values=1)
    assert admitted(engine, asked(model="a"), asked(model="b"), asked(model="c")) == [True, True, False]
    assert admitted(engine, asked("other", model="a"), asked("other", model="b")) == [True, True]
    values = store.keys.attribute_values(shard_of("acme"), "models", "acme")
    assert 0 < store.redis.ttl(values) <= 60


def test_a_request_that_is_not_admitted_uses_up_no_value(store: Store) -> None:
    engine = serve(store, BY_CLIENT_AND_MODEL, policy("closed", per_hour(0)), max_values=1)
    assert admitted(engine, asked(model="a"), asked(model="b")) == [False, False]
    assert not store.redis.keys(f"{store.keys.namespace}:*:v:*")


def test_a_damaged_number_of_values_is_replaced(store: Store) -> None:
    engine = serve(store, BY_CLIENT_AND_MODEL, max_values=1)
    values = store.keys.attribute_values(shard_of("acme"), "models", "acme")
    for damage in (lambda: store.redis.set(values, "x"), lambda: store.redis.hset(values, "a", "b")):
        store.redis.delete(values)
        damage()
        assert admitted(engine, asked(model=str(damage))) == [True]
        assert store.redis.get(values) == b"1"


def test_every_decision_is_counted_once(anywhere: Store) -> None:
    engine = serve(anywhere, BY_CLIENT_AND_MODEL, BY_ADDRESS, max_values=1)
    for at in range(8):
        engine.check(asked(model=f"m{at}", ip=f"192.0.2.{at}"))
    counts = counted(anywhere)
    assert (counts["a", ""], counts["d", ""]) == (4, 4)


def test_the_state_of_a_client_shows_the_values_asked_for(store: Store) -> None:
    engine = serve(store, BY_CLIENT_AND_MODEL, BY_ADDRESS, policy("own", per_hour(100)))
    engine.check(asked(model="gpt-x", ip="192.0.2.7"))
    for attributes, expected in (({}, {"own": 99}), ({"model": "gpt-x"}, {"models": 2, "own": 99})):
        states = engine.peek_client("acme", attributes=attributes).decision.limits
        assert {state.policy: state.remaining for state in states} == expected


def test_counters_of_values_expire(store: Store) -> None:
    engine = serve(store, policy("models", Limit(3, 60), attributes=("model",)))
    engine.check(asked(model="gpt-x"))
    (key,) = store.redis.keys(f"{store.keys.namespace}:*:a:*")
    assert key.decode().endswith(f"models:{values_digest(('model',), {'model': 'gpt-x'})}:acme")
    assert 59 <= store.redis.ttl(key) <= 68


@pytest.mark.parametrize("client", ["acme", "a*[b]?\\c", "größe:acme"])
def test_a_reset_includes_the_counters_of_values(anywhere: Store, client: str) -> None:
    engine = serve(anywhere, policy("models", per_hour(1), attributes=("model",)), max_values=2)
    others = [f"x:{client}", client[:-1]]
    for key in (client, *others):
        assert admitted(engine, *(asked(key, model=model) for model in "abcc")) == [True, True, True, False]
    resetter = CounterResetter(anywhere.redis, anywhere.keys)
    assert resetter.erase(client, ["models"], ["models"]) == 4
    assert admitted(engine, *(asked(client, model=model) for model in "abcc")) == [True, True, True, False]
    for key in others:
        assert admitted(engine, asked(key, model="a")) == [False]


CONDITIONAL = policy("gpt", per_hour(1), match=Match((("model", ("gpt-*", "o1")),)))


@pytest.mark.parametrize(
    ("attributes", "applies"),
    [
        ({"model": "gpt-x"}, True),
        ({"model": "o1"}, True),
        ({"model": "o1-mini"}, False),
        ({"model": "GPT-x"}, False),
        ({}, False),
    ],
)
def test_a_policy_applies_where_its_conditions_match(store: Store, attributes: dict[str, str], applies: bool) -> None:
    engine = serve(store, CONDITIONAL, policy("own", per_hour(100)))
    for _ in range(2):
        slugs = [state.policy for state in engine.check(asked(**attributes), consume=False).limits]
        assert slugs == (["gpt", "own"] if applies else ["own"])


def test_conditions_on_tags_follow_the_client(store: Store) -> None:
    engine = serve(store, policy("vip", per_hour(1), match=Match(client_tags=("vip",))))
    assert engine.check(asked(), consume=False).limits == ()
    store.load(record("acme", 1, tags=("eu", "vip")))
    assert [state.policy for state in engine.check(asked(), consume=False).limits] == ["vip"]


def test_a_shadow_policy_reports_by_value(store: Store) -> None:
    engine = serve(store, policy("models", per_hour(1), attributes=("model",), mode=Mode.SHADOW))
    answers = [engine.check(asked(model=model)).limits[0].allowed for model in "aabb"]
    assert answers == [True, False, True, False]


def test_the_limits_of_an_outage_count_values_separately(store: Store) -> None:
    local = policy("models", per_hour(1), attributes=("model",))
    engine = serve(store, local)
    engine.check(asked(model="a"), consume=False)
    engine._decider._connections.drop_connections()
    store.redis.delete(*store.keys.shards)
    answers = [engine._fallback.decide(_attempt(engine, asked(model=model)), START, consume=True) for model in "aab"]
    assert [each.allowed for each in answers] == [True, False, True]


def _attempt(engine: Engine, request: CheckRequest) -> object:
    from ratelimit_enforcer.engine.attempts import prepare

    current, clients = engine._rulesets._state
    return prepare(current, clients, request, START)


def test_windows_of_values_end_by_the_clock_of_the_store(store: Store) -> None:
    engine = serve(store, policy("models", Limit(1, 60), attributes=("model",)))
    engine._decider._script = script_with_clock()
    for now, expected in ((START, True), (START + 59_999_999, False), (START + 60_000_000, True)):
        store.redis.mset({"clock:seconds": now // 1_000_000, "clock:rest": now % 1_000_000})
        assert engine.check(asked(model="a")).allowed is expected
