"""Which master of a Cluster holds which key."""

import random
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from redis import exceptions
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from limits.forking import renewed_when_forked
from limits.store.addresses import Address, Location
from limits.store.deadline import Deadline
from limits.store.errors import StoreUnavailable, outages_named
from limits.store.wire import Wire, opened


@lru_cache(maxsize=4096)
def _slot_of_tag(tag: str) -> int:
    return int(key_slot(tag.encode()))


def slot_of(key: str) -> int:
    """The slot of a key, by the part between its first braces."""
    start = key.find("{") + 1
    end = key.find("}", start)
    return _slot_of_tag(key[start:end] if 0 < start < end else key)


NO_HOSTNAME = "?"
"""In place of a host: hostnames are announced, and this node has none."""

_NOBODY: Sequence[Address | None] = (None,) * REDIS_CLUSTER_HASH_SLOTS


@dataclass(frozen=True)
class View:
    """What one node says: ``ok`` where it can reach most masters, ``epoch`` of its configuration,
    the master of each slot, and all nodes."""

    ok: bool
    epoch: int
    masters: Sequence[Address | None]
    nodes: tuple[Address, ...]


class ClusterMap:
    """The map as this process knows it. Safe for threads.

    A node that is cut off from most masters may show what was; so the nodes are asked one after
    another until one says that all is well, or else the newest of their views counts.
    """

    def __init__(self, location: Location) -> None:
        self._location = location
        self._known = location.nodes
        self._take(_NOBODY)
        renewed_when_forked(self)

    def renew(self) -> None:
        self._reading = threading.Lock()
        # Not the common one, which a project may have seeded; a child that shared it would ask in the same order.
        self._random = random.Random()  # noqa: S311

    def master_of(self, key: str) -> Address | None:
        """The master that holds a key; None where none does, or the map was never read."""
        return self._by_slot[slot_of(key)]

    def move(self, slot: int, master: Address) -> None:
        """Takes over that a slot is elsewhere by now."""
        with self._reading:
            by_slot = list(self._by_slot)
            by_slot[slot] = master
            self._take(by_slot)

    def redirected(self, host: str, port: int, asked: Address) -> Address:
        """Where the answer of the node ``asked`` sends a command. Without a host it means a port of
        that node's host; with a question mark a node whose hostname is not known."""
        if host == NO_HOSTNAME:
            return next((node for node in self._known if node[1] == port), (asked[0], port))
        return host or asked[0], port

    def read(self, deadline: Deadline) -> None:
        """Asks the Cluster. Raises :class:`StoreUnavailable` where no node answers in time."""
        view = self._best_view(deadline)
        with self._reading:
            self._take(view.masters)
            self._known = tuple(dict.fromkeys((*view.nodes, *self._location.nodes)))

    def _take(self, by_slot: Sequence[Address | None]) -> None:
        self._by_slot = by_slot
        self.masters = tuple(sorted({master for master in by_slot if master is not None}))
        """The masters that hold slots; empty before the first reading."""

    def _best_view(self, deadline: Deadline) -> View:
        nodes = self._random.sample(self._known, len(self._known))
        views = []
        for asked, node in enumerate(nodes):
            try:
                view = self._ask(node, deadline.part(len(nodes) - asked))
            except (StoreUnavailable, exceptions.ResponseError):
                continue
            if view.ok:
                return view
            views.append(view)
        if not views:
            raise StoreUnavailable("No node of the Cluster answers.")
        return max(views, key=lambda view: view.epoch)

    def _ask(self, node: Address, deadline: Deadline) -> View:
        with outages_named(), opened(partial(self._location.connection, node), deadline) as wire:
            info = _info(wire, deadline)
            ranges = wire.ask(("CLUSTER", "SLOTS"), deadline)
        masters: list[Address | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        nodes: list[Address] = []
        for first, last, *servers in ranges:
            addresses = [_address(server, node) for server in servers]
            masters[first : last + 1] = [addresses[0]] * (last - first + 1)
            nodes += addresses
        return View(info["cluster_state"] == "ok", int(info["cluster_current_epoch"]), masters, tuple(nodes))


def _info(wire: Wire, deadline: Deadline) -> dict[str, str]:
    lines = wire.ask(("CLUSTER", "INFO"), deadline).decode().splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _address(server: Sequence[Any], asked: Address) -> Address:
    """Where a node is: ``[host, port, id]``, and from Redis 7 on its other names. A node that does not
    know its own address, or does not announce it, is reached at the host that was asked; one without
    a hostname at its IP address (https://redis.io/docs/latest/commands/cluster-slots/)."""
    host, port, *more = server
    name = host.decode() if host else ""
    if name == NO_HOSTNAME:
        names = iter(more[1] if len(more) > 1 else ())
        name = dict(zip(names, names, strict=True)).get(b"ip", b"").decode()
    return name or asked[0], int(port)
