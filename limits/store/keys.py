"""Every key of the platform in Redis is spelled here and nowhere else.

====================================  ======================================================
``<ns>:{rules}:pointer``              the version token of the ruleset in force
``<ns>:{rules}:ruleset:<token>``      the bytes of that ruleset
``<ns>:processes``                    hash: process → when it last said that it enforces limits
``<ns>:probe``, ``<ns>:{<tag>}:probe``  written to find out whether the store is back
``<ns>:rate:<project>:<cache key>``   list: when a throttle class with a rate of its own admitted
``<ns>:{<tag>}:bucket``               hash: ``token``, ``complete``, ``loading``, ``c:<client>``
``<ns>:{<tag>}:n:<policy>:<client>``  one client's counter for one policy
``<ns>:{<tag>}:g:<policy>``           the counter of a policy that counts all clients together
``<ns>:{<tag>}:usage``                hash: what was requested, counted for the drain
``<ns>:{<tag>}:drain``                the same, taken away by the drain under ``id``
``<ns>:{<tag>}:damaged``              what lay in the place of usage counts and was none, for a week
``<ns>:damaged``                      hash: kind → how many damaged entries were found; ``last``
``<ns>:{<tag>}:counted``              how many new usage counts the bucket took in this minute
``<ns>:{<tag>}:pending``              hash: what parts of requests consumed that are not committed yet
``<ns>:{<tag>}:due``                  sorted set: when each of them is overdue
``<ns>:{<tag>}:committed``            sorted set: requests that were committed lately, and when
====================================  ======================================================

Pointer and ruleset share a slot: on a Cluster they are there together or not at all. The client's
key comes last, since it may hold any character; slugs hold no colon, and the name of a project is
percent-encoded.
"""

from dataclasses import dataclass
from urllib.parse import quote

from limits.domain.cached import cached_property
from limits.store.buckets import BUCKETS, TAGS, bucket_of

TOKEN_FIELD = "token"
COMPLETE_FIELD = "complete"
LOADING_FIELD = "loading"


@dataclass(frozen=True)
class Keys:
    """The keys of one platform. Two platforms on one Redis differ in their namespace."""

    namespace: str

    @property
    def pointer(self) -> str:
        return f"{self.namespace}:{{rules}}:pointer"

    def ruleset(self, token: str) -> str:
        return f"{self.namespace}:{{rules}}:ruleset:{token}"

    @property
    def processes(self) -> str:
        return f"{self.namespace}:processes"

    @property
    def probe(self) -> str:
        return f"{self.namespace}:probe"

    def rate_log(self, project: str, cache_key: str) -> str:
        """Two projects on one Redis differ in ``project``, whatever their caches' prefixes are."""
        return f"{self.namespace}:rate:{quote(project, safe='')}:{cache_key}"

    @cached_property
    def probes(self) -> tuple[str, ...]:
        """Keys to probe with, one in the slot of each bucket."""
        return tuple(f"{prefix}:probe" for prefix in self._prefixes)

    @cached_property
    def buckets(self) -> tuple[str, ...]:
        """The hash of each bucket."""
        return tuple(f"{prefix}:bucket" for prefix in self._prefixes)

    @cached_property
    def usage(self) -> tuple[str, ...]:
        """The usage counts of each bucket."""
        return tuple(f"{prefix}:usage" for prefix in self._prefixes)

    @cached_property
    def of_request(self) -> tuple[tuple[str, str, str], ...]:
        """What each request of a client touches in its bucket, beside its counters: the bucket, the
        usage counts, and how many of them are new."""
        counted = (f"{prefix}:counted" for prefix in self._prefixes)
        return tuple(zip(self.buckets, self.usage, counted, strict=True))

    @cached_property
    def drains(self) -> tuple[str, ...]:
        """The usage counts of each bucket that are on their way to the database."""
        return tuple(f"{prefix}:drain" for prefix in self._prefixes)

    @cached_property
    def pending(self) -> tuple[tuple[str, str], ...]:
        """The pending entries of each bucket, on a Cluster: when each is overdue, and what it holds."""
        return tuple((f"{prefix}:due", f"{prefix}:pending") for prefix in self._prefixes)

    @cached_property
    def committed(self) -> tuple[str, ...]:
        """The requests of each bucket's clients that were committed lately."""
        return tuple(f"{prefix}:committed" for prefix in self._prefixes)

    @cached_property
    def set_aside(self) -> tuple[str, ...]:
        """What lay in the place of each bucket's usage counts and was none."""
        return tuple(f"{prefix}:damaged" for prefix in self._prefixes)

    @property
    def damaged(self) -> str:
        """How many damaged entries were found, by kind."""
        return f"{self.namespace}:damaged"

    def counter(self, bucket: int, policy: str, client: str) -> str:
        return f"{self._prefixes[bucket]}:n:{policy}:{client}"

    def shared_counter(self, policy: str) -> str:
        """The counter of a global policy, in a bucket that belongs to the policy."""
        return f"{self._prefixes[bucket_of(policy)]}:g:{policy}"

    @cached_property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(f"{self.namespace}:{{{TAGS[bucket]}}}" for bucket in range(BUCKETS))


def client_field(client: str) -> str:
    """The field of a client's record in its bucket."""
    return f"c:{client}"
