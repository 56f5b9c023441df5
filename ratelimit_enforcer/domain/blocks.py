"""Blocks: clients, key prefixes and networks all of whose requests are denied, registered or not.

Blocks are part of the ruleset and compared in the process, so that no client is written when one begins, changes
or ends.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from ipaddress import ip_network
from typing import Any

from ratelimit_enforcer.domain.addresses import parse_address
from ratelimit_enforcer.domain.dates import FOREVER, end_in_words


@dataclass(frozen=True, slots=True)
class Block:
    """Denies all requests of the client with the key ``client``, of clients whose key begins with ``prefix``, or
    from addresses in ``network`` (in canonical form, such as ``203.0.113.0/24``). Exactly one of the three is given,
    the others are empty. ``ends_at``: in microseconds since 1970, excluded; None: no end."""

    client: str = ""
    prefix: str = ""
    network: str = ""
    ends_at: int | None = None
    reason: str = ""

    @property
    def until(self) -> int:
        """The end in microseconds since 1970; :data:`FOREVER` if there is none."""
        return FOREVER if self.ends_at is None else self.ends_at

    @property
    def subject(self) -> tuple[str, str, str]:
        """Client, prefix and network: what identifies the block."""
        return self.client, self.prefix, self.network

    def __str__(self) -> str:
        if self.client:
            return f"client {self.client}"
        return f"clients whose key begins with “{self.prefix}”" if self.prefix else f"addresses in {self.network}"


def described(block: Block) -> str:
    """“block of addresses in 203.0.113.0/24 until 24 Dec 2026, 00:00 UTC (reason: scraping)”."""
    return f"block of {block} {end_in_words(block.ends_at)} (reason: {block.reason})"


class Blocks:
    """All blocks of a ruleset, prepared for finding those of one check. Of several blocks with the same subject, the
    one that ends last counts."""

    def __init__(self, blocks: Iterable[Block]) -> None:
        self._clients: dict[str, Block] = {}
        self._prefixes: dict[str, Block] = {}
        self._networks: defaultdict[tuple[int, int], dict[int, Block]] = defaultdict(dict)
        for block in sorted(blocks, key=lambda each: each.until):
            if block.client:
                self._clients[block.client] = block
            elif block.prefix:
                self._prefixes[block.prefix] = block
            else:
                network = ip_network(block.network, strict=False)
                shift = network.max_prefixlen - network.prefixlen
                self._networks[network.version, shift][int(network.network_address) >> shift] = block
        self._prefix_lengths = tuple({len(prefix) for prefix in self._prefixes})

    def __bool__(self) -> bool:
        return bool(self._clients or self._prefixes or self._networks)

    @property
    def has_networks(self) -> bool:
        """Whether a check's address matters."""
        return bool(self._networks)

    def of(self, keys: Iterable[str], address: str = "") -> Block | None:
        """The block of one of these client keys or of this address, registered or not; None if there is none. Of
        several, the one that ends last; it may have ended. ``address``: empty if there is none."""
        found: list[Block] = []
        # Plain loops: with blocks this is part of every check.
        for key in keys:
            if block := self._clients.get(key):
                found.append(block)
            for length in self._prefix_lengths:
                if length <= len(key) and (block := self._prefixes.get(key[:length])):
                    found.append(block)
        if address and self._networks:
            found += self._of_address(address)
        return max(found, key=lambda block: block.until) if found else None

    def active(self, keys: Iterable[str], address: str, now: int) -> Block | None:
        """As :meth:`of`; None if the block has ended at ``now`` (microseconds since 1970)."""
        block = self.of(keys, address)
        return block if block and now < block.until else None

    def _of_address(self, address: str) -> Iterator[Block]:
        its_version, number = _number_of(address)
        for (version, shift), blocks in self._networks.items():
            if version == its_version and (block := blocks.get(number >> shift)):
                yield block


@lru_cache(maxsize=4_096)
def _number_of(address: str) -> tuple[int, int]:
    """The version of an address, and the address as a number; version 0 for any other text."""
    parsed = parse_address(address)
    return (0, 0) if parsed is None else (parsed.version, int(parsed))


def block_to_json(block: Block) -> dict[str, Any]:
    """A block as the ruleset contains it, without the fields that are empty."""
    return {name: value for name, value in asdict(block).items() if value not in ("", None)}


def block_from_json(item: dict[str, Any]) -> Block:
    """Parses the object that :func:`block_to_json` returned. Raises ``TypeError`` for an unknown field, and
    ``ValueError`` for a text that is no network."""
    block = Block(**item)
    if block.network:
        ip_network(block.network)
    return block
