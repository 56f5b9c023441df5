"""Checks on a Cluster in which a global policy is on another master than the client's counters.

The client's part is consumed first, then each global policy; each part leaves a pending entry. The request
is admitted when the first entry is committed, in the call that counts the request. If a part denies, or
does not answer, the cost that the others consumed is refunded. So no limit ever admits more than its
quota. Until the refund, other requests may find that cost consumed: for milliseconds, or for some seconds
if a process or a master is lost in between (``store/completer.py``).
"""

from collections.abc import Callable, Sequence
from itertools import takewhile
from typing import NamedTuple

from ratelimit_enforcer.domain.readings import Reading, readings_by_policy
from ratelimit_enforcer.domain.usage import Count
from ratelimit_enforcer.store import scripts
from ratelimit_enforcer.store.answers import Decided, Obstacle, StoreAnswer, ValuesExhausted, read_answer
from ratelimit_enforcer.store.completer import Completer, Confirmation, InDoubt, Refund
from ratelimit_enforcer.store.connections.server import StoreConnections
from ratelimit_enforcer.store.deadline import Deadline
from ratelimit_enforcer.store.decider import Decider
from ratelimit_enforcer.store.errors import (
    AnswerLost,
    CountInDoubt,
    ReservedMeanwhile,
    StoreError,
    StoreUnavailable,
    TooManyReservations,
)
from ratelimit_enforcer.store.grouping import Group
from ratelimit_enforcer.store.keys import Keys, places_of, shard_of
from ratelimit_enforcer.store.pending import (
    CONFIRM_WITHIN,
    Consumption,
    EndResult,
    PendingEntries,
    Usage,
    entry_of,
    new_request_id,
    pack_new,
)
from ratelimit_enforcer.store.requests import (
    NO_NAME,
    Part,
    Settleable,
    SettleableKind,
    StoreRequest,
    Verb,
    settleable_arguments,
    shard_key_of,
)
from ratelimit_enforcer.store.usage import UsageWriter

REFUNDABLE_US = 1_800_000_000
"""For this time a part that was not committed can be refunded exactly, in microseconds: a resolver may find it late."""


class Services(NamedTuple):
    """Objects shared by all requests of a process."""

    pending: PendingEntries
    completer: Completer
    usage: UsageWriter


class SplitCheck:
    """One request in parts. Records which parts have consumed, or may have. However it ends, each of them is
    confirmed or refunded: here, by the completer, or, if this process ends, by a resolver."""

    def __init__(self, services: Services, client: str, home: int) -> None:
        """``home``: the client's shard, or that of the client's root."""
        self._services = services
        self._client = client
        self.request_id = new_request_id()
        self._parts: list[Consumption] = []
        self.home = home
        """The shard where the request is committed."""

    def entry(self, part: int) -> bytes:
        """The entry of the part with this number."""
        return entry_of(self.request_id, part)

    def add(self, part: Consumption) -> None:
        """Records that this part may consume from now on."""
        self._parts.append(part)

    def remove_last(self) -> None:
        """Records that the part added last has certainly not consumed."""
        self._parts.pop()

    def refund(self, deadline: Deadline) -> None:
        """Refunds all parts, because the request will be decided again. Raises :class:`StoreUnavailable`."""
        try:
            for part in self._parts:
                self._services.pending.refund(part, deadline)
        except BaseException:
            self.refund_later()
            raise

    def refund_later(self) -> None:
        """Refunds all parts in the background, so that no caller waits."""
        self._services.completer.add(map(Refund, self._parts))

    def conclude(self, *, admitted: bool, endpoint: str | None, counts: Sequence[Count], deadline: Deadline) -> bool:
        """See :meth:`~ratelimit_enforcer.store.answers.Uncommitted.conclude`."""
        usage = Usage(self._client, endpoint, counts)
        return self._commit(usage, deadline) if admitted else self._deny(usage, deadline)

    def _commit(self, usage: Usage, deadline: Deadline) -> bool:
        home, *others = self._parts
        try:
            committed = self._services.pending.commit(home, usage, deadline)
        except AnswerLost as error:
            self._services.completer.add([InDoubt(home, tuple(others))])
            raise CountInDoubt(error) from error
        except BaseException:
            self.refund_later()
            raise
        if committed is EndResult.TOO_MANY:
            raise TooManyReservations
        if committed is EndResult.RESERVED_MEANWHILE:
            self.refund_later()
            raise ReservedMeanwhile
        if not committed:
            self.refund_later()
            raise StoreUnavailable("The request was not committed in time and is refunded.")
        self._services.completer.add([Confirmation(home, tuple(others))])
        return committed is EndResult.COUNTED

    def _deny(self, usage: Usage, deadline: Deadline) -> bool:
        """Counts a denied request, and refunds the client's part in the same call."""
        home = self._parts[0] if self._parts else None
        self._services.completer.add(map(Refund, self._parts[1:]))
        try:
            if home is not None:
                return self._services.pending.refund(home, deadline, usage) is EndResult.COUNTED
            self._services.usage.add(self._client, usage.endpoint, usage.counts, deadline)
        except AnswerLost:
            # The retry counts the request if the entry still exists; without one, it may have been counted.
            self._refund_home_later(home, usage)
        except StoreError:
            self._refund_home_later(home, None)
            return False
        return True

    def _refund_home_later(self, home: Consumption | None, usage: Usage | None) -> None:
        if home is not None:
            self._services.completer.add([Refund(home, usage)])


class SplitDecider(Decider):
    """Sends requests to a Cluster, also those with global policies."""

    calls_at_once = 16

    def __init__(self, connections: StoreConnections, keys: Keys, counts_per_shard: int) -> None:
        super().__init__(connections, keys, counts_per_shard)
        self._consume_script = scripts.load("decide", scripts.CONSUME)
        self._granted_consume_script = scripts.load("decide", scripts.CONSUME, scripts.GRANTS)
        pending = PendingEntries(connections, keys, counts_per_shard)
        self._completer = Completer(pending)
        self._services = Services(pending, self._completer, UsageWriter(connections, keys, counts_per_shard))

    def batch_size(self, clients: Sequence[str], root_of: Callable[[str], str]) -> int:
        """One call reaches one slot: the requests up to the first whose client is in another shard."""
        batch = clients[: super().batch_size(clients, root_of)]
        return _leading([shard_of(root_of(client)) for client in batch])

    def decide(self, request: StoreRequest, deadline: Deadline, verb: Verb = Verb.COUNT) -> StoreAnswer:
        """See :meth:`Decider.decide`. A request with global policies takes one round trip for its client and
        one for each global policy; the caller must conclude it."""
        if not request.parts:
            return super().decide(request, deadline, verb)
        if verb is Verb.COUNT:
            return self._consume_parts(request, deadline)
        return self._decide_parts(request, None, deadline)

    def decide_in_order(
        self, requests: Sequence[StoreRequest], deadline: Deadline, verb: Verb = Verb.COUNT
    ) -> list[StoreAnswer]:
        """See :meth:`Decider.decide_in_order`. Requests with global policies are decided one per call, because
        each must be concluded before the next one is sent; and a call reaches one shard. There may then be fewer
        answers than requests."""
        batch = list(takewhile(lambda request: not request.parts, requests))
        if batch:
            batch = batch[: _leading([shard_of(shard_key_of(request)) for request in batch])]
            return super().decide_in_order(batch, deadline, verb)
        return [self.decide(requests[0], deadline, verb)]

    def decide_together(
        self, requests: Sequence[StoreRequest], deadline: Deadline, verb: Verb = Verb.COUNT
    ) -> list[Decided] | Obstacle:
        """See :meth:`Decider.decide_together`. If not all counters are in one slot, every request is looked at first,
        and then consumes in parts; the caller must conclude the first answer, and count what is not counted."""
        shards = [shard_of(shard_key_of(request)) for request in requests]
        if _leading(shards) == len(shards) and not any(request.parts for request in requests):
            return super().decide_together(requests, deadline, verb)
        keys = [self._counter_keys(request, shard) for request, shard in zip(requests, shards, strict=True)]
        group = Group(requests, keys)
        while True:
            answers = self._look_at(requests, deadline)
            if isinstance(answers, Obstacle) or verb is Verb.PEEK:
                return answers
            if not group.admits(answers):
                return [answer._replace(counted=False) for answer in answers]
            consumed = self._consume_group(group, answers, deadline)
            if consumed is not None:
                return consumed

    def _look_at(self, requests: Sequence[StoreRequest], deadline: Deadline) -> list[Decided] | Obstacle:
        answers = []
        for position, request in enumerate(requests):
            answer = self.decide(_at_least_one(request), deadline, Verb.PEEK)
            if not isinstance(answer, Decided):
                return Obstacle(position, answer)
            answers.append(answer)
        return answers

    def _consume_group(
        self, group: Group, answers: Sequence[Decided], deadline: Deadline
    ) -> list[Decided] | Obstacle | None:
        """Consumes what the requests of an admitted group consume. None: other requests came in between, so that a
        limit does not admit it any more, and all is refunded."""
        first = group.requests[0]
        check = SplitCheck(self._services, first.client, shard_of(shard_key_of(first)))
        rows = group.rows(answers)
        try:
            for index, (number, part) in enumerate(group.parts()):
                request = _request_for_part(_at_least_one(group.requests[number]), part, index)
                answer = self._consume(request, check, index, deadline)
                if not isinstance(answer, Decided):
                    check.refund(deadline)
                    return Obstacle(number, _about_request(answer, part))
                if not answer.admitted:
                    check.refund(deadline)
                    return None
                for at, row in zip(part.positions, readings_by_policy(answer.readings, part.sizes), strict=True):
                    rows[number][at] = row
        except BaseException:
            check.refund_later()
            raise
        return _consumed_in_parts(group, answers, rows, check)

    def _consume_parts(self, request: StoreRequest, deadline: Deadline) -> StoreAnswer:
        if request.settleable is not None and request.settleable.at_least is not None:
            return self._consume_available(request, request.settleable.at_least, deadline)
        return self._consume_cost(request, deadline)[1]

    def _consume_available(self, request: StoreRequest, at_least: int, deadline: Deadline) -> StoreAnswer:
        """Asks each part what it admits, and consumes the least of that; again if another request came in between."""
        while True:
            available = self._decide_parts(request, None, deadline)
            if not isinstance(available, Decided):
                return available
            exact = _at_exactly(request, at_least if available.cost is None else available.cost)
            check, answer = self._consume_cost(exact, deadline)
            if not isinstance(answer, Decided) or answer.admitted or exact.cost == at_least:
                return answer
            check.refund(deadline)

    def _consume_cost(self, request: StoreRequest, deadline: Deadline) -> tuple[SplitCheck, StoreAnswer]:
        """A decision must be concluded, or the check refunded."""
        check = SplitCheck(self._services, request.client, shard_of(shard_key_of(request)))
        try:
            answer = self._decide_parts(request, check, deadline)
        except BaseException:
            check.refund_later()
            raise
        if isinstance(answer, Decided):
            return check, answer._replace(uncommitted=check)
        check.refund(deadline)
        return check, answer

    def _decide_parts(self, request: StoreRequest, check: SplitCheck | None, deadline: Deadline) -> StoreAnswer:
        """Decides one part after another. With a ``check``, the parts are consumed as long as all admit. The client's
        part of a charge is the last: its record names the others."""
        answers: dict[int, Decided] = {}
        is_charge = request.settleable is not None and request.settleable.kind is SettleableKind.CHARGE
        numbers = range(len(request.parts))
        for number in reversed(numbers) if is_charge else numbers:
            part = request.parts[number]
            admitted = all(answer.admitted for answer in answers.values())
            part_request = _request_for_part(request, part, number)
            if check is not None and admitted:
                answer = self._consume(part_request, check, number, deadline)
            else:
                answer = super().decide(part_request, deadline, Verb.PEEK)
            if not isinstance(answer, Decided):
                return _about_request(answer, part)
            answers[number] = answer
        return _combined(request, [answers[number] for number in numbers])

    def _consume(self, request: StoreRequest, check: SplitCheck, number: int, deadline: Deadline) -> StoreAnswer:
        """Consumes one part, and records in the check whether it did, or may have."""
        shard = shard_of(shard_key_of(request))
        keys, client_arguments = self._keys_and_arguments(request, shard)
        first = len(self._keys.of_request[shard])
        counters = tuple(keys[first : first + len(request.policies)])
        others = keys[first + len(request.policies) :]
        settleable = request.settleable or Settleable(SettleableKind.PART, NO_NAME, REFUNDABLE_US)
        request = request._replace(settleable=settleable._replace(request_id=check.request_id))
        keys_of_counters = (*counters, *map(places_of, counters), *others)
        consumption = Consumption(shard, check.entry(number), keys_of_counters, settleable.name)
        timeout = deadline.remaining() + (CONFIRM_WITHIN if number else 0)
        head = (
            request.token,
            Verb.CONSUME.value,
            pack_new(consumption.entry, timeout, check.home, self._counts_per_shard),
        )
        keys += self._keys.pending[shard]
        arguments = (*head, *client_arguments, request.rules, *settleable_arguments(request, keys))
        keys += self._settleable_keys(request, shard, keys)
        check.add(consumption)
        try:
            script = self._granted_consume_script if request.has_grants else self._consume_script
            reply, *overdue = script.run(self._connections, keys, arguments, deadline)
        except StoreError as error:
            if not isinstance(error, AnswerLost):
                check.remove_last()
            raise
        answer = read_answer(reply, shard)
        if not (isinstance(answer, Decided) and answer.admitted):
            check.remove_last()
        if overdue == [1]:
            self._completer.resolve(shard)
        return answer


def _about_request(answer: StoreAnswer, part: Part) -> StoreAnswer:
    """An answer about one part as one about the request."""
    return ValuesExhausted(part.positions[answer.position]) if isinstance(answer, ValuesExhausted) else answer


def _at_least_one(request: StoreRequest) -> StoreRequest:
    return request if request.cost else request._replace(cost=1)


def _consumed_in_parts(
    group: Group, answers: Sequence[Decided], rows: Sequence[Sequence[Sequence[Reading]]], check: SplitCheck
) -> list[Decided]:
    """The answers with these readings. The first counts its client when it is concluded."""
    read = [
        answer._replace(readings=[reading for row in of_request for reading in row], counted=False)
        for answer, of_request in zip(answers, rows, strict=True)
    ]
    first, *others = group.consumed(read)
    return [first._replace(uncommitted=check, counted=True), *others]


def _leading(shards: Sequence[int]) -> int:
    """The number of shards up to the first that differs from the first one."""
    return next((at for at, shard in enumerate(shards) if shard != shards[0]), len(shards))


def _request_for_part(request: StoreRequest, part: Part, number: int) -> StoreRequest:
    """The request for one part. The shard of a global policy has no record of the client."""
    policies, rules = part.counters, part.rules
    settleable = _settleable_of_part(request, number)
    if policies and policies[0].shared:
        slug = policies[0].policy
        return request._replace(
            client="",
            shard_key=slug,
            revision=0,
            policies=policies,
            rules=rules,
            ancestors=(),
            owners=(),
            settleable=settleable,
        )
    return request._replace(policies=policies, rules=rules, settleable=settleable)


def _settleable_of_part(request: StoreRequest, number: int) -> Settleable | None:
    """The first part is in the client's shard; its record names the shards of the others."""
    settleable = request.settleable
    if settleable is None:
        return None
    if number == 0:
        shards = tuple(_shard_of(part) for part in request.parts[1:])
        return settleable._replace(request_id=settleable.request_id or new_request_id(), shards=shards)
    if settleable.kind is SettleableKind.CHARGE:
        return settleable._replace(kind=SettleableKind.CHARGE_PART, part=number)
    # The client's part decides whether a cost is refunded, which may be done late.
    ttl = settleable.ttl + REFUNDABLE_US
    return settleable._replace(kind=SettleableKind.RESERVATION_PART, part=number, ttl=ttl)


def _shard_of(part: Part) -> int:
    """The shard of a part after the client's: that of its global policy."""
    return shard_of(part.counters[0].policy)


def _at_exactly(request: StoreRequest, cost: int) -> StoreRequest:
    """The request at this cost, and no other."""
    settleable = request.settleable and request.settleable._replace(at_least=None)
    return request._replace(cost=cost, settleable=settleable)


def _combined(request: StoreRequest, answers: Sequence[Decided]) -> Decided:
    rows: dict[int, Sequence[Reading]] = {}
    for part, answer in zip(request.parts, answers, strict=True):
        rows.update(zip(part.positions, readings_by_policy(answer.readings, part.sizes), strict=True))
    admitted, settleable = all(answer.admitted for answer in answers), request.settleable
    costs = [answer.cost for answer in answers if answer.cost is not None]
    expires_at = answers[0].expires_at
    if settleable and settleable.kind is not SettleableKind.CHARGE:
        expires_at = answers[0].now + settleable.ttl if admitted else None
    return Decided(
        admitted=admitted,
        complete=all(answer.complete for answer in answers),
        now=answers[0].now,
        readings=[reading for position in sorted(rows) for reading in rows[position]],
        cost=min(costs) if costs else request.cost,
        expires_at=expires_at,
    )
