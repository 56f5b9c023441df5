"""Checks as one script call."""

from collections.abc import Callable, Sequence
from typing import Any

from ratelimit_enforcer.domain.attributes import values_digest
from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.answers import Decided, Obstacle, StoreAnswer, read_answer, read_decided
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.errors import AnswerLost, CountInDoubt
from ratelimit_enforcer.store.grouping import Group
from ratelimit_enforcer.store.keys import Keys, client_field, grants_of, places_of, shard_of
from ratelimit_enforcer.store.requests import (
    NO_NAME,
    OTHER,
    Argument,
    CounterRef,
    StoreRequest,
    Verb,
    ancestor_arguments,
    settleable_arguments,
    shard_key_of,
)

COUNTS_PER_SHARD = 128
"""New usage counts that a shard accepts per minute; beyond that, unregistered clients are counted together."""

MAX_BATCH = 100
"""Requests that one script call decides. Redis serves no other client during that time: about 2 ms."""

_UNKNOWN_REVISION = ""
"""Sent in place of a revision: this process does not know whether the client is registered."""

_SAME_RULES = ""
"""Sent in place of a request's rules: those of the request before it."""


class Decider:
    """Sends requests to the store, which decides them."""

    calls_at_once = 1
    """How many threads should send requests at the same time, if each sends all that wait."""

    def __init__(self, connections: StoreConnections, keys: Keys, counts_per_shard: int = COUNTS_PER_SHARD) -> None:
        self._connections = connections
        self._keys = keys
        self._counts_per_shard = counts_per_shard
        self._script = scripts.load("decide")
        self._tree_script = scripts.load("decide", scripts.TREE)
        self._reserve_script = scripts.load("decide", scripts.RESERVE)
        self._together_script = scripts.load("together", scripts.TREE)
        self._granted_script = scripts.load("decide", scripts.TREE, scripts.GRANTS)
        self._granted_reserve_script = scripts.load("decide", scripts.RESERVE, scripts.GRANTS)
        self._granted_together_script = scripts.load("together", scripts.TREE, scripts.GRANTS)

    def batch_size(self, clients: Sequence[str], root_of: Callable[[str], str]) -> int:
        """The number of these clients' requests, from the first one on, that a single call can decide. ``root_of``:
        client → the key whose shard decides."""
        return min(len(clients), MAX_BATCH)

    def decide(self, request: StoreRequest, deadline: Deadline, verb: Verb = Verb.COUNT) -> StoreAnswer:
        """Decides in one round trip. Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`, and
        :class:`~ratelimit_enforcer.store.errors.CountInDoubt` if the request may have been counted."""
        shard = shard_of(shard_key_of(request))
        keys, client_arguments = self._keys_and_arguments(request, shard)
        script, arguments = self._script, (*client_arguments, request.rules)
        if request.settleable is not None:
            script = self._granted_reserve_script if request.has_grants else self._reserve_script
            arguments = (*arguments, *settleable_arguments(request, keys))
            keys += self._settleable_keys(request, shard, keys)
        elif request.ancestors or request.has_grants:
            script = self._granted_script if request.has_grants else self._tree_script
            arguments = (*arguments, *ancestor_arguments(request))
        (reply,) = self._run(script, request.token, verb, 1, keys, arguments, deadline)
        return read_answer(reply, shard)

    def decide_in_order(
        self, requests: Sequence[StoreRequest], deadline: Deadline, verb: Verb = Verb.COUNT
    ) -> list[StoreAnswer]:
        """Decides several requests with the same rules in one round trip, one after another.

        If an answer is not :class:`Decided`, it is the last one, and the requests after it were not
        sent: there are then fewer answers than requests. Raises the same exceptions as :meth:`decide`.
        """
        shards = [shard_of(shard_key_of(request)) for request in requests]
        keys: list[str] = []
        arguments: list[Argument] = []
        before = None
        script = self._script_for(requests)
        settles = any(request.settleable for request in requests)
        for request, shard in zip(requests, shards, strict=True):
            request_keys, client_arguments = self._keys_and_arguments(request, shard)
            arguments += client_arguments
            arguments.append(_SAME_RULES if request.rules is before else request.rules)
            before = request.rules
            if settles:
                arguments += settleable_arguments(request, request_keys)
                request_keys += self._settleable_keys(request, shard, request_keys)
            elif script is not self._script:
                arguments += ancestor_arguments(request)
            keys += request_keys
        replies = self._run(script, requests[0].token, verb, len(requests), keys, arguments, deadline)
        return list(map(read_answer, replies, shards))

    def decide_together(
        self, requests: Sequence[StoreRequest], deadline: Deadline, verb: Verb = Verb.COUNT
    ) -> list[Decided] | Obstacle:
        """Decides several requests with the same rules in one round trip: all consume, or none does. The answers are
        about each request by itself, at its own cost; one of cost 0 consumes nothing. No request takes places, or may
        be settled. Raises the same exceptions as :meth:`decide`."""
        shards = [shard_of(shard_key_of(request)) for request in requests]
        keys: list[str] = []
        arguments: list[Argument] = []
        counters: list[list[str]] = []
        for request, shard in zip(requests, shards, strict=True):
            request_keys, client_arguments = self._keys_and_arguments(request, shard)
            arguments += (*client_arguments, request.rules, *ancestor_arguments(request))
            first = len(self._keys.of_request[shard])
            counters.append(request_keys[first : first + len(request.policies)])
            keys += request_keys
        has_grants = any(request.has_grants for request in requests)
        script = self._granted_together_script if has_grants else self._together_script
        replies = self._run(script, requests[0].token, verb, len(requests), keys, arguments, deadline)
        if isinstance(replies[0], int):
            return Obstacle(replies[0], read_answer(replies[1], shards[replies[0]]))
        answers = [read_decided(reply) for reply in replies]
        group = Group(requests, counters)
        return group.consumed(answers) if verb is Verb.COUNT and group.admits(answers) else answers

    def _script_for(self, requests: Sequence[StoreRequest]) -> scripts.Script:
        has_grants = any(request.has_grants for request in requests)
        if any(request.settleable for request in requests):
            return self._granted_reserve_script if has_grants else self._reserve_script
        if has_grants:
            return self._granted_script
        return self._tree_script if any(request.ancestors for request in requests) else self._script

    def _keys_and_arguments(self, request: StoreRequest, shard: int) -> tuple[list[str], tuple[Argument, ...]]:
        """The keys and arguments of one request, without its rules (``scripts/decide.lua``)."""
        keys = [*self._keys.of_request[shard], *self._counters(request, shard)]
        revision = _UNKNOWN_REVISION if request.revision is None else f"{request.revision} "
        return keys, (client_field(request.client), revision, request.cost)

    def _settleable_keys(self, request: StoreRequest, shard: int, keys: Sequence[str]) -> list[str]:
        """The additional keys of a request whose cost may be settled: its record, the unsettled reservations of the
        client and of the shard, and the places of its concurrency limits. ``keys``: those before."""
        name, part = (request.settleable.name, request.settleable.part) if request.settleable else (NO_NAME, 0)
        counters = keys[len(self._keys.of_request[shard]) :]
        places = [places_of(key) for key, policy in zip(counters, request.policies, strict=False) if policy.has_places]
        return [
            self._keys.reservation(shard, name, part),
            self._keys.open_reservations_of(shard, request.client),
            self._keys.open_reservations[shard],
            *places,
        ]

    def _run(
        self,
        script: scripts.Script,
        token: str,
        verb: Verb,
        count: int,
        keys: list[str],
        arguments: Sequence[Argument],
        deadline: Deadline,
    ) -> list[Any]:
        head = token, verb.value, self._counts_per_shard
        try:
            replies: list[Any] = script.run(self._connections, keys, (*head, *arguments), deadline)
        except AnswerLost as error:
            if verb is Verb.COUNT:
                raise CountInDoubt(error, count) from error
            raise
        return replies

    def _counters(self, request: StoreRequest, shard: int) -> list[str]:
        """The keys of the counters, in the order of the policies; then for each policy with attributes the key that
        counts new values, or the counter again if this request is counted under ``(other)``, and for each policy with
        grants the key with what is consumed of them."""
        owners, separate = request.owners or (request.client,), []
        counters = []
        for counter in request.policies:
            if counter.attributes:
                key, values = self._attribute_keys(request, counter, shard, owners)
                counters.append(key)
                separate.append(values)
            elif counter.shared:
                counters.append(self._keys.shared_counter(counter.policy))
            else:
                key = self._keys.counter(shard, counter.policy, owners[counter.level])
                counters.append(key)
                if counter.has_grants:
                    separate.append(grants_of(key))
        return counters + separate if separate else counters

    def _counter_keys(self, request: StoreRequest, shard: int) -> list[str]:
        """The keys of the counters alone."""
        return self._counters(request, shard)[: len(request.policies)]

    def _attribute_keys(
        self, request: StoreRequest, counter: CounterRef, shard: int, owners: Sequence[str]
    ) -> tuple[str, str]:
        """All counters of a policy that counts no client separately are in one shard, as those of global policies
        are: so its values are counted together, and the last ones share one counter."""
        policy, client = counter.policy, "" if counter.shared else owners[counter.level]
        if counter.shared:
            shard = shard_of(policy)
        if (policy, counter.level) in request.counted_together:
            other = self._keys.attribute_counter(shard, policy, OTHER, client)
            return other, other
        digest = values_digest(counter.attributes, request.attributes)
        own = self._keys.attribute_counter(shard, policy, digest, client)
        return own, self._keys.attribute_values(shard, policy, client)
