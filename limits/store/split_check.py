"""One request whose parts lie on several masters of a Cluster: from the first part to its end."""

from collections.abc import Sequence
from typing import NamedTuple

from limits.domain.counting import Count
from limits.store.buckets import bucket_of
from limits.store.completer import Completer, Confirmation, Question, Refund
from limits.store.counting import Counting
from limits.store.deadline import Deadline
from limits.store.errors import AnswerLost, CountInDoubt, StoreError, StoreUnavailable
from limits.store.pending import Consumption, Ended, PendingEntries, Usage, entry_of, new_request


class Tools(NamedTuple):
    """What all requests of a process share."""

    pending: PendingEntries
    completer: Completer
    counting: Counting


class SplitCheck:
    """Knows which parts have consumed, or may have. Whatever way it ends, each of them is confirmed or
    refunded: here, by the completer, or, where this process ends too, by a resolver."""

    def __init__(self, tools: Tools, client: str) -> None:
        self._tools = tools
        self._client = client
        self._request = new_request()
        self._parts: list[Consumption] = []
        self.home = bucket_of(client)
        """The bucket where the request is committed."""

    def entry(self, part: int) -> bytes:
        """The entry of a part, by its number."""
        return entry_of(self._request, part)

    def begin(self, part: Consumption) -> None:
        """From here on this part may have consumed."""
        self._parts.append(part)

    def take_back(self) -> None:
        """The part that began last has certainly not consumed."""
        self._parts.pop()

    def refund(self, deadline: Deadline) -> None:
        """Refunds what was consumed, since the request is to be decided again. Raises
        :class:`StoreUnavailable`."""
        try:
            for part in self._parts:
                self._tools.pending.refund(part, deadline)
        except BaseException:
            self.refund_later()
            raise

    def refund_later(self) -> None:
        """Refunds what was consumed, and lets nobody wait for that."""
        self._tools.completer.add(map(Refund, self._parts))

    def conclude(self, *, admitted: bool, endpoint: str | None, counts: Sequence[Count], deadline: Deadline) -> bool:
        """As :meth:`~limits.store.decider.Unfinished.conclude`."""
        usage = Usage(self._client, endpoint, counts)
        return self._commit(usage, deadline) if admitted else self._deny(usage, deadline)

    def _commit(self, usage: Usage, deadline: Deadline) -> bool:
        home, *others = self._parts
        try:
            committed = self._tools.pending.commit(home, usage, deadline)
        except AnswerLost as error:
            self._tools.completer.add([Question(home, tuple(others))])
            raise CountInDoubt(error) from error
        except BaseException:
            self.refund_later()
            raise
        if not committed:
            self.refund_later()
            raise StoreUnavailable("The request was not committed in time, so it is refunded.")
        self._tools.completer.add([Confirmation(home, tuple(others))])
        return committed is Ended.COUNTED

    def _deny(self, usage: Usage, deadline: Deadline) -> bool:
        """Counts a denied request, and refunds the client's part in the same call."""
        home = self._parts[0] if self._parts else None
        self._tools.completer.add(map(Refund, self._parts[1:]))
        try:
            if home is not None:
                return self._tools.pending.refund(home, deadline, usage) is Ended.COUNTED
            self._tools.counting.count(self._client, usage.endpoint, usage.counts, deadline)
        except AnswerLost:
            # It is counted where the entry is still there; without one it may have been counted.
            self._refund_home_later(home, usage)
        except StoreError:
            self._refund_home_later(home, None)
            return False
        return True

    def _refund_home_later(self, home: Consumption | None, usage: Usage | None) -> None:
        if home is not None:
            self._tools.completer.add([Refund(home, usage)])
