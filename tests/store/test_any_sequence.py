"""Random sequences of checks, rule changes, resets and clock steps: script and reference model agree at each step."""

import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from limits.store.clients import CounterResetter
from ratelimit_enforcer.domain.counters import Counters, Reserved, Together
from ratelimit_enforcer.domain.enums import Algorithm, Mode, OverQuota, Partition, Period
from ratelimit_enforcer.domain.grants import Grant, grant_of_kind, in_order
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.reservations import ReservationId, Store
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.domain.usage import PolicyKind
from ratelimit_enforcer.store.answers import Decided
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.keys import client_field, shard_of
from ratelimit_enforcer.store.requests import Settleable, SettleableKind, Verb
from ratelimit_enforcer.store.reservations import OpenRecord, SettledRecord
from ratelimit_platform.embedded.redis import RedisServer
from tests.support.deciding import START, Desk, policy
from tests.support.histories import COSTS, WAITS, history_settings, limit_lists

TREE = {"ann": (), "bob": ("ann",), "cat": ("bob", "ann"), "dan": ("cat", "bob", "ann")}
"""The ancestors of each client, from the parent up."""
CLIENTS = st.sampled_from(list(TREE))
SLUGS = ("one", "two", "all", "models", "everywhere", "places")
PLACES = st.builds(Limit, st.integers(0, 3), st.sampled_from([60, 3_600]), st.just(Algorithm.CONCURRENCY))
"""Long windows, because Redis removes the record of a request by the real clock."""
LEVELS = st.integers(0, 3)
PARTITIONS = {"all": Partition.GLOBAL, "everywhere": Partition.GLOBAL}
ATTRIBUTES = {"models": ("model",), "everywhere": ("model", "region")}
VALUES = st.fixed_dictionaries({}, optional={"model": st.sampled_from("ab"), "region": st.just("eu")})


class Platform(RuleBasedStateMachine):
    """The script on a real Redis, and the reference model. Rules may change arbitrarily at any time."""

    def __init__(self, redis_url: str) -> None:
        super().__init__()
        self.desk = Desk(redis_url, f"test-{secrets.token_hex(4)}")
        records = {client_field(key): "1 {}" for key in TREE}
        self.desk.redis.hset(self.desk.keys.shards[shard_of("ann")], mapping=records)
        self.model = Counters()
        self.rules: dict[tuple[str, int], EffectivePolicy] = {}
        self.now = START
        self.reserved: list[tuple[ReservationId, Reserved]] = []
        self.grants: dict[tuple[str, str], list[Grant]] = {}
        """(policy, client) → the client's grants."""

    def teardown(self) -> None:
        self.desk.delete_counters()
        self.desk.close()

    @initialize(limits=limit_lists(), places=PLACES)
    def begin(self, limits: list[Limit], places: Limit) -> None:
        self.put("one", 0, limits, Mode.ENFORCE, places)

    @rule(
        slug=st.sampled_from(SLUGS),
        level=LEVELS,
        limits=limit_lists(),
        mode=st.sampled_from([Mode.ENFORCE, Mode.SHADOW]),
        places=PLACES,
        over_quota=st.sampled_from(OverQuota),
    )
    def put(
        self,
        slug: str,
        level: int,
        limits: list[Limit],
        mode: Mode,
        places: Limit,
        over_quota: OverQuota = OverQuota.DENY,
    ) -> None:
        """The same policy may apply to the client and to ancestors, as it does if they are on the same plan."""
        if slug == "places":
            limits = [places, *limits[1:]]
        partition, attributes = PARTITIONS.get(slug, Partition.CLIENT), ATTRIBUTES.get(slug, ())
        level = level if partition is Partition.CLIENT else 0
        self.rules[slug, level] = policy(
            slug, *limits, mode=mode, partition=partition, attributes=attributes, level=level, over_quota=over_quota
        )

    @rule(
        slug=st.sampled_from(["one", "two"]),
        client=CLIENTS,
        amount=st.one_of(st.integers(1, 20), st.integers(1, 10**9)),
        duration=st.one_of(st.integers(1, 10**9), st.integers(1, 10**14)),
        priority=st.integers(0, 1),
        is_published=st.sampled_from([True, True, True, False]),
    )
    def grant(self, slug: str, client: str, amount: int, duration: int, priority: int, is_published: bool) -> None:
        """The publisher writes the two numbers of a grant; without them it has nothing left."""
        number = sum(map(len, self.grants.values())) + 1
        made = Grant(number, slug, amount, self.now, self.now + duration, priority)
        self.grants.setdefault((slug, client), []).append(made)
        if is_published:
            self.model.grants[number] = (0, 0)
            self.desk.redis.hset(self.key_of_grants(client), mapping={f"{number}c": 0, f"{number}r": 0})

    def key_of_grants(self, client: str) -> str:
        return self.desk.keys.grants(shard_of("ann"), client)

    @invariant()
    def units_of_grants_are_counted(self) -> None:
        stored = {
            field.decode(): int(value)
            for client in TREE
            for field, value in self.desk.redis.hgetall(self.key_of_grants(client)).items()
        }
        expected: dict[str, int] = {}
        for number, (consumed, returned) in self.model.grants.items():
            expected |= {f"{number}c": consumed, f"{number}r": returned}
        assert stored == expected
        counted: Counter[str] = Counter()
        for field, amount in self.desk.redis.hgetall(self.desk.keys.usage[shard_of("ann")]).items():
            _, kind, _, slug, client = field.decode().split("\n")
            if found := grant_of_kind(kind) if slug else None:
                assert found[0] in [grant.id for grant in self.grants[slug, client]]
                counted[f"{found[0]}{'r' if found[1] else 'c'}"] += int(amount)
        assert counted == Counter(expected)

    @rule(slug=st.sampled_from(SLUGS), level=LEVELS)
    def remove(self, slug: str, level: int) -> None:
        self.rules.pop((slug, level), None)

    @rule(slug=st.sampled_from(SLUGS), level=LEVELS, quota=st.integers(0, 12))
    def change_quota(self, slug: str, level: int, quota: int) -> None:
        if before := self.rules.get((slug, level)):
            limits = tuple(replace(limit, quota=quota, burst=limit.burst and 1) for limit in before.limits)
            self.rules[slug, level] = replace(before, policy=replace(before.policy, limits=limits), limits=limits)

    @rule(wait=WAITS)
    def pass_time(self, wait: int) -> None:
        """Also backwards, because the clock of another master may be behind."""
        self.now = max(START, self.now + wait)
        self.desk.at(self.now)

    @rule(client=CLIENTS, costs=st.lists(COSTS, min_size=1, max_size=4), values=VALUES)
    def check(self, client: str, costs: list[int], values: dict[str, str]) -> None:
        policies, ancestors = self.policies(client), TREE[client]
        requests = [
            self.desk.request(client, policies, cost, attributes=values, revision=1, ancestors=registered(ancestors))
            for cost in costs
        ]
        longest = longest_place(policies)
        if longest:
            requests = [request._replace(settleable=taking_places(longest)) for request in requests]
        answers = self.desk.decider.decide_in_order(requests, Deadline(10))
        assert len(answers) == len(costs)
        whose = {"client": client, "ancestors": ancestors, "attributes": values}
        for request, answer in zip(requests, answers, strict=True):
            if request.settleable is None:
                self.compare(answer, self.model.check(policies, request.cost, self.now, **whose))
                continue
            name, until = request.settleable.name, self.now + longest
            reserved, _, readings = self.model.reserve(
                policies, request.cost, self.now, name=name, until=until, **whose
            )
            self.compare(answer, (reserved is not None, readings))
            if answer.expires_at:
                self.reserved.append((ReservationId(Store.SHARD, shard_of("ann"), name), reserved))

    @rule(client=CLIENTS, cost=COSTS, values=VALUES)
    def look(self, client: str, cost: int, values: dict[str, str]) -> None:
        policies, ancestors = self.policies(client), TREE[client]
        request = self.desk.request(
            client, policies, cost, attributes=values, revision=1, ancestors=registered(ancestors)
        )
        longest = longest_place(policies)
        answer = self.desk.decide(
            request._replace(settleable=taking_places(longest) if longest else None), consume=False
        )
        expected = self.model.check(
            policies, cost, self.now, client=client, ancestors=ancestors, attributes=values, consume=False
        )
        self.compare(answer, expected)

    @rule(
        group=st.lists(
            st.tuples(
                CLIENTS,
                st.one_of(st.integers(0, 3), st.integers(0, 12), COSTS),
                VALUES,
                st.sets(st.sampled_from(SLUGS), min_size=1),
            ),
            min_size=2,
            max_size=4,
        ),
        is_one_client=st.booleans(),
        consume=st.booleans(),
    )
    def check_together(self, group: list[Any], is_one_client: bool, consume: bool) -> None:
        """Requests of one client on several endpoints, or of several clients: two that reach a counter have the same
        limits."""
        requests = [
            self.request_together(group[0][0] if is_one_client else client, cost, values, slugs, levels=is_one_client)
            for client, cost, values, slugs in group
        ]
        answers = self.desk.decider.decide_together(
            [
                self.desk.request(
                    each.client,
                    each.policies,
                    each.cost,
                    attributes=each.attributes,
                    revision=1,
                    ancestors=registered(each.ancestors),
                )
                for each in requests
            ],
            Deadline(10),
            Verb.COUNT if consume else Verb.PEEK,
        )
        expected = self.model.check_together(requests, self.now, consume=consume)
        assert isinstance(answers, list)
        assert len(answers) == len(requests)
        for answer, each in zip(answers, expected, strict=True):
            self.compare(answer, each)

    def request_together(
        self, client: str, cost: int, values: dict[str, str], slugs: set[str], *, levels: bool
    ) -> Together:
        policies = [each.without_places() for each in self.policies(client) if levels or each.level == 0]
        chosen = [each for each in policies if each.limits and each.policy.slug in slugs]
        return Together(chosen, cost, client, TREE[client], values)

    @rule(
        client=CLIENTS,
        cost=COSTS,
        at_least=st.one_of(st.none(), st.integers(1, 12)),
        ttl=st.sampled_from([SECOND_US, 60 * SECOND_US, 3_600 * SECOND_US]),
        values=VALUES,
    )
    def reserve(self, client: str, cost: int, at_least: int | None, ttl: int, values: dict[str, str]) -> None:
        policies, ancestors, name = self.policies(client), TREE[client], secrets.token_bytes(16)
        at_least = at_least and min(at_least, cost)
        request = self.desk.request(
            client, policies, cost, attributes=values, revision=1, ancestors=registered(ancestors)
        )
        settleable = Settleable(SettleableKind.RESERVATION, name, ttl, at_least)
        answer = self.desk.decide(request._replace(settleable=settleable))
        reserved, decided, readings = self.model.reserve(
            policies,
            cost,
            self.now,
            name=name,
            until=self.now + ttl,
            at_least=at_least,
            client=client,
            ancestors=ancestors,
            attributes=values,
        )
        self.compare(answer, (reserved is not None, readings))
        assert answer.cost == decided
        assert answer.expires_at == (self.now + ttl if reserved else None)
        if reserved:
            self.reserved.append((ReservationId(Store.SHARD, shard_of("ann"), name), reserved))

    @precondition(lambda self: self.reserved)
    @rule(data=st.data(), cost=st.one_of(st.none(), st.integers(0, 12), st.integers(0, 10**9)))
    def settle(self, data: st.DataObject, cost: int | None) -> None:
        """Repeated, as after a lost answer."""
        self.settle_at(data.draw(st.integers(0, len(self.reserved) - 1)), cost)

    def settle_at(self, at: int, cost: int | None) -> None:
        name, reserved = self.reserved.pop(at)
        record = self.desk.reservations.read(name, Deadline(10))
        assert isinstance(record, OpenRecord)
        settled = self.desk.reservations.settle(name, record, cost, self.now, Deadline(10))
        assert isinstance(settled, SettledRecord)
        assert settled.cost == (reserved.cost if cost is None else cost)
        assert settled.overdrawn == self.model.settle(reserved, settled.cost, self.now)
        assert settled.refunded == (max(0, reserved.cost - settled.cost) if self.now < reserved.until else 0)
        assert self.desk.reservations.settle(name, record, cost, self.now, Deadline(10)) is None
        stored = self.desk.reservations.read(name, Deadline(10))
        assert isinstance(stored, SettledRecord)
        assert stored._replace(content=b"") == settled

    @rule(client=CLIENTS, cost=st.one_of(st.integers(1, 12), st.integers(1, 10**9)), values=VALUES)
    def refund_newest(self, client: str, cost: int, values: dict[str, str]) -> None:
        policies, ancestors, name = self.policies(client), TREE[client], secrets.token_bytes(16)
        request = self.desk.request(client, policies, attributes=values, revision=1, ancestors=registered(ancestors))
        charge = Settleable(SettleableKind.CHARGE, name, 60 * SECOND_US)
        self.desk.decide(request._replace(settleable=charge), consume=False)
        found = ReservationId(Store.SHARD, shard_of("ann"), name)
        record = self.desk.reservations.read(found, Deadline(10))
        assert isinstance(record, OpenRecord)
        settled = self.desk.reservations.settle(found, record, -cost, self.now, Deadline(10))
        assert isinstance(settled, SettledRecord)
        whose = {"client": client, "ancestors": ancestors, "attributes": values}
        self.model.check(policies, 1, self.now, consume=False, **whose)
        refunded = self.model.refund_newest(policies, cost, self.now, **whose)
        assert (settled.cost, settled.refunded, settled.overdrawn) == (0, refunded, 0)

    @rule(client=CLIENTS)
    def reset(self, client: str) -> None:
        CounterResetter(self.desk.redis, self.desk.keys).erase(client, SLUGS, ["models"], shard_key="ann")
        for slug in SLUGS:
            for key in [key for key in self.model.counters if key[:2] == (slug, client)]:
                del self.model.counters[key]
            for key in [key for key in self.model.places if key[:2] == (slug, client)]:
                del self.model.places[key]

    @invariant()
    def every_counter_expires(self) -> None:
        keys = self.desk.redis.keys(f"{self.desk.keys.namespace}:*:[ng]:*")
        assert all(self.desk.redis.pttl(key) > 0 for key in keys)

    @invariant()
    def units_over_quota_are_counted(self) -> None:
        expected: Counter[tuple[str, str]] = Counter()
        for (slug, subject, _), units in self.model.over_quota.items():
            expected[slug, subject or ""] += units
        assert self.counted_over_quota() == {key: units for key, units in expected.items() if units}

    def counted_over_quota(self) -> dict[tuple[str, str], int]:
        """By policy and client; of policies that count all clients together, without the client."""
        counted: Counter[tuple[str, str]] = Counter()
        for field, amount in self.desk.redis.hgetall(self.desk.keys.usage[shard_of("ann")]).items():
            _, kind, _, slug, client = field.decode().split("\n")
            if kind in "qQ":
                subject = "" if slug in PARTITIONS else client
                counted[slug, subject] += int(amount) if kind == PolicyKind.OVER_QUOTA else -int(amount)
        return {key: units for key, units in counted.items() if units}

    def policies(self, client: str) -> list[EffectivePolicy]:
        """Those of the client and of its ancestors."""
        subjects = (client, *TREE[client])
        return [
            self.with_grants(each, subjects[level]) for (_, level), each in self.rules.items() if level < len(subjects)
        ]

    def with_grants(self, policy: EffectivePolicy, subject: str) -> EffectivePolicy:
        if policy.counting_limit is None:
            return policy
        grants = in_order(self.grants.get((policy.policy.slug, subject), ()))
        return replace(policy, grants=tuple(grant for grant in grants if grant.is_active(self.now)))

    @staticmethod
    def compare(answer: Any, expected: Any) -> None:
        admitted, readings = expected
        assert isinstance(answer, Decided)
        assert answer.admitted == admitted
        assert answer.readings == tuple(reading for row in readings for reading in row)


def longest_place(policies: list[EffectivePolicy]) -> int:
    limits = [limit for policy in policies for limit in policy.limits]
    return max((limit.window_us for limit in limits if limit.algorithm is Algorithm.CONCURRENCY), default=0)


def taking_places(longest: int) -> Settleable:
    return Settleable(SettleableKind.REQUEST, secrets.token_bytes(16), longest)


def registered(ancestors: tuple[str, ...]) -> list[tuple[str, int]]:
    return [(key, 1) for key in ancestors]


class Billing(Platform):
    """One policy with a calendar limit, for clients with grants, so that many requests reach their edges."""

    put = remove = check_together = None  # type: ignore[assignment]

    @initialize(
        quota=st.integers(0, 12),
        period=st.sampled_from([Period.HOUR, Period.YEAR]),
        mode=st.sampled_from([Mode.ENFORCE, Mode.SHADOW]),
        over_quota=st.sampled_from(OverQuota),
        amounts=st.lists(st.integers(1, 20), min_size=1, max_size=3),
    )
    def begin(self, quota: int, period: Period, mode: Mode, over_quota: OverQuota, amounts: list[int]) -> None:
        limit = Limit(quota, None, Algorithm.CALENDAR, period=period)
        for level in range(2):
            self.rules["one", level] = policy("one", limit, mode=mode, level=level, over_quota=over_quota)
        for at, amount in enumerate(amounts):
            self.grant("one", "ann", amount, 10**12 + at, 0, True)
            self.grant("one", "bob", amount, 10**9 + at, 0, True)

    @rule(client=st.sampled_from(["ann", "bob"]), cost=st.integers(1, 30), settled=st.integers(0, 40))
    def reserve_and_settle(self, client: str, cost: int, settled: int) -> None:
        before = len(self.reserved)
        self.reserve(client, cost, None, 3_600 * SECOND_US, {})
        if len(self.reserved) > before:
            self.settle_at(len(self.reserved) - 1, settled)


def test_script_and_model_agree_over_any_sequence(redis_server: Callable[..., RedisServer]) -> None:
    """On a separate server, because each step searches all keys: those of other tests made that take minutes."""
    url = redis_server().url
    run_state_machine_as_test(lambda: Billing(url), settings=history_settings(160, stateful_step_count=30))
    run_state_machine_as_test(lambda: Platform(url), settings=history_settings(400, stateful_step_count=40))
