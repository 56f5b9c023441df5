"""Policies with a start and an end apply by the store's clock, to the microsecond."""

from collections.abc import Iterator

import pytest

from ratelimit_enforcer.domain.enums import Algorithm, OnStoreFailure, Partition, Period
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.explanation import explain
from ratelimit_enforcer.store import scripts
from tests.engine.rules import per_hour, policy, ruleset
from tests.support.deciding import START, script_with_clock
from tests.support.lasting_clusters import LastingCluster, lasting_cluster
from tests.support.servers import Store
from tests.support.split import SHARED, SplitWorld, own

pytestmark = pytest.mark.xdist_group("policy-dates")

HOUR = 3_600 * SECOND_US
SEARCH = CheckRequest("acme", "search")
SALE = policy("sale", per_hour(5), starts_at=START, ends_at=START + HOUR)


def set_clock(store: Store, now: int) -> None:
    store.redis.mset({"clock:seconds": now // SECOND_US, "clock:rest": now % SECOND_US})


def engine_with_clock(store: Store) -> Engine:
    engine = store.engine()
    engine._decider._script = script_with_clock()
    return engine


def applying(engine: Engine) -> list[str]:
    return [state.policy for state in engine.check(SEARCH, consume=False).limits]


@pytest.fixture
def engines(store: Store) -> tuple[Engine, Engine]:
    """Two servers; the sale lasts one hour from ``START``."""
    store.publish(ruleset(policy("always", per_hour(9)), SALE))
    store.load()
    return engine_with_clock(store), engine_with_clock(store)


EDGES = [(START - 1, False), (START, True), (START + HOUR - 1, True), (START + HOUR, False)]


@pytest.mark.parametrize("backwards", [False, True])
def test_a_policy_applies_from_its_start_until_before_its_end(
    store: Store, engines: tuple[Engine, Engine], backwards: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The clock of the processes is stopped, like that of the store.
    monkeypatch.setattr("ratelimit_enforcer.engine.ruleset_cache.time.time_ns", lambda: START * 1_000)
    for now, applies in reversed(EDGES) if backwards else EDGES:
        set_clock(store, now)
        expected = ["always", "sale"] if applies else ["always"]
        assert [applying(engine) for engine in engines] == [expected, expected], now - START


def test_only_policies_in_force_are_in_the_limits_of_a_client(store: Store, engines: tuple[Engine, Engine]) -> None:
    for now, applies in EDGES:
        set_clock(store, now)
        states = engines[0].peek_client("acme").decision.limits
        assert ("sale" in [state.policy for state in states]) is applies, now - START


def test_a_policy_denies_from_its_start(store: Store) -> None:
    store.publish(ruleset(policy("closed", Limit(0, 60), starts_at=START)))
    store.load()
    engine = engine_with_clock(store)
    set_clock(store, START - 1)
    assert engine.check(SEARCH).allowed
    set_clock(store, START)
    assert not engine.check(SEARCH).allowed


def test_changed_dates_take_effect_with_the_publication(store: Store, engines: tuple[Engine, Engine]) -> None:
    set_clock(store, START)
    assert applying(engines[0]) == ["always", "sale"]
    store.publish(ruleset(policy("always", per_hour(9)), policy("sale", per_hour(5), starts_at=START + HOUR)))
    assert [applying(engine) for engine in engines] == [["always"], ["always"]]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (START - 1, "It applies from 15 Jan 2027, 08:00 UTC."),
        (START, "It applies to every plan and all requests of a client."),
        (START + HOUR, "It applied until 15 Jan 2027, 09:00 UTC."),
    ],
)
def test_the_explanation_names_the_date(store: Store, engines: tuple[Engine, Engine], now: int, why: str) -> None:
    set_clock(store, now)
    assert {each.policy.slug: each.why for each in explain(engines[0], SEARCH).policies}["sale"] == why


def test_a_calendar_year_is_one_period(store: Store) -> None:
    year = Limit(2, algorithm=Algorithm.CALENDAR, period=Period.YEAR, timezone="Europe/Berlin")
    store.publish(ruleset(policy("yearly", year)))
    store.load()
    engine = engine_with_clock(store)
    new_year = 1_798_758_000 * SECOND_US  # 2027-01-01T00:00:00+01:00
    answers = []
    for now in (new_year - 300 * 86_400 * SECOND_US, new_year - 2, new_year - 1, new_year):
        set_clock(store, now)
        answers.append(engine.check(SEARCH).allowed)
    assert answers == [True, True, False, True]
    assert engine.check(SEARCH, consume=False).limits[0].name == "yearly:year"


AHEAD = """
local clock = redis.call('TIME')
if ARGV[4] == 'c:' then clock[1] = clock[1] + 3600 end
"""
"""The clock of the masters of global policies is an hour ahead of that of the clients' masters."""


@pytest.fixture(scope="module")
def masters(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LastingCluster]:
    with lasting_cluster(tmp_path_factory.mktemp("clusters"), replicas=0) as lasting:
        yield lasting


@pytest.mark.parametrize("consume", [True, False])
@pytest.mark.parametrize(
    "limit",
    [per_hour(5), Limit(5, algorithm=Algorithm.CALENDAR, period=Period.HOUR)],
    ids=["sliding window", "calendar"],
)
def test_on_a_cluster_only_the_clients_master_compares_dates(
    masters: LastingCluster, limit: Limit, consume: bool
) -> None:
    seconds, _ = masters.ready().masters[0].client.time()
    ends_at = (seconds + 1_800) * SECOND_US
    dated = policy(SHARED, limit, partition=Partition.GLOBAL, on_store_failure=OnStoreFailure.DENY, ends_at=ends_at)
    world = SplitWorld(masters.ready(), own(), dated)
    engine = world.store.engine()
    engine._decider._script = scripts.load("decide", clock=AHEAD)
    engine._decider._consume_script = scripts.load("decide", scripts.CONSUME, clock=AHEAD)
    answer = engine.check(CheckRequest(world.client, "search"), consume=consume)
    assert not answer.degraded
    assert [(state.policy, state.remaining) for state in answer.limits] == [
        ("own", 999 if consume else 1_000),
        (SHARED, 4 if consume else 5),
    ]
