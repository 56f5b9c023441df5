"""The published record of one registered client.

In the store, a record is ``<revision> <JSON>``. Of a removed client only the revision remains, as a
tombstone, so that a delayed write cannot restore the client.

A client may have a parent, which is another client. All clients of such a tree have their records and counters in
the shard of the root, the ancestor without a parent. In the shard of the client's own key, and in those of earlier
roots, there is a pointer to the root in place of a record.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ratelimit_enforcer.domain.dates import is_between
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.grants import Grant, grant_from_json, grant_to_json
from ratelimit_enforcer.domain.limit import Limit, unknown_timezone
from ratelimit_enforcer.domain.rules import limit_from_json, limit_to_json

MAX_KEY_LENGTH = 256
MAX_LEVELS = 4
"""The number of clients from a root down to the lowest descendant, both included."""


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
    """One client: plan (None: the default plan, or none below a parent), status, overrides, tags, parent and grants, at
    one revision.

    Revision 0 is an unregistered client; ``deleted`` marks a tombstone. Both are on the default plan,
    active, and without overrides, tags, parent and grants.
    """

    key: str
    revision: int = 0
    plan: str | None = None
    status: ClientStatus = ClientStatus.ACTIVE
    overrides: tuple[Override, ...] = ()
    deleted: bool = False
    tags: tuple[str, ...] = ()
    parent: str | None = None
    """The key of the parent; None: the client is a root."""
    moved: int = 0
    """The revision at which the parent changed last (0: never): from then on the client has new counters."""
    root: str | None = None
    """Of a pointer: the key of the root, in whose shard the client's record is. None: this is the record."""
    problem: str = ""
    """The reason why this process cannot apply the whole record: an override uses a time zone that this machine
    does not know. Such overrides are left out."""
    grants: tuple[Grant, ...] = ()
    """In any order, also those that have not begun or have ended. Servers of releases before 2026-11-28 ignore them."""

    @property
    def is_registered(self) -> bool:
        """Whether there is a client with this key, and not only a tombstone."""
        return self.revision > 0 and not self.deleted

    @property
    def is_below(self) -> bool:
        """Whether the client has a parent, so that its shard is that of the root."""
        return self.parent is not None or self.root is not None

    def to_text(self) -> str:
        """The text that the store contains for this record."""
        if self.deleted:
            return f"{self.revision} "
        if self.root is not None:
            return f"{self.revision} {_json({'root': self.root})}"
        body: dict[str, Any] = {
            "plan": self.plan,
            "status": self.status.value,
            "overrides": [_override_to_json(override) for override in self.overrides],
        }
        grants = [grant_to_json(grant) for grant in self.grants]
        optional = {"tags": self.tags, "parent": self.parent, "moved": self.moved, "grants": grants}
        body |= {name: value for name, value in optional.items() if value}
        return f"{self.revision} {_json(body)}"

    @classmethod
    def from_text(cls, key: str, text: str) -> "ClientRecord":
        """Parses the text that :meth:`to_text` returned. Raises ``AttributeError``, ``KeyError``, ``TypeError`` or
        ``ValueError`` for any other text. An override in a time zone that this machine does not know is left
        out, and named in ``problem``."""
        revision, _, body = text.partition(" ")
        if str(int(revision)) != revision:
            raise ValueError("The script compares revisions as text.")
        if not body:
            return cls(key, int(revision), deleted=True)
        content = json.loads(body)
        if "root" in content:
            return cls(key, int(revision), root=_key(content["root"]))
        overrides = [_override_from_json(item) for item in content["overrides"]]
        unknown = {each.policy: zone for each in overrides if (zone := unknown_timezone(each.limits))}
        return cls(
            key,
            int(revision),
            plan=content["plan"],
            status=ClientStatus(content["status"]),
            overrides=tuple(each for each in overrides if each.policy not in unknown),
            tags=tuple(content.get("tags", ())),
            parent=_key(content["parent"]) if content.get("parent") is not None else None,
            moved=int(content.get("moved", 0)),
            problem=next((_unknown_zone(*each) for each in unknown.items()), ""),
            grants=tuple(map(grant_from_json, content.get("grants", ()))),
        )


def counter_owners(records: Sequence[ClientRecord]) -> tuple[str, ...]:
    """The names under which the counters of a client and its ancestors are stored; ``records``: from the client up.
    After a client was moved, it and its descendants have other names, so that their counters are new."""
    names, moved = [], 0
    for record in reversed(records):
        moved = max(moved, record.moved)
        # No key contains a line break.
        names.append(f"{record.key}\n{moved}" if moved else record.key)
    return tuple(reversed(names))


def _key(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("A client's key is a text.")
    return value


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, separators=(",", ":"))


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
