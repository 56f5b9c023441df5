"""The data that checks are prepared from, and how newer data is loaded when an answer says that there is some."""

from collections.abc import Sequence

from ratelimit_enforcer.domain.decision import CheckRequest
from ratelimit_enforcer.engine.ancestors import load_ancestors
from ratelimit_enforcer.engine.attempts import Attempt, Guard, prepare
from ratelimit_enforcer.engine.client_cache import ClientCache
from ratelimit_enforcer.engine.prepared_ruleset import PreparedRuleset
from ratelimit_enforcer.engine.ruleset_cache import RulesetCache, StoreClock, parse_record
from ratelimit_enforcer.store.ancestor_reader import AncestorReader
from ratelimit_enforcer.store.answers import (
    AncestorsUnknown,
    ClientChanged,
    Decided,
    NotLoaded,
    OutsideValidity,
    RulesChanged,
    StoreAnswer,
    Undecidable,
    ValuesExhausted,
)
from ratelimit_enforcer.store.damage import CLIENT
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import StoreDataError, StoreUnavailable


class Loader:
    """Prepares attempts from the ruleset and the clients that this process has, and loads newer ones. Thread-safe."""

    def __init__(self, rulesets: RulesetCache, ancestors: AncestorReader, clock: StoreClock) -> None:
        self._rulesets = rulesets
        self._ancestors = ancestors
        self._clock = clock

    def attempts(self, requests: Sequence[CheckRequest], deadline: Deadline, guard: Guard | None) -> list[Attempt]:
        """An attempt for each request. Raises the same exceptions as :meth:`state`."""
        current, clients = self.state(deadline, guard)
        now = self._clock.now()
        return [prepare(current, clients, request, now) for request in requests]

    def state(self, deadline: Deadline, guard: Guard | None) -> tuple[PreparedRuleset, ClientCache]:
        """The ruleset and the clients that this process has. Calls ``guard``, and raises its exceptions; raises
        :class:`RulesetMissing` if no ruleset was ever loaded."""
        current, clients = self._rulesets.state(deadline)
        if guard is not None:
            guard(current.ruleset)
        return current, clients

    def load_difference(
        self, attempt: Attempt, answer: StoreAnswer, deadline: Deadline, *, agreed: bool = True
    ) -> None:
        """Loads the ruleset, client record or time that the answer names, for the next attempt. ``agreed``: no two
        shards have disagreed in this check. Raises :class:`StoreError`."""
        match answer:
            case RulesChanged(token) if agreed:
                self._rulesets.switch_to(token, deadline)
            case RulesChanged(token, shard):
                self._rulesets.reconcile_shard(token, shard, deadline)
            case ClientChanged() | AncestorsUnknown():
                self._load_records(attempt, answer, deadline)
            case OutsideValidity(now):
                self._clock.set(now)
            case NotLoaded():
                raise StoreUnavailable("The store has not loaded this client yet.")
            case Undecidable(kind):
                raise StoreDataError(kind or CLIENT, "The data of this client in the store is damaged.")

    def _load_records(self, attempt: Attempt, answer: ClientChanged | AncestorsUnknown, deadline: Deadline) -> None:
        if isinstance(answer, AncestorsUnknown):
            self.load_ancestors(attempt.clients, attempt.record.key, deadline)
        else:
            for key, record in zip(attempt.subjects, answer.records, strict=False):
                attempt.clients.put(parse_record(key, record))

    def load_ancestors(self, clients: ClientCache, client: str, deadline: Deadline) -> None:
        """Reads the records of a client and its ancestors into the cache. Raises :class:`StoreError`."""
        load_ancestors(self._ancestors, clients, client, deadline)


def cache_unregistered(attempt: Attempt, answer: Decided) -> None:
    """Caches that the client is unregistered, so that checks are still decided while an emptied store is being
    refilled."""
    if not attempt.known and answer.complete:
        attempt.clients.put(attempt.record)


def counted_together(attempt: Attempt, answer: ValuesExhausted) -> CheckRequest:
    """The request, to be counted under ``(other)`` by the policy that counts no further value separately. Raises
    :class:`StoreUnavailable` if it was."""
    policy = attempt.layout.policies[answer.position]
    counted, request = (policy.policy.slug, policy.level), attempt.request
    if counted in request.counted_together:
        raise StoreUnavailable("The store and this process disagree about the counters of this request.")
    return request._replace(counted_together=request.counted_together | {counted})
