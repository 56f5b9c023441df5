"""Comparing two rules over recorded usage, client by client, chunk by chunk."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from limits.domain.descriptions import quantity
from limits.models import Client
from limits.publishing.clients import placed_clients
from limits.simulation import tables
from limits.simulation.figures import Figures, Sums, Totals, figures_of
from limits.simulation.lanes import Lanes, OnProgress
from limits.simulation.statements import Range, least_in_blocks, longer_blocks, sums_of
from limits.simulation.subjects import BoundedLimit, Comparison, Profile, Recorded
from limits.simulation.tables import SimulatedKey
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import ClientStatus

ROWS_PER_CHUNK = 1_000_000
"""Rows of usage that one statement reads, unless a single client has more."""
CLIENTS_PER_CHUNK = 5_000
_NUMBERS_PER_PROFILE = 2**40


class ClientFigures(NamedTuple):
    """The bounds of one client."""

    client: SimulatedKey
    figures: tuple[Figures, ...]


class Chunk(NamedTuple):
    """Clients of one profile, by their numbers: from the first to the last."""

    profile: Profile
    first: int
    last: int


@dataclass
class _Chunks:
    """Divides the clients of each profile into chunks, while they are found."""

    chunks: list[Chunk] = field(default_factory=list)
    _open: dict[Profile, list[int]] = field(default_factory=dict)
    """Profile → the first number, the next, and the rows and clients in the present chunk."""

    def add(self, profile: Profile, rows: int) -> int:
        """Returns the number of a client with so many rows."""
        if profile not in self._open:
            begin = len(self._open) * _NUMBERS_PER_PROFILE
            self._open[profile] = [begin, begin, 0, 0]
        state = self._open[profile]
        if state[2] + rows > ROWS_PER_CHUNK or state[3] >= CLIENTS_PER_CHUNK:
            self._close(profile)
        state[1] += 1
        state[2] += rows
        state[3] += 1
        return state[1] - 1

    def finished(self) -> list[Chunk]:
        """All chunks."""
        for profile in self._open:
            self._close(profile)
        return self.chunks

    def _close(self, profile: Profile) -> None:
        first, following, _, clients = self._open[profile]
        if clients:
            self.chunks.append(Chunk(profile, first, following - 1))
        self._open[profile][:] = [following, following, 0, 0]


@dataclass
class _Skipped:
    """Clients that are not simulated, and requests."""

    clients: int = 0
    requests: int = 0

    def add(self, requests: int) -> None:
        self.clients += 1
        self.requests += requests

    def in_words(self, sentence: str) -> str:
        """The sentence with the numbers in it."""
        return sentence.format(requests=quantity(self.requests, "request"), clients=quantity(self.clients, "client"))


class Run:
    """One comparison over the usage from ``begin`` until ``end`` (whole minutes). Iterate over :meth:`clients` to the
    end; then ``totals`` and ``problems`` are complete. ``lanes``: parts of the clients that are simulated concurrently,
    each in a thread and a connection of its own, if there is more than one."""

    def __init__(
        self, comparison: Comparison, begin: datetime, end: datetime, progress: OnProgress, *, lanes: int = 1
    ) -> None:
        self.comparison, self.begin, self.end, self.progress = comparison, begin, end, progress
        self.lanes = lanes
        self._lock = threading.Lock()
        self.totals = Totals()
        self.problems = list(comparison.left_out.sentences)
        self._skipped: dict[str, _Skipped] = defaultdict(_Skipped)
        self._minutes = Range(int(begin.timestamp()) // 60, int(end.timestamp()) // 60 - 1)

    def clients(self) -> Iterator[list[ClientFigures]]:
        """Yields the clients with requests that may be denied before or after, some at a time."""
        if self.lanes == 1:
            yield from self._lane(0, self.progress)
        else:
            yield from Lanes(self._lane, self.lanes, self.progress)
        self._name_the_skipped()

    def _lane(self, lane: int, progress: OnProgress) -> Iterator[list[ClientFigures]]:
        with tables.own_tables():
            tables.summarize(self.begin, self.end, lane, self.lanes)
            progress(20)
            chunks = self._chunks()
            progress(30)
            tables.sort_minutes(self.begin, self.end)
            progress(60)
            endpoints = tables.numbers_of_endpoints()
            for at, chunk in enumerate(chunks, 1):
                found = list(self._simulated(chunk, endpoints))
                if found:
                    yield found
                progress(60 + 40 * at // len(chunks))

    def _chunks(self) -> list[Chunk]:
        chunks = _Chunks()
        for recorded in tables.recorded_clients():
            with self._lock:
                relevant = list(self._relevant(recorded, chunks))
            tables.add_clients(relevant)
        return chunks.finished()

    def _relevant(self, recorded: Sequence[tuple[str, list[Recorded]]], chunks: _Chunks) -> Iterator[SimulatedKey]:
        """The clients that may be denied anything. Counts the requests of all that are simulated."""
        keys = [key for key, _ in recorded]
        records = {placed.record.key: placed.record for placed in placed_clients(keys)}
        parents = set(Client.objects.filter(key__in=keys, children__isnull=False).values_list("key", flat=True))
        for key, found in recorded:
            record = records.get(key) or ClientRecord(key)
            requests = sum(each.requests for each in found)
            if sentence := _skip(key, record, parents):
                self._skipped[sentence].add(requests)
                continue
            plan = self.comparison.plan_of(record)
            self.totals.count(plan, {each.endpoint: each.requests for each in found})
            self._note_costs(found)
            profile = self.comparison.profile_of(record, found).denying(found)
            if profile.limits:
                yield SimulatedKey(chunks.add(profile, sum(each.rows for each in found)), key, plan)

    def _note_costs(self, recorded: Iterable[Recorded]) -> None:
        if requests := sum(each.requests for each in recorded if not each.has_unit_cost):
            self._skipped[_COSTS].add(requests)

    def _simulated(self, chunk: Chunk, endpoints: Mapping[str, int]) -> Iterator[ClientFigures]:
        statement = sums_of(chunk.profile, self._minutes, endpoints)
        rows = [Sums(*row) for row in tables.rows_of(statement, {"first": chunk.first, "last": chunk.last})]
        in_blocks = _in_blocks(chunk.profile, rows, endpoints)
        names = {number: name for name, number in endpoints.items()}
        denied = {row.client for row in rows}
        keys, requests = tables.keys_of(denied), tables.requests_of(denied)
        for number, of_client in groupby(rows, key=lambda row: row.client):
            client, least = keys[number], in_blocks.get(number, {})
            figures = tuple(figures_of(chunk.profile, list(of_client), names, least, requests[number]))
            with self._lock:
                for each in figures:
                    self.totals.add(client.plan, each)
            yield ClientFigures(client, figures)

    def _name_the_skipped(self) -> None:
        self.problems += [skipped.in_words(sentence) for sentence, skipped in sorted(self._skipped.items())]


_COSTS = "{requests} of {clients} had other costs than 1: limits that count them are left out."
_STATUS = "{{requests}} of {{clients}} are left out: {status} now."
_TREE = "{requests} of {clients} are left out: clients that have a parent or are one."
_GRANTS = "{requests} of {clients} are left out: clients with grants."
_TOGETHER = "{requests} of “(other)” are left out: the callers were counted together."


def _skip(key: str, record: ClientRecord, parents: set[str]) -> str:
    """The sentence for a client that is not simulated; empty for one that is."""
    if not key:
        return _TOGETHER
    if record.is_below or key in parents:
        return _TREE
    if record.grants:
        return _GRANTS
    if record.status is not ClientStatus.ACTIVE:
        return _STATUS.format(status=record.status)
    return ""


def _in_blocks(
    profile: Profile, rows: Sequence[Sums], endpoints: Mapping[str, int]
) -> dict[int, dict[BoundedLimit, int]]:
    """Client → limit → the least that it denies in blocks of several minutes."""
    found: dict[int, dict[BoundedLimit, int]] = defaultdict(dict)
    for at, each in enumerate(profile.limits):
        denied = list({row.client for row in rows if row.most[at] > 0})
        for block in longer_blocks(each.limit) if denied else ():
            statement = least_in_blocks(block, None if each.endpoint is None else endpoints[each.endpoint])
            for client, least in tables.rows_of(statement, {"clients": denied}):
                found[client][each] = max(least, found[client].get(each, 0))
    return found
