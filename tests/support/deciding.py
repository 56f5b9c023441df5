"""The real script on a real Redis, with a clock that the test holds."""

from collections.abc import Sequence
from typing import Any

from redis import Redis

from limits.domain.limit import Limit
from limits.domain.ruleset import Policy
from limits.domain.selection import EffectivePolicy
from limits.domain.words import Algorithm, Mode, Partition
from limits.store import scripts
from limits.store.buckets import bucket_of
from limits.store.deadline import Deadline
from limits.store.decider import COUNTS_PER_BUCKET, Answer, CounterOf, Decided, Decider, Question, Verb
from limits.store.hot import ServerConnections
from limits.store.keys import COMPLETE_FIELD, TOKEN_FIELD, Keys
from limits.store.packing import pack_rules
from limits.store.pending import Consumption, PendingEntries, entry_of, new_request, pack_new

TOKEN = "epoch:1:digest"
CLOCK_LINE = "local clock = redis.call('TIME')\n"
HELD_CLOCK_LINE = "local clock = redis.call('MGET', 'clock:seconds', 'clock:rest')\n"
EXPIRY = "ceil((keep_until[index] - now) / 1000) + 1"
START = 1_800_000_000_000_000


def script_with_clock(*, expires: bool = False, consuming: bool = False) -> scripts.Script:
    """The production script, reading its time from two keys. A counter outlives any test, since
    Redis itself expires keys by the real clock; unless it ``expires``. ``consuming``: for one part of
    a request."""
    source = (scripts.load_consuming() if consuming else scripts.load("decide")).source
    assert source.startswith(CLOCK_LINE)
    assert source.count(EXPIRY) == 1
    source = source.replace(CLOCK_LINE, HELD_CLOCK_LINE, 1)
    return scripts.Script(source if expires else source.replace(EXPIRY, "1000000000"))


def with_clock(script: scripts.Script) -> scripts.Script:
    """The same script, reading its time from two keys, if it asks for the time."""
    return scripts.Script(script.source.replace(CLOCK_LINE, HELD_CLOCK_LINE, 1))


def policy(
    slug: str, *limits: Limit, mode: Mode = Mode.ENFORCE, partition: Partition = Partition.CLIENT
) -> EffectivePolicy:
    return EffectivePolicy(Policy(slug, limits, partition=partition), mode, limits)


def sliding(quota: int, window: int) -> Limit:
    return Limit(quota, window)


def bucket(quota: int, window: int, burst: int | None = None) -> Limit:
    return Limit(quota, window, Algorithm.TOKEN_BUCKET, burst)


class Desk:
    """Asks the script about one namespace, where every bucket holds ``TOKEN`` and is complete."""

    def __init__(self, url: str, namespace: str, *, clock: bool = True) -> None:
        self.redis = Redis.from_url(url)
        self.keys = Keys(namespace)
        pool = Redis.from_url(url, protocol=2).connection_pool
        self.connections = ServerConnections(lambda: pool.connection_class(**pool.connection_kwargs), 8)
        self.decider = Decider(self.connections, self.keys)
        self.now = START
        self.consume_script = scripts.load_consuming()
        self.pending = PendingEntries(self.connections, self.keys, COUNTS_PER_BUCKET)
        if clock:
            self.decider._script = script_with_clock()
            self.consume_script = script_with_clock(consuming=True)
            self.pending._scripts = {name: with_clock(script) for name, script in self.pending._scripts.items()}
            self.at(START)
        for name in self.keys.buckets:
            self.redis.hset(name, mapping={TOKEN_FIELD: TOKEN, COMPLETE_FIELD: "1"})

    def at(self, now: int) -> None:
        """Sets the clock (microseconds since 1970)."""
        self.now = now
        self.redis.mset({"clock:seconds": now // 1_000_000, "clock:rest": now % 1_000_000})

    def question(
        self,
        client: str,
        policies: Sequence[EffectivePolicy],
        cost: int = 1,
        *,
        token: str = TOKEN,
        revision: int | None = 0,
        **rules: Any,
    ) -> Question:
        """``rules``: what :func:`pack_rules` takes."""
        counters = tuple(CounterOf(each.policy.slug, each.policy.partition is Partition.GLOBAL) for each in policies)
        return Question(client, token, revision, counters, pack_rules(policies, self.now, **rules), cost)

    def ask(
        self, client: str, policies: Sequence[EffectivePolicy], cost: int = 1, *, consume: bool = True, **fields: Any
    ) -> Decided:
        answer = self.decide(self.question(client, policies, cost, **fields), consume=consume)
        assert isinstance(answer, Decided)
        return answer

    def decide(self, question: Question, *, consume: bool = True) -> Answer:
        return self.decider.decide(question, Deadline(10), Verb.COUNT if consume else Verb.LOOK)

    def consume(
        self, question: Question, *, patience: float = 1.0, entry: bytes | None = None, home: int | None = None
    ) -> Consumption | None:
        """Consumes one part, in its client's bucket, and leaves it pending for so many seconds; None: it
        was denied. ``home``: the bucket where its request is committed, where that is another one."""
        bucket, entry = self.bucket(question.client), entry or entry_of(new_request(), 0)
        keys, who = self.decider._request(question, bucket)
        head = question.token, Verb.CONSUME.value, pack_new(entry, patience, bucket if home is None else home)
        arguments = (*head, *who, question.rules)
        keys += self.keys.pending[bucket]
        reply, self.overdue = self.consume_script.run(self.connections, keys, arguments, Deadline(10))
        counters = tuple(keys[3:-2])
        return Consumption(bucket, entry, counters) if reply[1] else None

    def bucket(self, client: str) -> int:
        return bucket_of(client)

    def let_counters_expire(self) -> None:
        """By Redis' own clock, whatever the test's says."""
        self.decider._script = script_with_clock(expires=True)

    def forget(self) -> None:
        """Every counter starts anew."""
        self.redis.delete(*(self.redis.keys("*:[ng]:*") or ["none"]))
        self.redis.delete(*(key for keys in self.keys.pending for key in keys), *self.keys.committed)

    def close(self) -> None:
        self.redis.close()
        self.connections.forget_idle()
