"""Requests in parts that stop at any step: whatever is lost, delayed or killed, no limit is exceeded, and in the
end exactly the requests that were not committed are refunded."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import SECOND_US, Limit
from ratelimit_enforcer.domain.usage import Count
from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.answers import Decided
from ratelimit_enforcer.store.completer import Completer, Resolver
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import AnswerLost, StoreUnavailable
from ratelimit_enforcer.store.keys import shard_of
from ratelimit_enforcer.store.requests import CounterRef, Part, StoreRequest
from ratelimit_enforcer.store.scripts.packing import pack_rules
from ratelimit_enforcer.store.split_decider import SplitDecider, _combined
from tests.support.deciding import START, TOKEN, Desk, policy
from tests.support.histories import history_settings


class Died(BaseException):
    """The process is killed here."""


HOW = ("dies before", "dies after", "lost before", "lost after", "lost, runs late", "refused")


@dataclass
class Link:
    """The connections of one process. One call fails: number ``fails_at``, counted from now."""

    desk: Desk
    late: list[tuple[Any, ...]]
    fails_at: int = -1
    how: str = ""

    def execute(self, *command: Any, key: str, deadline: Deadline) -> Any:
        self.fails_at -= 1
        if self.fails_at != -1:
            return self.desk.connections.execute(*command, key=key, deadline=deadline)
        if self.how.endswith("after"):
            self.desk.connections.execute(*command, key=key, deadline=deadline)
        if self.how == "lost, runs late":
            self.late.append(command)
        if self.how.startswith("dies"):
            raise Died
        raise StoreUnavailable("refused") if self.how == "refused" else AnswerLost("lost")


class Unhurried(Completer):
    """Works only when the test calls it."""

    def _wake(self) -> None:
        return

    def do_all(self) -> None:
        self._confirm_at = 0.0
        self.work()


class Process:
    """One process. It ends when the test no longer uses it."""

    def __init__(self, desk: Desk, late: list[tuple[Any, ...]]) -> None:
        self.link = Link(desk, late)
        self.decider = SplitDecider(self.link, desk.keys, 128)  # type: ignore[arg-type]
        self.decider._script, self.decider._consume_script = desk.decider._script, desk.consume_script
        services = self.decider._services
        services.pending._scripts = desk.pending._scripts
        self.completer = self.decider._completer = Unhurried(services.pending)
        self.decider._services = services._replace(completer=self.completer)


OWN_QUOTA, SHARED_QUOTA = 4, 6
OWN = policy("own", Limit(OWN_QUOTA, 3_600, Algorithm.FIXED_WINDOW))
EVERYONE = policy("everyone", Limit(SHARED_QUOTA, 3_600, Algorithm.FIXED_WINDOW))


def asked(client: str) -> StoreRequest:
    """One request under a policy with a counter for each client and a global one."""
    own = Part((CounterRef("own"),), pack_rules([OWN], START, endpoint="search"), (0,), (1,))
    everyone = Part((CounterRef("everyone", True),), pack_rules([EVERYONE], START, endpoint="search"), (1,), (1,))
    return StoreRequest(client, TOKEN, 0, (), b"", 1, parts=(own, everyone))


@dataclass(frozen=True)
class Step:
    """A request and the events after it. ``fails_at``: the call that fails; ``is_open``: the request is
    concluded only after the next steps, if that is still possible."""

    client: str
    fails_at: int
    how: str
    is_open: bool
    wait: int
    works: bool
    late_runs: bool
    resolves: tuple[str, ...]


STEPS = st.builds(
    Step,
    client=st.sampled_from(["ann", "bob"]),
    fails_at=st.sampled_from([-1, -1, -1, 0, 1, 2, 3, 4]),
    how=st.sampled_from(HOW),
    is_open=st.sampled_from([False, False, True]),
    wait=st.sampled_from([0, 0, 0, SECOND_US, 6 * SECOND_US, 20 * SECOND_US]),
    works=st.booleans(),
    late_runs=st.booleans(),
    resolves=st.sampled_from([(), (), ("ann",), ("everyone",), ("everyone", "bob", "ann")]),
)


@dataclass
class World:
    """Processes that send requests, fail and are killed, and the invariants of the store meanwhile."""

    desk: Desk
    late: list[tuple[Any, ...]] = field(default_factory=list)
    admitted: Counter[str] = field(default_factory=Counter)
    opened: list[tuple[Process, str, Decided]] = field(default_factory=list)

    def __post_init__(self) -> None:
        deciding = self.desk.decider._script, self.desk.consume_script, scripts.load("count")
        for script in (*deciding, *self.desk.pending._scripts.values()):
            # Late commands call their script by its digest.
            self.desk.redis.script_load(script.source)
        self.process = Process(self.desk, self.late)

    def take(self, step: Step) -> None:
        link = self.process.link
        link.fails_at, link.how = step.fails_at, step.how
        try:
            answer = self.process.decider.decide(asked(step.client), Deadline(5))
            assert isinstance(answer, Decided)
            self.opened.append((self.process, step.client, answer))
            if not step.is_open:
                self.conclude(*self.opened.pop())
            if step.works:
                self.process.completer.do_all()
        except StoreUnavailable:
            pass
        except Died:
            self.die()
        self.go_on(step)

    def conclude(self, process: Process, client: str, answer: Decided) -> None:
        assert answer.uncommitted
        kind = "a" if answer.admitted else "d"
        counts = [Count(kind, "", 1)]
        counted = answer.uncommitted.conclude(
            admitted=answer.admitted, endpoint="search", counts=counts, deadline=Deadline(5)
        )
        self.admitted[client] += answer.admitted and counted

    def die(self) -> None:
        self.opened = [each for each in self.opened if each[0] is not self.process]
        self.process = Process(self.desk, self.late)

    def go_on(self, step: Step) -> None:
        self.desk.at(self.desk.now + step.wait)
        self.process.link.fails_at = -1
        if step.late_runs:
            self.run_late()
        if not step.is_open and self.opened:
            with suppress(StoreUnavailable):
                self.conclude(*self.opened.pop(0))
        for name in step.resolves:
            Resolver(self.desk.pending).resolve(shard_of(name), 60)

    def run_late(self) -> None:
        while self.late:
            self.desk.connections.execute(*self.late.pop(0), key="any", deadline=Deadline(60))

    def end(self) -> None:
        """All processes have been killed, and another one resolves the overdue entries."""
        self.run_late()
        self.desk.at(self.desk.now + 20 * SECOND_US)
        for name in ("everyone", "ann", "bob"):
            Resolver(self.desk.pending).resolve(shard_of(name), 60)

    def committed(self, client: str) -> int:
        """The requests counted as admitted; a commit is counted in the same call."""
        fields = self.desk.redis.hgetall(self.desk.keys.usage[shard_of(client)])
        return sum(int(amount) for name, amount in fields.items() if name.decode().split("\n")[1::3] == ["a", client])

    def used(self, key: str) -> int:
        """The cost in the counter of a fixed window: the last four bytes."""
        value: bytes = self.desk.redis.get(key) or bytes(4)
        return int.from_bytes(value[-4:], "big")

    def hold(self, *, exactly: bool = False) -> None:
        """Asserts that committed requests stay consumed and that no quota is exceeded."""
        committed = {client: self.committed(client) for client in ("ann", "bob")}
        pairs = [
            (committed[client], self.used(self.desk.keys.counter(shard_of(client), "own", client)), OWN_QUOTA)
            for client in committed
        ]
        pairs.append((sum(committed.values()), self.used(self.desk.keys.shared_counter("everyone")), SHARED_QUOTA))
        for committed_cost, consumed_cost, quota in pairs:
            assert committed_cost <= consumed_cost <= quota
            assert not exactly or committed_cost == consumed_cost
        assert all(self.admitted[client] <= committed[client] for client in committed)


@history_settings(400)
@given(steps=st.lists(STEPS, min_size=1, max_size=20))
def test_committed_requests_stay_consumed_and_all_others_are_refunded(desk: Desk, steps: Sequence[Step]) -> None:
    desk.delete_counters()
    desk.redis.delete(*desk.keys.usage)
    desk.at(START)
    world = World(desk)
    for step in steps:
        world.take(step)
        world.hold()
    world.end()
    world.hold(exactly=True)
    assert not any(desk.redis.exists(*desk.keys.pending[shard_of(name)]) for name in ("ann", "bob", "everyone"))


@pytest.mark.parametrize("readings", [1, 3])
def test_a_different_number_of_readings_and_limits_is_an_error(readings: int) -> None:
    part = Part((CounterRef("p"), CounterRef("q")), b"", positions=(0, 1), sizes=(1, 1))
    request = StoreRequest("ann", TOKEN, 0, part.counters, b"", 1, parts=(part,))
    answer = Decided(True, True, START, [(True, 0, 0, 0, 0)] * readings)
    with pytest.raises(ValueError, match=f"{readings} readings for 2 limits"):
        _combined(request, [answer])
