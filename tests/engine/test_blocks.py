"""Blocks take precedence over the status and the limits of a client, and end by the store's clock, to the
microsecond."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest

from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.client import Override
from ratelimit_enforcer.domain.enums import ClientStatus, OnStoreFailure, Partition, Reason
from ratelimit_enforcer.domain.limit import SECOND_US
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.usage import RequestKind
from ratelimit_enforcer.engine import CheckRequest, Engine
from ratelimit_enforcer.engine.explanation import explain
from ratelimit_platform.embedded.redis import RedisServer
from tests.engine.rules import per_hour, policy, record, ruleset
from tests.support.counts import counted
from tests.support.deciding import START, script_with_clock
from tests.support.servers import Store

HOUR = 3_600 * SECOND_US
BLOCKED, ADMITTED = RequestKind.BLOCKED.value, RequestKind.ADMITTED.value
ALL = policy("all", per_hour(9))
NETWORK = Block(network="203.0.113.0/24", reason="scraping")
HERE, ELSEWHERE = "203.0.113.7", "198.51.100.7"


def asked(client: str = "acme", **attributes: str) -> CheckRequest:
    return CheckRequest(client, "search", attributes=attributes)


def serve(store: Store, *blocks: Block, policies: tuple[Policy, ...] = (ALL,)) -> Engine:
    store.publish(ruleset(*policies, blocks=blocks))
    store.load()
    return store.engine()


def reasons(engine: Engine, *requests: CheckRequest) -> list[Reason | None]:
    return [engine.check(request, consume=False).reason for request in requests]


def set_clock(store: Store, now: int) -> None:
    store.redis.mset({"clock:seconds": now // SECOND_US, "clock:rest": now % SECOND_US})


def test_a_blocked_request_is_denied_counted_as_blocked_and_consumes_nothing(store: Store) -> None:
    shared = policy("shared", per_hour(9), partition=Partition.GLOBAL)
    engine = serve(store, Block("acme", reason="fraud"), policies=(ALL, shared))
    answer = engine.check(asked())
    assert (answer.allowed, answer.reason, answer.retry_after, list(answer.limits)) == (False, Reason.BLOCKED, None, [])
    assert [engine.check(asked("other")).reason for _ in range(2)] == [None, None]
    assert counted(store) == {(BLOCKED, ""): 1, (ADMITTED, ""): 2}
    remaining = {state.policy: state.remaining for state in engine.check(asked("other"), consume=False).limits}
    assert remaining == {"all": 7, "shared": 7}


@pytest.mark.parametrize(
    ("block", "blocked", "free"),
    [
        (Block("acme"), asked(), asked("acme-2")),
        (Block(prefix="ac"), asked(), asked("bc")),
        (NETWORK, asked(ip=HERE), asked(ip=ELSEWHERE)),
        (NETWORK, asked(ip=HERE), asked()),
        (NETWORK, asked("ip:203.0.113.7", ip=HERE), asked("ip:203.0.113.7")),
        (Block(network="2001:db8::7/128"), asked(ip="2001:db8::7"), asked(ip="2001:db8::8")),
    ],
    ids=lambda value: str(getattr(value, "subject", "")),
)
def test_unregistered_clients_are_blocked(
    store: Store, block: Block, blocked: CheckRequest, free: CheckRequest
) -> None:
    engine = serve(store, block)
    assert reasons(engine, blocked, free, blocked) == [Reason.BLOCKED, None, Reason.BLOCKED]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"status": ClientStatus.EXEMPT},
        {"status": ClientStatus.BLOCKED},
        {"overrides": (Override("all", (per_hour(1_000),)),)},
    ],
    ids=["active", "exempt", "blocked", "overridden"],
)
def test_a_block_takes_precedence(store: Store, fields: Mapping[str, Any]) -> None:
    serve(store, NETWORK)
    store.put(record("acme", 1, **fields))
    engine = store.engine()
    assert reasons(engine, asked(ip=HERE)) == [Reason.BLOCKED]
    own = {ClientStatus.EXEMPT: Reason.EXEMPT, ClientStatus.BLOCKED: Reason.BLOCKED}.get(fields.get("status"))
    assert reasons(engine, asked(ip=ELSEWHERE)) == [own]


def test_a_batch_is_decided_one_by_one(store: Store) -> None:
    engine = serve(store, NETWORK, Block(prefix="bad-", reason="abuse"))
    requests = [asked(ip=HERE), asked(ip=ELSEWHERE), asked("bad-7"), asked("good")]
    assert [each.reason for each in engine.check_in_order(requests)] == [Reason.BLOCKED, None, Reason.BLOCKED, None]


@pytest.mark.parametrize("cost", [0, 2_000_000])
def test_a_cost_out_of_range_is_blocked_too(store: Store, cost: int) -> None:
    engine = serve(store, NETWORK)
    assert engine.check_cost_out_of_range(asked(ip=HERE), cost).reason is Reason.BLOCKED
    assert (counted(store)[BLOCKED, ""], counted(store)[ADMITTED, ""]) == (1, 0)


def test_the_state_of_a_client_says_that_it_is_blocked(store: Store) -> None:
    engine = serve(store, NETWORK, Block("acme", reason="fraud"))
    blocked, by_address, free = (
        engine.peek_client("acme"),
        engine.peek_client("other", attributes={"ip": HERE}),
        engine.peek_client("other"),
    )
    assert [each.status for each in (blocked, by_address, free)] == ["blocked", "blocked", "active"]
    assert [len(each.decision.limits) for each in (blocked, by_address, free)] == [1, 1, 1]


def test_a_block_applies_and_is_lifted_with_the_publication(store: Store) -> None:
    serve(store)
    engines = [store.engine(), store.engine()]
    for blocks, expected in (((), None), ((NETWORK,), Reason.BLOCKED), ((), None)):
        store.publish(ruleset(ALL, blocks=blocks))
        assert [reasons(engine, asked(ip=HERE)) for engine in engines] == [[expected], [expected]]


EDGES = [(START - 1, Reason.BLOCKED), (START, None)]


@pytest.fixture
def engines(store: Store, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Engine, Engine]]:
    """Two servers; the blocks end at ``START``. The clock of the processes is stopped, like that of the store."""
    monkeypatch.setattr("ratelimit_enforcer.engine.ruleset_cache.time.time_ns", lambda: START * 1_000)
    subjects = (Block("acme"), Block(prefix="pre-"), NETWORK)
    ended = tuple(replace(block, ends_at=START) for block in subjects)
    store.publish(ruleset(ALL, blocks=ended))
    store.load()
    made = store.engine(), store.engine()
    for engine in made:
        engine._decider._script = script_with_clock()
    return made


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("request_", [asked(), asked("pre-7"), asked("other", ip=HERE)], ids=lambda each: each.client)
def test_a_block_ends_exactly_without_a_publication(
    store: Store, engines: tuple[Engine, Engine], request_: CheckRequest, backwards: bool
) -> None:
    for now, expected in (EDGES[::-1] if backwards else EDGES) * 2:
        set_clock(store, now)
        assert [engine.check(request_).reason for engine in engines] == [expected, expected], now - START


def test_an_exempt_client_and_one_with_overrides_are_blocked_until_the_end(
    store: Store, engines: tuple[Engine, Engine]
) -> None:
    overrides = (Override("all", (per_hour(1_000),), START - HOUR, START + HOUR),)
    store.put(record("acme", 1, status=ClientStatus.EXEMPT), record("pre-7", 2, overrides=overrides))
    for now, blocked in EDGES:
        set_clock(store, now)
        expected = [blocked, blocked] if blocked else [Reason.EXEMPT, None]
        assert reasons(engines[0], asked(), asked("pre-7")) == expected


def test_the_state_of_a_client_changes_at_the_end(store: Store, engines: tuple[Engine, Engine]) -> None:
    for now, status in ((START - 1, "blocked"), (START, "active")):
        set_clock(store, now)
        assert engines[0].peek_client("acme").status == status


def test_of_several_blocks_the_last_end_counts(store: Store, engines: tuple[Engine, Engine]) -> None:
    store.publish(
        ruleset(ALL, blocks=(Block("acme", ends_at=START), Block(prefix="a", ends_at=START + HOUR), Block("other")))
    )
    for now, expected in ((START, Reason.BLOCKED), (START + HOUR - 1, Reason.BLOCKED), (START + HOUR, None)):
        set_clock(store, now)
        assert reasons(engines[0], asked(), asked("other")) == [expected, Reason.BLOCKED]


def test_blocks_apply_without_the_store(redis_server: Callable[..., RedisServer]) -> None:
    server = redis_server()
    store = Store(server.url, "own")
    local = policy("all", per_hour(9), on_store_failure=OnStoreFailure.LOCAL)
    refusing = policy("orders", per_hour(9), endpoint="orders", on_store_failure=OnStoreFailure.DENY)
    engine = serve(store, NETWORK, Block("acme", ends_at=1), policies=(local, refusing))
    assert reasons(engine, asked(ip=ELSEWHERE)) == [None]
    server.kill()
    for endpoint in ("search", "orders"):
        answer = engine.check(asked(ip=HERE)._replace(endpoint=endpoint))
        assert (answer.reason, answer.degraded, answer.allowed) == (Reason.BLOCKED, True, False)
    assert reasons(engine, asked(ip=ELSEWHERE), asked()) == [None, None]


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (
            asked(ip=HERE),
            "The client is blocked: the block of addresses in 203.0.113.0/24 with no end (reason: scraping).",
        ),
        (asked("late"), "The client is blocked: the block of client late until 15 Jan 2127, 08:00 UTC (reason: x)."),
        (asked("gone"), ""),
        (asked("off"), ""),
        (asked(), ""),
    ],
)
def test_an_explanation_names_the_block(store: Store, request_: CheckRequest, words: str) -> None:
    late = 4_955_673_600 * SECOND_US
    serve(store, NETWORK, Block("late", ends_at=late, reason="x"), Block("gone", ends_at=1), Block("off", ends_at=1))
    store.put(record("off", 1, status=ClientStatus.BLOCKED))
    explanation = explain(store.engine(), request_)
    assert explanation.blocked_by == words
    assert (explanation.block is not None) is bool(words)


class Unread(Mapping[str, str]):
    """The attributes of a request to a view, which are expensive to compute."""

    def __getitem__(self, name: str) -> str:
        raise AssertionError(f"{name} was read")

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("all were read")

    def __len__(self) -> int:
        raise AssertionError("their number was read")


def test_attributes_are_read_only_if_there_are_networks(store: Store) -> None:
    for blocks in ((), (Block("acme"), Block(prefix="b"))):
        engine = serve(store, *blocks)
        assert engine.check(CheckRequest("other", "search", attributes=Unread())).reason is None
    with pytest.raises(AssertionError, match="ip was read"):
        serve(store, NETWORK).check(CheckRequest("other", "search", attributes=Unread()))


def test_checks_with_and_without_a_matching_block_share_no_limits(store: Store) -> None:
    engine = serve(store, NETWORK)
    for ip, expected in ((ELSEWHERE, None), (HERE, Reason.BLOCKED), (ELSEWHERE, None)):
        assert reasons(engine, asked(ip=ip)) == [expected]
