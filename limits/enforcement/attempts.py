"""One try at a check, and everything that it is decided by."""

from collections.abc import Callable
from dataclasses import dataclass

from limits.domain.client import ClientRecord
from limits.domain.ruleset import Ruleset
from limits.enforcement.held import ClientCache, Held, Layout
from limits.enforcement.requests import CheckRequest
from limits.store.decider import Question

Guard = Callable[[Ruleset], None]
"""Called with the ruleset before each attempt; raises where the caller may not ask."""


@dataclass(slots=True)
class Attempt:
    """One try at a check. ``known``: whether this process has met the client's record."""

    held: Held
    clients: ClientCache
    record: ClientRecord
    known: bool
    layout: Layout
    cost: int

    def question(self) -> Question:
        """What the store is asked."""
        return Question(
            client=self.record.key,
            token=self.held.token,
            revision=self.record.revision if self.known else None,
            policies=self.layout.counters,
            rules=self.layout.rules,
            cost=self.cost,
            parts=self.layout.parts,
        )


def prepare(held: Held, clients: ClientCache, request: CheckRequest, now: int) -> Attempt:
    """A try at a check by these rules, at about ``now`` (microseconds since 1970)."""
    met = clients.get(request.client)
    record = met or ClientRecord(request.client)
    endpoint = held.endpoint_of(request)
    layout = held.layout(record, endpoint.slug if endpoint else None, now)
    cost = request.cost or (endpoint.cost if endpoint else 1)
    return Attempt(held, clients, record, met is not None, layout, cost)


def prepare_whole(held: Held, clients: ClientCache, client: str, now: int) -> list[Attempt]:
    """Looks at every limit that counts this client by itself, whatever its status."""
    met = clients.get(client)
    record = met or ClientRecord(client)
    known = met is not None
    return [Attempt(held, clients, record, known, layout, 1) for layout in held.whole_layouts(record, now)]
