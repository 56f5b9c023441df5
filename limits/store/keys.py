"""Every key of the platform in Redis is spelled here and nowhere else.

====================================  ======================================================
``<ns>:pointer``                      the version token of the ruleset in force
``<ns>:ruleset:<token>``              the bytes of that ruleset
``<ns>:{<tag>}:bucket``               hash: ``token``, ``complete``, ``loading``, ``counted``, ``c:<client>``
``<ns>:{<tag>}:n:<policy>:<client>``  one client's counter for one policy
``<ns>:{<tag>}:usage``                hash: what was requested, counted for the drain
``<ns>:{<tag>}:drain``                the same, taken away by the drain under ``id``
====================================  ======================================================

The client's key comes last, since it may hold any character; slugs hold no colon.
"""

from dataclasses import dataclass
from functools import cached_property

from limits.store.buckets import BUCKETS, TAGS

TOKEN_FIELD = "token"
COMPLETE_FIELD = "complete"
LOADING_FIELD = "loading"


@dataclass(frozen=True)
class Keys:
    """The keys of one platform. Two platforms on one Redis differ in their namespace."""

    namespace: str

    @property
    def pointer(self) -> str:
        return f"{self.namespace}:pointer"

    def ruleset(self, token: str) -> str:
        return f"{self.namespace}:ruleset:{token}"

    @cached_property
    def buckets(self) -> tuple[str, ...]:
        """The hash of each bucket."""
        return tuple(f"{prefix}:bucket" for prefix in self._prefixes)

    @cached_property
    def usage(self) -> tuple[str, ...]:
        """The usage counts of each bucket."""
        return tuple(f"{prefix}:usage" for prefix in self._prefixes)

    @cached_property
    def drains(self) -> tuple[str, ...]:
        """The usage counts of each bucket that are on their way to the database."""
        return tuple(f"{prefix}:drain" for prefix in self._prefixes)

    def counter(self, bucket: int, policy: str, client: str) -> str:
        return f"{self._prefixes[bucket]}:n:{policy}:{client}"

    @cached_property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(f"{self.namespace}:{{{TAGS[bucket]}}}" for bucket in range(BUCKETS))


def client_field(client: str) -> str:
    """The field of a client's record in its bucket."""
    return f"c:{client}"
