"""Each decided request is counted in the call that decides it."""

from collections import Counter

import pytest

from ratelimit_enforcer.domain.enums import ClientStatus, Mode
from ratelimit_enforcer.store.answers import Decided
from ratelimit_enforcer.store.keys import client_field, shard_of
from tests.support.deciding import START, TOKEN, Desk, policy, sliding

MINUTE = START // 60_000_000


def counts(desk: Desk, client: str = "acme") -> dict[tuple[str, ...], int]:
    """(minute relative to START, kind, endpoint, policy, client) → count, in the client's
    shard; without quota thresholds, which have separate tests."""
    found = desk.redis.hgetall(desk.keys.usage[shard_of(client)])
    fields = ((tuple(field.decode().split("\n")), int(value)) for field, value in found.items())
    return {
        (str(int(minute) - MINUTE), kind, *rest): value for (minute, kind, *rest), value in fields if not kind.isdigit()
    }


def test_admitted_and_denied_requests_are_counted_with_the_policy_that_denied(desk: Desk) -> None:
    rules = [policy("tight", sliding(2, 60)), policy("wide", sliding(9, 60))]
    for _ in range(5):
        desk.check("acme", rules, endpoint="search")
    assert counts(desk) == {
        ("0", "a", "search", "", "acme"): 2,
        ("0", "d", "search", "", "acme"): 3,
        ("0", "d", "search", "tight", "acme"): 3,
    }


def test_cost_beyond_one_per_request_is_counted_separately(desk: Desk) -> None:
    for cost in (1, 5, 7, 10**6):
        desk.check("acme", [policy("all", sliding(20, 60))], cost)
    assert counts(desk) == {
        ("0", "a", "", "", "acme"): 3,
        ("0", "A", "", "", "acme"): 4 + 6,
        ("0", "d", "", "", "acme"): 1,
        ("0", "D", "", "", "acme"): 10**6 - 1,
        ("0", "d", "", "all", "acme"): 1,
    }


def test_a_denial_in_shadow_mode_is_counted_and_the_request_counts_as_admitted(desk: Desk) -> None:
    rules = [policy("trial", sliding(1, 60), mode=Mode.SHADOW)]
    for _ in range(3):
        desk.check("acme", rules, endpoint="cart")
    assert counts(desk) == {("0", "a", "cart", "", "acme"): 3, ("0", "s", "cart", "trial", "acme"): 2}


def test_a_shadow_policy_counts_only_requests_that_are_otherwise_admitted(desk: Desk) -> None:
    rules = [policy("trial", sliding(1, 60), mode=Mode.SHADOW), policy("tight", sliding(2, 60))]
    for _ in range(5):
        desk.check("acme", rules)
    found = {key[1:4:2]: amount for key, amount in counts(desk).items() if key[3]}
    assert (found["s", "trial"], found["d", "tight"]) == (1, 3)


@pytest.mark.parametrize(("status", "kind"), [(ClientStatus.BLOCKED, "b"), (ClientStatus.EXEMPT, "e")])
def test_blocked_and_exempt_requests_have_separate_kinds(desk: Desk, status: ClientStatus, kind: str) -> None:
    desk.check("acme", [], 3, status=status, endpoint="search")
    assert counts(desk) == {("0", kind, "search", "", "acme"): 1, ("0", kind.upper(), "search", "", "acme"): 2}


def test_each_minute_has_separate_counts(desk: Desk) -> None:
    for now in (START, START + 59_999_999, START + 60_000_000):
        desk.at(now)
        desk.check("acme", [])
    assert counts(desk) == {("0", "a", "", "", "acme"): 2, ("1", "a", "", "", "acme"): 1}


def test_peeks_and_checks_with_old_rules_are_not_counted(desk: Desk) -> None:
    rules = [policy("all", sliding(0, 60))]
    desk.check("acme", rules, consume=False)
    for stale in (
        desk.request("acme", rules, token="epoch:2:other"),
        desk.request("acme", rules, revision=7),
        desk.request("acme", rules, valid_from=START + 1),
    ):
        assert not isinstance(desk.decide(stale), Decided)
    assert counts(desk) == {}
    assert desk.request("acme", rules).token == TOKEN


def in_one_shard(count: int) -> list[str]:
    """Names of clients in the shard of “acme”."""
    numbered = (f"client {number}" for number in range(10**6))
    same = (client for client in numbered if shard_of(client) == shard_of("acme"))
    return [next(same) for _ in range(count)]


def test_beyond_the_bound_new_clients_are_counted_together_and_known_ones_by_name(desk: Desk) -> None:
    desk.decider._counts_per_shard = 10
    clients = in_one_shard(25)
    for client in [*clients, *clients]:
        desk.check(client, [], 2)
    found = counts(desk)
    named = Counter(client for *_, client in found if client)
    assert named == dict.fromkeys(clients[:5], 2)
    assert found["0", "a", "", "", ""] == 2 * 20
    assert found["0", "A", "", "", ""] == 2 * 20
    assert sum(found.values()) == 2 * 2 * 25


def test_the_bound_applies_across_a_drain_and_restarts_each_minute(desk: Desk) -> None:
    desk.decider._counts_per_shard = 3
    clients = in_one_shard(9)
    for client in clients[:5]:
        desk.check(client, [])
    desk.redis.delete(desk.keys.usage[shard_of("acme")])
    desk.check(clients[5], [])
    assert counts(desk) == {("0", "a", "", "", ""): 1}
    desk.at(START + 60_000_000)
    desk.check(clients[6], [])
    assert ("1", "a", "", "", clients[6]) in counts(desk)


def test_registered_clients_are_counted_by_name_during_a_flood(desk: Desk) -> None:
    desk.decider._counts_per_shard = 3
    flood = in_one_shard(20)
    desk.redis.hset(desk.keys.shards[shard_of("acme")], client_field("acme"), "1 {}")
    for client in flood:
        desk.check(client, [])
    desk.check("acme", [], revision=1)
    assert counts(desk)["0", "a", "", "", "acme"] == 1
    assert counts(desk)["0", "a", "", "", ""] == 17


def test_without_a_drain_the_counts_stay_bounded_and_exact(desk: Desk) -> None:
    desk.decider._counts_per_shard = 10
    for minute in range(600):
        desk.at(START + minute * 60_000_000)
        desk.check("acme", [])
    found = counts(desk)
    assert len(found) <= 8 * 10 + 600 // 60 + 1
    assert sum(found.values()) == 600
