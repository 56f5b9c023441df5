"""Defines every key of the platform in Redis.

====================================  ======================================================
``<ns>:{rules}:pointer``              the version token of the ruleset in force
``<ns>:{rules}:ruleset:<token>``      the bytes of that ruleset
``<ns>:processes``                    hash: process → time of its last heartbeat
``<ns>:probe``, ``<ns>:{<tag>}:probe``  written to find out whether the store is available again
``<ns>:rate:<project>:<cache key>``   list: when a throttle class with a rate admitted requests
``<ns>:{<tag>}:bucket``               hash: ``token``, ``complete``, ``loading``, ``c:<client>``
``<ns>:{<tag>}:n:<policy>:<client>``  one client's counter for one policy
``<ns>:{<tag>}:g:<policy>``           the counter of a policy that counts all clients together
``<ns>:{<tag>}:a:<policy>:<digest>:<client>``  the counter of some values of attributes; client empty: for all
``<ns>:{<tag>}:v:<policy>:<client>``  the number of new values of these attributes in this window
``<ns>:{<tag>}:grants:<client>``      hash: units consumed and returned of a client's grants
``<ns>:{<tag>}:usage``                hash: usage counts for the drain
``<ns>:{<tag>}:drain``                the same, being copied to the database; ``id`` of the drain
``<ns>:{<tag>}:damaged``              damaged data found in place of usage counts, for a week
``<ns>:damaged``                      hash: kind → number of damaged entries found; ``last``
``<ns>:{<tag>}:counted``              number of new usage counts in the shard in this minute
``<ns>:{<tag>}:pending``              hash: costs consumed by parts of requests not committed yet
``<ns>:{<tag>}:due``                  sorted set: when each of these entries is overdue
``<ns>:{<tag>}:committed``            sorted set: recently committed requests, and when
``<ns>:{<tag>}:r:<id>``               the record of a reservation, or of its settlement; with the number of a part
``<ns>:{<tag>}:o:<client>``           sorted set: unsettled reservations of a client, and until when each can be
                                      settled
``<ns>:{<tag>}:p:<counter>``          sorted set: places of a counter's concurrency limit, and until when they last
``<ns>:{<tag>}:unfinished``           sorted set: settlements whose other parts are not settled yet, on a Cluster
``<ns>:{<tag>}:open``                 sorted set: unsettled reservations, and when each expires
====================================  ======================================================

Pointer and ruleset share a slot: on a Cluster, either both are available or neither is. The client's key
comes last, because it may contain any character; slugs contain no colon, and the name of a project is
percent-encoded.

Clients are spread over 256 shards, each with a Redis Cluster hash tag. All keys of one client have the tag
of its shard, so they are in one slot, and one script call reaches all of them. Tag number i is a short
string whose slot (CRC16 of the tag, modulo 16,384; see the Redis Cluster specification) is 64 i + 32:
whatever the number of masters, each gets an even share of the shards. ``tests/store/test_shards.py``
recomputes the slots.
"""

import zlib
from dataclasses import dataclass
from urllib.parse import quote

from ratelimit_enforcer.per_process import cached_property

SHARDS = 256

_TAGS = """
    021 4zp aio 0ov 21g csv cj9 z1 1d8 5hq 556 90g 3gn baw 7rh f0y
    06q a0h id7 0k6 o6o 69n cny gb0 lc0 5l1 51v 1y7 wkn 7og b8p 3za
    4z4 02u 0o2 00bb 6yb o2k zu kce 5h5 9md d3k 55r 7kc fmz ft5 j5l
    i94 065 0kr amk c3z gz gbt 6dm 5lu djl 1ys 512 bes 3cj fpu 72d
    emk 4kr 465 83d 6t cbt 65c k3 112 5ys hct 1lu 32d bpu 7cj fes
    8jc 4o2 42u 0z4 24 6ld k2k os 15r qus hg4 1h5 n5l bt5 bmz 3kc
    4k6 8ng e0h 46q cb0 60 kw k6o 5y7 11v 1l1 hc0 7za f8p 3og skn
    4ov eio 0zp 421 cfp 2p o7 61g qu7 156 1hq 5d8 b0y 3rh faw 7gn
    bn 6x6 6ay 2m0 e9q a58 iag 0nf ne6 7j7 77p f1i 9l0 5ia h7n 18o
    247 rt6 6e9 2ip 07a a1x 4fo min fhn 7nw 730 nx9 1ah hni 50f 957
    6xr 203 2mt ckm aqt 03e edr 4bk 7js flj n85 774 hjm 1el 913 54b
    c2j fj 2i4 kf5 au4 8z5 0jb iec 7n3 3bz f5m 73t 5me 9h4 1xc h3j
    7d 6i4 64s g2j 8o3 4jb i4m 82t 33t b5m 7bz 3n3 l3j 5xc hbd 1me
    gkm 6mt 603 nc 0bk adr 43e 864 374 j85 blj 3js 14b q0k 5el dcu
    6ip 2e9 jg 647 iin 0fo 820 47a jx9 330 3nw bhn q4o 10f 9d9 5ah
    6m0 wh 2x6 60w 4nf 8k7 86p a9q b1i 37p 3j7 je6 58o 9y6 1ia qmh
"""

TAGS: tuple[str, ...] = tuple(_TAGS.split())


def shard_of(client: str) -> int:
    """The shard of a client's key. It must never change, because counters and records are stored there."""
    return zlib.crc32(client.encode()) % SHARDS


TOKEN_FIELD = "token"
TOKEN_ENCODING = "latin-1"
"""A token is ASCII. Any other value is sent back as the same bytes, to be replaced."""
COMPLETE_FIELD = "complete"
LOADING_FIELD = "loading"


@dataclass(frozen=True)
class Keys:
    """The keys of one platform. Two platforms on one Redis need different namespaces."""

    namespace: str

    @property
    def pointer(self) -> str:
        """The version token of the ruleset in force."""
        return f"{self.namespace}:{{rules}}:pointer"

    def ruleset(self, token: str) -> str:
        """The bytes of the ruleset of this version token."""
        return f"{self.namespace}:{{rules}}:ruleset:{token}"

    @property
    def processes(self) -> str:
        """The heartbeats of all processes."""
        return f"{self.namespace}:processes"

    @property
    def probe(self) -> str:
        """Written to find out whether a single server is available again."""
        return f"{self.namespace}:probe"

    def rate_log(self, project: str, cache_key: str) -> str:
        """Two projects on one Redis need different names, even if their caches have different prefixes."""
        return f"{self.namespace}:rate:{quote(project, safe='')}:{cache_key}"

    @cached_property
    def probes(self) -> tuple[str, ...]:
        """Keys to probe with, one in the slot of each shard."""
        return tuple(f"{prefix}:probe" for prefix in self._prefixes)

    @cached_property
    def shards(self) -> tuple[str, ...]:
        """The hash of each shard."""
        return tuple(f"{prefix}:bucket" for prefix in self._prefixes)

    @cached_property
    def usage(self) -> tuple[str, ...]:
        """The usage counts of each shard."""
        return tuple(f"{prefix}:usage" for prefix in self._prefixes)

    @cached_property
    def of_request(self) -> tuple[tuple[str, str, str], ...]:
        """The keys that each request of a client uses in its shard, besides its counters: the shard, the
        usage counts, and the number of new ones."""
        counted = (f"{prefix}:counted" for prefix in self._prefixes)
        return tuple(zip(self.shards, self.usage, counted, strict=True))

    @cached_property
    def drains(self) -> tuple[str, ...]:
        """The usage counts of each shard that the drain is copying to the database."""
        return tuple(f"{prefix}:drain" for prefix in self._prefixes)

    @cached_property
    def pending(self) -> tuple[tuple[str, str], ...]:
        """The pending entries of each shard, on a Cluster: when each is overdue, and its content."""
        return tuple((f"{prefix}:due", f"{prefix}:pending") for prefix in self._prefixes)

    @cached_property
    def committed(self) -> tuple[str, ...]:
        """The recently committed requests of each shard's clients."""
        return tuple(f"{prefix}:committed" for prefix in self._prefixes)

    @cached_property
    def open_reservations(self) -> tuple[str, ...]:
        """The ids of the unsettled reservations of each shard's clients, until 24 hours after they expired. Scores:
        when each expires, in microseconds since 1970."""
        return tuple(f"{prefix}:open" for prefix in self._prefixes)

    @cached_property
    def set_aside(self) -> tuple[str, ...]:
        """Damaged data found in place of each shard's usage counts."""
        return tuple(f"{prefix}:damaged" for prefix in self._prefixes)

    @property
    def damaged(self) -> str:
        """The number of damaged entries found, by kind."""
        return f"{self.namespace}:damaged"

    def counter(self, shard: int, policy: str, client: str) -> str:
        """The counter of a policy for one client; ``shard``: the client's."""
        return f"{self._prefixes[shard]}:n:{policy}:{client}"

    def shared_counter(self, policy: str) -> str:
        """The counter of a global policy, in a shard that belongs to the policy."""
        return f"{self._prefixes[shard_of(policy)]}:g:{policy}"

    def grants(self, shard: int, client: str) -> str:
        """What is consumed of a client's grants; ``shard``: that of the client, or of the client's root. The fields are
        those of :mod:`ratelimit_enforcer.domain.grants`. A reset of the client's counters does not change them."""
        return f"{self._prefixes[shard]}:grants:{client}"

    def attribute_counter(self, shard: int, policy: str, digest: str, client: str) -> str:
        """The counter of some values of a policy's attributes, for one client (empty: for all together). The digest
        is that of :func:`~ratelimit_enforcer.domain.attributes.values_digest`."""
        return f"{self.attribute_counters(shard)}{policy}:{digest}:{client}"

    def attribute_counters(self, shard: int) -> str:
        """The beginning of the keys of all counters of values of attributes in a shard."""
        return f"{self._prefixes[shard]}:a:"

    def attribute_values(self, shard: int, policy: str, client: str) -> str:
        """The number of values of a policy's attributes that are new in this window (client empty: of all clients
        together)."""
        return f"{self._prefixes[shard]}:v:{policy}:{client}"

    def reservation(self, shard: int, name: bytes, part: int = 0) -> str:
        """The record of the reservation with this name, or of one part of it on a Cluster."""
        return f"{self._prefixes[shard]}:r:{name.hex()}" + (f":{part}" if part else "")

    @cached_property
    def unfinished_settlements(self) -> tuple[str, ...]:
        """The settlements of each shard whose other parts are not settled yet, on a Cluster."""
        return tuple(f"{prefix}:unfinished" for prefix in self._prefixes)

    def open_reservations_of(self, shard: int, client: str) -> str:
        """The unsettled reservations of a client; ``shard``: that of the client, or of the client's root."""
        return f"{self._prefixes[shard]}:o:{client}"

    @cached_property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(f"{self.namespace}:{{{TAGS[shard]}}}" for shard in range(SHARDS))


def client_field(client: str) -> str:
    """The field of a client's record in its shard."""
    return f"c:{client}"


def grants_of(counter: str) -> str:
    """The key with what is consumed of the grants of a client, from the key of one of the client's own counters."""
    prefix, _, rest = counter.partition("}:n:")
    _, _, owner = rest.partition(":")
    # After the client was moved, its counters have another name (domain/client.py).
    return f"{prefix}}}:grants:{owner.partition(chr(10))[0]}"


def places_of(counter: str) -> str:
    """The key of the places of the concurrency limit that belongs to the counter with this key."""
    return counter.replace("}:", "}:p:", 1)
