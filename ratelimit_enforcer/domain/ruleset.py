"""The ruleset: every rule that a check needs, compiled from the database rows, immutable, with a version.

Clients are not part of it: there may be a million, and each is published separately
(:mod:`ratelimit_enforcer.domain.client`).
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

from ratelimit_enforcer.domain.blocks import Block, Blocks, block_from_json, block_to_json
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import Algorithm, Mode, OverQuota, Period, Scope
from ratelimit_enforcer.domain.limit import Limit, unknown_timezone
from ratelimit_enforcer.domain.rules import Policy, Rules, rules_from_json, rules_to_json
from ratelimit_enforcer.domain.segments import SegmentOverride
from ratelimit_enforcer.domain.variants import (
    Share,
    Variant,
    share_to_json,
    timeline,
    variant_from_json,
    variant_to_json,
)
from ratelimit_enforcer.per_process import cached_property

FORMATS = (1, 2, 3, 4, 5, 6)
"""The versions of this serialization that this release reads. A ruleset is written in the earliest one that can
express it, so that servers of earlier releases can use it as long as possible; they reject a later one.

2: policies with dates, attributes or conditions; calendar years; overrides of segments; blocks.
3: concurrency limits.
4: tokens with the scope ``adjust``.
5: variants, for later or for a share of the clients.
6: policies that admit beyond their quota.
"""

MANAGE = "manage"
"""The name of :attr:`Scope.CLIENTS` in releases before 2026-11-28, and in every ruleset since: rulesets with this
scope keep their bytes, and servers of those releases can read them."""
_NAMES_IN_RULESETS = {Scope.CLIENTS: MANAGE}
_MORE_SCOPES = frozenset({Scope.RULES, Scope.PUBLISH, Scope.REPORTS})
"""Scopes that are written beside the others, where servers of earlier releases do not look: they have no address that
requires one, and an unknown scope among the others would make the whole ruleset unreadable for them."""


class UnreadableRuleset(ValueError):
    """This process cannot use the ruleset in these bytes; the message says why."""


class UnknownFormat(UnreadableRuleset):
    """The ruleset has a format that this release cannot read."""


class UnknownTimezone(UnreadableRuleset):
    """A limit uses a time zone that this machine does not know."""


@dataclass(frozen=True, slots=True)
class Version:
    """Identifies a ruleset; compared for equality only, as the token ``epoch:sequence:digest``.

    ``epoch`` belongs to one database, ``sequence`` increases with each publication, ``digest`` is the
    SHA-256 of the ruleset's bytes in hexadecimal.
    """

    epoch: str
    sequence: int
    digest: str

    @classmethod
    def parse(cls, token: str) -> "Version":
        """Parses a token. Raises ``ValueError`` if it is malformed."""
        epoch, sequence, digest = token.split(":")
        return cls(epoch, int(sequence), digest)

    def __str__(self) -> str:
        return f"{self.epoch}:{self.sequence}:{self.digest}"


@dataclass(frozen=True, slots=True)
class ApiToken:
    """A published API token: the SHA-256 digest of the token in hexadecimal, and the scopes."""

    name: str
    digest: str
    scopes: frozenset[Scope]


@dataclass(frozen=True)
class Ruleset(Rules):
    """Everything of one version. The rules of the ruleset itself are those of a client that is not in the share, until
    the first variant begins; tokens, blocks and the emergency switch are common to all variants."""

    tokens: tuple[ApiToken, ...] = ()
    shadow_all: bool = False
    blocks: tuple[Block, ...] = ()
    """Sorted by subject."""
    variants: tuple[Variant, ...] = ()
    share: Share | None = None

    def variant_for(self, root: ClientRecord, now: int) -> Variant | None:
        """The variant that applies to a root and its descendants at ``now`` (microseconds since 1970); None: the rules
        of the ruleset itself."""
        shared = self.share is not None and self.share.includes(root)
        begun = [
            each for each in timeline(self.variants, shared=shared) if each.starts_at is None or each.starts_at <= now
        ]
        return begun[-1] if begun else None

    @property
    def without_variants(self) -> "Ruleset":
        """The ruleset as it is before any variant begins, for clients that are not in the share."""
        return self.with_rules(self)

    def with_rules(self, rules: Rules) -> "Ruleset":
        """A ruleset with these rules for all clients at all times."""
        return replace(self, **_fields(rules), variants=(), share=None)

    @cached_property
    def blocks_by_subject(self) -> Blocks:
        """The blocks, prepared for finding those of one check."""
        return Blocks(self.blocks)

    def mode_of(self, policy: Policy) -> Mode:
        """The policy's mode, with the emergency switch applied."""
        if self.shadow_all and policy.mode is Mode.ENFORCE:
            return Mode.SHADOW
        return policy.mode

    def to_bytes(self) -> bytes:
        """The canonical serialization: UTF-8 JSON with sorted keys and no spaces."""
        return json.dumps(_as_json(self), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Ruleset":
        """Parses the bytes that :meth:`to_bytes` returned. Raises :class:`UnreadableRuleset`."""
        try:
            content = json.loads(data)
            if content.get("format") not in FORMATS:
                raise UnknownFormat(
                    f"Ruleset format {content.get('format')!r}; this release reads formats up to {FORMATS[-1]}."
                )
            return cls._from_json(content)
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
            if isinstance(error, UnreadableRuleset):
                raise
            raise UnreadableRuleset(f"The data is not a ruleset: {type(error).__name__}.") from error

    def require_known_timezones(self) -> None:
        """Raises :class:`UnknownTimezone` for a zone that this machine does not know."""
        for owner, used in _limits_of((self, *(variant.rules for variant in self.variants))):
            if zone := unknown_timezone(used):
                raise UnknownTimezone(
                    f"{owner} uses the time zone “{zone}”, which this machine does not have: "
                    "upgrade the package tzdata, or choose another zone."
                )

    @classmethod
    def _from_json(cls, content: dict[str, Any]) -> "Ruleset":
        return cls(
            **_fields(rules_from_json(content)),
            tokens=tuple(_token_from_json(item) for item in content["tokens"]),
            shadow_all=content["shadow_all"],
            blocks=tuple(block_from_json(item) for item in content.get("blocks", ())),
            variants=tuple(variant_from_json(item) for item in content.get("variants", ())),
            share=Share(**content["share"]) if "share" in content else None,
        )


def _limits_of(all_rules: Iterable[Rules]) -> Iterator[tuple[str, tuple[Limit, ...]]]:
    """Yields each policy and override in words, with its limits."""
    for rules in all_rules:
        yield from ((f"Policy {policy.slug}", policy.limits) for policy in rules.policies)
        yield from ((f"An override of policy {each.policy}", each.limits) for each in rules.segment_overrides)


def _fields(rules: Rules) -> dict[str, Any]:
    return {field.name: getattr(rules, field.name) for field in fields(Rules)}


def digest_of(data: bytes) -> str:
    """The digest of these ruleset bytes, as used in :class:`Version`."""
    return hashlib.sha256(data).hexdigest()


def _as_json(ruleset: Ruleset) -> dict[str, Any]:
    blocks = [block_to_json(block) for block in ruleset.blocks]
    variants = [variant_to_json(variant) for variant in ruleset.variants]
    return {
        "format": _format_of(ruleset),
        **rules_to_json(ruleset),
        "tokens": [_token_to_json(token) for token in ruleset.tokens],
        "shadow_all": ruleset.shadow_all,
        **({"blocks": blocks} if blocks else {}),
        **({"variants": variants} if variants else {}),
        **({"share": share_to_json(ruleset.share)} if ruleset.share else {}),
    }


def _format_of(ruleset: Ruleset) -> int:
    all_rules = (ruleset, *(variant.rules for variant in ruleset.variants))
    if any(policy.over_quota is OverQuota.COUNT for rules in all_rules for policy in rules.policies):
        return 6
    if ruleset.variants or ruleset.share:
        return 5
    if any(Scope.ADJUST in token.scopes for token in ruleset.tokens):
        return 4
    owners: tuple[Policy | SegmentOverride, ...] = (*ruleset.policies, *ruleset.segment_overrides)
    if any(limit.algorithm is Algorithm.CONCURRENCY for owner in owners for limit in owner.limits):
        return 3
    return 2 if ruleset.segment_overrides or ruleset.blocks or any(map(_needs_format_2, ruleset.policies)) else 1


def _needs_format_2(policy: Policy) -> bool:
    return bool(policy.dates or policy.attributes or policy.match) or any(
        limit.period is Period.YEAR for limit in policy.limits
    )


def _token_to_json(token: ApiToken) -> dict[str, Any]:
    more = sorted(token.scopes & _MORE_SCOPES)
    return {
        "name": token.name,
        "digest": token.digest,
        "scopes": sorted(_NAMES_IN_RULESETS.get(scope, scope.value) for scope in token.scopes - _MORE_SCOPES),
        **({"more_scopes": more} if more else {}),
    }


def _token_from_json(item: dict[str, Any]) -> ApiToken:
    """Ignores further scopes that this release does not know: it has no address that requires one."""
    scopes = {Scope.CLIENTS if scope == MANAGE else Scope(scope) for scope in item["scopes"]}
    more = {scope for scope in Scope if scope in item.get("more_scopes", ())}
    return ApiToken(item["name"], item["digest"], frozenset(scopes | more))
