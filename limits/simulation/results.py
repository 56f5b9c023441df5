"""Reading the results of a finished simulation: sums, clients, and who is hit that was not before."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet

from limits.models import SimulatedClient, Simulation

Row = tuple[str, ...]
COLUMNS = (
    *("client", "plan", "endpoint", "policy", "requests"),
    *("denied_before_least", "denied_before_most", "denied_after_least", "denied_after_most"),
)
ALL = "(all)"
"""Stands for all endpoints, or all policies, in exported rows."""


@dataclass(frozen=True, slots=True)
class Total:
    """Sums over some clients. Pairs are least and most: of denied requests, and of clients with denied requests."""

    name: str
    requests: int
    clients: int
    before: tuple[int, int]
    after: tuple[int, int]
    clients_before: tuple[int, int]
    clients_after: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Result:
    """The sums of everything, and by plan, endpoint and policy, each by name. Of a policy, only the clients count that
    it may deny something."""

    everything: Total
    plans: tuple[Total, ...]
    endpoints: tuple[Total, ...]
    policies: tuple[Total, ...]


def result_of(simulation: Simulation) -> Result | None:
    """The sums of a simulation; None unless it is done."""
    if simulation.state != Simulation.State.DONE:
        return None
    totals = simulation.totals
    groups = (
        tuple(_total(name, figures) for name, figures in totals[group].items())
        for group in ("plans", "endpoints", "policies")
    )
    return Result(_total("", totals["all"]), *groups)


def _total(name: str, figures: dict[str, int]) -> Total:
    def pair(of: str) -> tuple[int, int]:
        return figures[f"{of}_least"], figures[f"{of}_most"]

    numbers: dict[str, Any] = {of: pair(of) for of in ("before", "after", "clients_before", "clients_after")}
    return Total(name, figures["requests"], figures["clients"], **numbers)


def clients_of(simulation: Simulation) -> QuerySet[SimulatedClient]:
    """The clients of whose requests some may be denied, before or after, those with the most denied after first."""
    whole = simulation.clients.filter(endpoint=None, policy=None)
    return whole.order_by("-after_least", "-after_most", "client_key")


def newly_denied_clients(simulation: Simulation) -> QuerySet[SimulatedClient]:
    """The clients that certainly had no request denied before and may have some after, and those that perhaps had none
    before and certainly have some after. Those that are certainly hit come first."""
    newly = Q(before_most=0, after_most__gt=0) | Q(before_least=0, after_least__gt=0)
    return clients_of(simulation).filter(newly)


def exported_rows(simulation: Simulation, *, only_newly_denied: bool = False) -> Iterator[Row]:
    """Yields the columns' names and then the rows of all clients, as texts, read on demand."""
    yield COLUMNS
    rows = simulation.clients.order_by("client_key", "endpoint", "policy")
    if only_newly_denied:
        rows = rows.filter(client_key__in=newly_denied_clients(simulation).order_by().values("client_key"))
    names = ("client_key", "plan", "endpoint", "policy", "requests")
    figures = ("before_least", "before_most", "after_least", "after_most")
    for row in rows.values_list(*names, *figures).iterator(chunk_size=2_000):
        yield tuple(ALL if value is None else str(value) for value in row)
