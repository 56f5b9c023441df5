"""What the servers know of one registered client.

In the store a record is ``<revision> <JSON>``; of a client that was removed only the revision
stays, as a tombstone, so that a write that comes late cannot bring the client back.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from limits.domain.limit import SECOND, Limit, unknown_timezone
from limits.domain.ruleset import limit_from_json, limit_to_json
from limits.domain.words import ClientStatus

MAX_KEY_LENGTH = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def key_problem(key: str) -> str | None:
    """Why this cannot be a client's key, or None."""
    if not 1 <= len(key) <= MAX_KEY_LENGTH:
        return f"must have 1 to {MAX_KEY_LENGTH} characters."
    if not key.isprintable() and any(_is_forbidden(character) for character in key):
        return "must not contain control characters."
    return None


def _is_forbidden(character: str) -> bool:
    """C0 and C1 control characters, and halves of surrogate pairs, which no encoding can carry."""
    code = ord(character)
    return code < 32 or 127 <= code < 160 or 0xD800 <= code < 0xE000


def microseconds(moment: datetime) -> int:
    """A moment as whole microseconds since 1970, exact where ``timestamp()`` is not."""
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds


@dataclass(frozen=True, slots=True)
class Override:
    """A client's own limits in place of one policy's, from ``starts_at`` until ``ends_at``
    (microseconds since 1970, the end excluded; None: open)."""

    policy: str
    limits: tuple[Limit, ...]
    starts_at: int | None = None
    ends_at: int | None = None

    def is_active(self, now: int) -> bool:
        """Whether it is in force at ``now`` (microseconds since 1970)."""
        started = self.starts_at is None or self.starts_at <= now
        return started and (self.ends_at is None or now < self.ends_at)


@dataclass(frozen=True, slots=True)
class ClientRecord:
    """One client: plan (None: the default plan), status and overrides, at one revision.

    Revision 0 is a client that nobody registered; ``deleted`` is a tombstone. Both are on the
    default plan, active and without overrides.
    """

    key: str
    revision: int = 0
    plan: str | None = None
    status: ClientStatus = ClientStatus.ACTIVE
    overrides: tuple[Override, ...] = ()
    deleted: bool = False
    problem: str = ""
    """Why this process cannot decide by all of it: an override follows a time zone that this machine
    does not know. Such overrides are left out."""

    @property
    def is_registered(self) -> bool:
        return self.revision > 0 and not self.deleted

    def to_text(self) -> str:
        """What the store holds."""
        if self.deleted:
            return f"{self.revision} "
        body = {
            "plan": self.plan,
            "status": self.status.value,
            "overrides": [_override_to_json(override) for override in self.overrides],
        }
        return f"{self.revision} {json.dumps(body, separators=(',', ':'))}"

    @classmethod
    def from_text(cls, key: str, text: str) -> "ClientRecord":
        """Reads what :meth:`to_text` wrote."""
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
            problem=next((_unknown_zone(*each) for each in unknown.items()), ""),
        )


def _unknown_zone(policy: str, zone: str) -> str:
    return (
        f"An override of policy {policy} follows the time zone “{zone}”, which this machine does not know: upgrade the "
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
