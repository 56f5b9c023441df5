"""Random sequences of checks, rule changes, resets and clock steps: script and reference model agree at each step."""

import os
import secrets
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from limits.store.clients import CounterResetter
from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.enums import Mode, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.selection import EffectivePolicy
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import Decided
from tests.support.deciding import START, Desk, policy
from tests.support.histories import COSTS, WAITS, history_settings, limit_lists

CLIENTS = st.sampled_from(["ann", "bob"])
SLUGS = ("one", "two", "all", "models", "everywhere")
PARTITIONS = {"all": Partition.GLOBAL, "everywhere": Partition.GLOBAL}
ATTRIBUTES = {"models": ("model",), "everywhere": ("model", "region")}
VALUES = st.fixed_dictionaries({}, optional={"model": st.sampled_from("ab"), "region": st.just("eu")})


class Platform(RuleBasedStateMachine):
    """The script on a real Redis, and the reference model. Rules may change arbitrarily at any time."""

    def __init__(self) -> None:
        super().__init__()
        self.desk = Desk(os.environ["REDIS_URL"], f"test-{secrets.token_hex(4)}")
        self.model = Counters()
        self.rules: dict[str, EffectivePolicy] = {}
        self.now = START

    def teardown(self) -> None:
        self.desk.delete_counters()
        self.desk.close()

    @initialize(limits=limit_lists())
    def begin(self, limits: list[Limit]) -> None:
        self.put("one", limits, Mode.ENFORCE)

    @rule(slug=st.sampled_from(SLUGS), limits=limit_lists(), mode=st.sampled_from([Mode.ENFORCE, Mode.SHADOW]))
    def put(self, slug: str, limits: list[Limit], mode: Mode) -> None:
        partition, attributes = PARTITIONS.get(slug, Partition.CLIENT), ATTRIBUTES.get(slug, ())
        self.rules[slug] = policy(slug, *limits, mode=mode, partition=partition, attributes=attributes)

    @rule(slug=st.sampled_from(SLUGS))
    def remove(self, slug: str) -> None:
        self.rules.pop(slug, None)

    @rule(slug=st.sampled_from(SLUGS), quota=st.integers(0, 12))
    def change_quota(self, slug: str, quota: int) -> None:
        if before := self.rules.get(slug):
            limits = tuple(replace(limit, quota=quota, burst=limit.burst and 1) for limit in before.limits)
            self.rules[slug] = replace(before, policy=replace(before.policy, limits=limits), limits=limits)

    @rule(wait=WAITS)
    def pass_time(self, wait: int) -> None:
        """Also backwards, because the clock of another master may be behind."""
        self.now = max(START, self.now + wait)
        self.desk.at(self.now)

    @rule(client=CLIENTS, costs=st.lists(COSTS, min_size=1, max_size=4), values=VALUES)
    def check(self, client: str, costs: list[int], values: dict[str, str]) -> None:
        requests = [self.desk.request(client, self.policies, cost, attributes=values) for cost in costs]
        answers = self.desk.decider.decide_in_order(requests, Deadline(10))
        assert len(answers) == len(costs)
        for cost, answer in zip(costs, answers, strict=True):
            expected = self.model.check(self.policies, cost, self.now, client=client, attributes=values)
            self.compare(answer, expected)

    @rule(client=CLIENTS, cost=COSTS, values=VALUES)
    def look(self, client: str, cost: int, values: dict[str, str]) -> None:
        answer = self.desk.check(client, self.policies, cost, consume=False, attributes=values)
        expected = self.model.check(self.policies, cost, self.now, client=client, attributes=values, consume=False)
        self.compare(answer, expected)

    @rule(client=CLIENTS)
    def reset(self, client: str) -> None:
        CounterResetter(self.desk.redis, self.desk.keys).erase(client, SLUGS, ["models"])
        for slug in SLUGS:
            for key in [key for key in self.model.counters if key[:2] == (slug, client)]:
                del self.model.counters[key]

    @invariant()
    def every_counter_expires(self) -> None:
        keys = self.desk.redis.keys(f"{self.desk.keys.namespace}:*:[ng]:*")
        assert all(self.desk.redis.pttl(key) > 0 for key in keys)

    @property
    def policies(self) -> list[EffectivePolicy]:
        return list(self.rules.values())

    @staticmethod
    def compare(answer: Any, expected: Any) -> None:
        admitted, readings = expected
        assert isinstance(answer, Decided)
        assert answer.admitted == admitted
        assert answer.readings == tuple(reading for row in readings for reading in row)


def test_script_and_model_agree_over_any_sequence() -> None:
    run_state_machine_as_test(Platform, settings=history_settings(150, stateful_step_count=40))
