"""Variants of the rules in one published ruleset: for later, and for a share of the clients.

Both are chosen by what every server knows: the time of the store, and the key and tags of a client's root. So a change
begins everywhere at the same moment, without a publication, and a client is in the share on every server or on none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.rules import Rules, rules_from_json, rules_to_json

_HASH_BYTES = 8
_ALL = 1 << 8 * _HASH_BYTES


@dataclass(frozen=True, slots=True)
class Share:
    """The clients on which a change set is tried: ``percent`` (1 to 99) of all roots with their descendants, or, if it
    is 0, those whose root has the tag. ``salt``: random for each change set, so that the first clients of one are not
    those of another, too."""

    change: str
    salt: str
    percent: int = 0
    tag: str = ""

    def __str__(self) -> str:
        return f"those with tag “{self.tag}”" if self.tag else f"{self.percent} %"

    def includes(self, root: ClientRecord) -> bool:
        """Whether a root and its descendants are in the share. Those in a share remain in every larger one."""
        if self.tag:
            return self.tag in root.tags
        digest = blake2b(root.key.encode(), digest_size=_HASH_BYTES, key=self.salt.encode()).digest()
        return int.from_bytes(digest) * 100 < self.percent * _ALL


@dataclass(frozen=True, slots=True)
class Variant:
    """Rules that apply from ``starts_at`` (microseconds since 1970; None: from the publication on) until the next
    variant for the same clients begins. ``shared``: for those in the share, otherwise for all others. ``change``: the
    change set that begins here."""

    rules: Rules
    change: str
    starts_at: int | None = None
    shared: bool = False


def timeline(variants: Iterable[Variant], *, shared: bool) -> Sequence[Variant]:
    """The variants for the clients in the share, or for all others, in order of time."""
    own = (variant for variant in variants if variant.shared == shared)
    return sorted(own, key=lambda variant: variant.starts_at or 0)


def share_to_json(share: Share) -> dict[str, Any]:
    """A share as in the published ruleset."""
    return {"change": share.change, "salt": share.salt, "percent": share.percent, "tag": share.tag}


def variant_to_json(variant: Variant) -> dict[str, Any]:
    """A variant as in the published ruleset."""
    return {
        "change": variant.change,
        "starts_at": variant.starts_at,
        "shared": variant.shared,
        "rules": rules_to_json(variant.rules),
    }


def variant_from_json(item: dict[str, Any]) -> Variant:
    """Parses the object that :func:`variant_to_json` returned. Raises as
    :func:`~ratelimit_enforcer.domain.rules.rules_from_json` does."""
    return Variant(rules_from_json(item["rules"]), item["change"], item["starts_at"], item["shared"])
