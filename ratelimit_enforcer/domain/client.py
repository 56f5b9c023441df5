"""The published record of one registered client.

In the store, a record is ``<revision> <JSON>``. Of a removed client only the revision remains, as a
tombstone, so that a delayed write cannot restore the client.
"""

import json
from dataclasses import dataclass
from typing import Any

from ratelimit_enforcer.domain.dates import is_between
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.limit import Limit, unknown_timezone
from ratelimit_enforcer.domain.ruleset import limit_from_json, limit_to_json

MAX_KEY_LENGTH = 256


def key_problem(key: str) -> str | None:
    """The reason why ``key`` is not valid as a client key, or None."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        return f"must have 1 to {MAX_KEY_LENGTH} characters."
    if not key.isprintable() and any(_is_forbidden(character) for character in key):
        return "must not contain control characters."
    return None


def _is_forbidden(character: str) -> bool:
    """C0 and C1 control characters, and lone surrogates, which no encoding can represent."""
    code = ord(character)
    return code < 32 or 127 <= code < 160 or 0xD800 <= code < 0xE000


@dataclass(frozen=True, slots=True)
class Override:
    """A client's own limits, which replace those of one policy from ``starts_at`` until ``ends_at``
    (microseconds since 1970, the end excluded; None: open-ended)."""

    policy: str
    limits: tuple[Limit, ...]
    starts_at: int | None = None
    ends_at: int | None = None

    def is_active(self, now: int) -> bool:
        """Whether the override is in force at ``now`` (microseconds since 1970)."""
        return is_between(now, self.starts_at, self.ends_at)


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """One client: plan (None: the default plan), status, overrides and tags, at one revision.

    Revision 0 is an unregistered client; ``deleted`` marks a tombstone. Both are on the default plan,
    active, and without overrides and tags.
    """

    key: str
    revision: int = 0
    plan: str | None = None
    status: ClientStatus = ClientStatus.ACTIVE
    overrides: tuple[Override, ...] = ()
    deleted: bool = False
    tags: tuple[str, ...] = ()
    problem: str = ""
    """The reason why this process cannot apply the whole record: an override uses a time zone that this machine
    does not know. Such overrides are left out."""

    def to_text(self) -> str:
        """The text that the store contains for this record."""
        if self.deleted:
            return f"{self.revision} "
        body: dict[str, Any] = {
            "plan": self.plan,
            "status": self.status.value,
            "overrides": [_override_to_json(override) for override in self.overrides],
        }
        if self.tags:
            body["tags"] = self.tags
        return f"{self.revision} {json.dumps(body, separators=(',', ':'))}"

    @classmethod
    def from_text(cls, key: str, text: str) -> "ClientRecord":
        """Parses the text that :meth:`to_text` returned. Raises ``AttributeError``, ``KeyError``, ``TypeError`` or
        ``ValueError`` for any other text. An override in a time zone that this machine does not know is left
        out, and named in ``problem``."""
        revision, _, body = text.partition(" ")
        if not body:
            return cls(key, int(revision), deleted=True)
        content = json.loads(body)
        overrides = [_override_from_json(item) for item in content["overrides"]]
        unknown = {each.policy: zone for each in overrides if (zone := unknown_timezone(each.limits))}
        return cls(
            key,
            int(revision),
            plan=content["plan"],
            status=ClientStatus(content["status"]),
            overrides=tuple(each for each in overrides if each.policy not in unknown),
            tags=tuple(content.get("tags", ())),
            problem=next((_unknown_zone(*each) for each in unknown.items()), ""),
        )


def _unknown_zone(policy: str, zone: str) -> str:
    return (
        f"An override of policy {policy} uses the time zone “{zone}”, which this machine does not have: upgrade the "
        "package tzdata, or choose another zone."
    )


def _override_to_json(override: Override) -> dict[str, Any]:
    return {
        "policy": override.policy,
        "limits": [limit_to_json(limit) for limit in override.limits],
        "starts_at": override.starts_at,
        "ends_at": override.ends_at,
    }


def _override_from_json(item: dict[str, Any]) -> Override:
    limits = tuple(limit_from_json(limit) for limit in item["limits"])
    return Override(item["policy"], limits, item["starts_at"], item["ends_at"])
