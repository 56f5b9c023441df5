"""Grants in a config file: entries with all checks that do not need the database, references, and rows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone

from limits.configfile.document import Document
from limits.configfile.grant_entries import GrantEntry
from limits.configfile.reading import InvalidConfig
from limits.domain.rule_items import text_of_moment, without_empty
from limits.models import Client, Grant, GrantTotal, Policy, PolicyLimit
from limits.models.grants import NO_CALENDAR_LIMIT, NOT_COUNTED_BY_CLIENT, below_use_message
from limits.models.history import create_with_history, update_with_history
from ratelimit_enforcer.domain.enums import Algorithm, Partition
from ratelimit_enforcer.domain.validation import ValidationProblem

BATCH_SIZE = 5_000
FROM_FILE = "config file"
"""The author of grants that a file created."""

_FIELDS = ("amount", "ends_at", "priority", "reason")


@dataclass(frozen=True, slots=True)
class _Counting:
    """How a policy counts: each client separately, and by calendar periods."""

    by_client: bool
    by_calendar: bool

    @property
    def problem(self) -> str | None:
        if not self.by_client:
            return NOT_COUNTED_BY_CLIENT
        return None if self.by_calendar else NO_CALENDAR_LIMIT


def grant_reference_problems(document: Document) -> Iterator[ValidationProblem]:
    """Yields a problem for each client and policy that does not exist, and for each policy that cannot have grants."""
    entries = document.grants or ()
    if not entries:
        return
    clients = {client.key for client in document.clients or ()}
    clients |= _existing({entry.client for entry in entries} - clients)
    policies = _policies(document)
    for at, entry in enumerate(entries):
        if entry.client not in clients:
            yield ValidationProblem(("grants", at, "client"), f"there is no client “{entry.client}”.")
        found = policies.get(entry.policy)
        message = found.problem if found else f"there is no policy “{entry.policy}”."
        if message:
            yield ValidationProblem(("grants", at, "policy"), message[0].lower() + message[1:])


def _existing(keys: Iterable[str]) -> set[str]:
    return set(Client.objects.filter(key__in=list(keys)).values_list("key", flat=True))


def _policies(document: Document) -> dict[str, _Counting]:
    by_calendar = set(PolicyLimit.objects.filter(algorithm=Algorithm.CALENDAR).values_list("policy_id", flat=True))
    found = {
        slug: _Counting(partition == Partition.CLIENT and not attributes, pk in by_calendar)
        for pk, slug, partition, attributes in Policy.objects.values_list("pk", "slug", "partition", "attributes")
    }
    return found | {
        policy.slug: _Counting(
            policy.partition is Partition.CLIENT and not policy.attributes,
            any(limit.algorithm is Algorithm.CALENDAR for limit in policy.limits),
        )
        for policy in document.policies or ()
    }


def write_grants(entries: Sequence[GrantEntry]) -> None:
    """Creates and changes grants, which are identified by client, policy and start. Raises :class:`InvalidConfig` for
    an amount below what was used."""
    policies = dict(Policy.objects.values_list("slug", "pk"))
    problems: list[ValidationProblem] = []
    for start in range(0, len(entries), BATCH_SIZE):
        problems += _write(entries[start : start + BATCH_SIZE], policies, start)
    if problems:
        raise InvalidConfig(problems)


def _write(entries: Sequence[GrantEntry], policies: dict[str, int], start: int) -> Iterator[ValidationProblem]:
    clients = dict(Client.objects.filter(key__in={entry.client for entry in entries}).values_list("key", "pk"))
    rows = {_identity_of(row): row for row in Grant.objects.filter(client__in=clients.values())}
    used = _used(rows.values())
    new, changed = list[Grant](), list[Grant]()
    for at, entry in enumerate(entries, start):
        identity = clients[entry.client], policies[entry.policy], entry.starts_at
        row = rows.get(identity)
        values = {name: getattr(entry, name) for name in _FIELDS}
        if row is None:
            client, policy, starts_at = identity
            new.append(Grant(client_id=client, policy_id=policy, starts_at=starts_at, author=FROM_FILE, **values))
        elif entry.amount < used.get(row.pk, 0):
            yield ValidationProblem(("grants", at, "amount"), below_use_message(used[row.pk]))
        elif any(getattr(row, name) != value for name, value in values.items()):
            for name, value in values.items():
                setattr(row, name, value)
            changed.append(row)
    create_with_history(Grant, new)
    update_with_history(Grant, changed, _FIELDS)


def _identity_of(row: Grant) -> tuple[int, int, datetime]:
    return row.client_id, row.policy_id, row.starts_at


def _used(rows: Iterable[Grant]) -> dict[int, int]:
    """The units that are used, by grant; grants that were not used are missing."""
    totals = GrantTotal.objects.filter(grant__in=[row.pk for row in rows])
    return {
        grant: consumed - returned
        for grant, consumed, returned in totals.values_list("grant_id", "consumed", "returned")
    }


def prune_grants(entries: Sequence[GrantEntry]) -> None:
    """Deletes the grants that are not among the entries; those that were used are ended instead."""
    named = {(entry.client, entry.policy, entry.starts_at) for entry in entries}
    rows = Grant.objects.select_related("client", "policy")
    unnamed = [row for row in rows if (row.client.key, row.policy.slug, row.starts_at) not in named]
    used, now = GrantTotal.objects.filter(grant__in=[row.pk for row in unnamed]), timezone.now()
    kept = set(used.values_list("grant_id", flat=True))
    Grant.objects.filter(pk__in=[row.pk for row in unnamed if row.pk not in kept]).delete()
    ended = [row for row in unnamed if row.pk in kept and row.starts_at < now < row.ends_at]
    for row in ended:
        row.ends_at = now
    update_with_history(Grant, ended, ["ends_at"])


def grant_items() -> Iterator[dict[str, Any]]:
    """Yields the items of all grants, for an export."""
    rows = Grant.objects.order_by("client__key", "policy__slug", "starts_at").select_related("client", "policy")
    return map(item_of_grant, rows.iterator(chunk_size=2_000))


def item_of_grant(row: Grant) -> dict[str, Any]:
    """The item of a grant; its client and policy are read with the row."""
    return without_empty(
        {
            "client": row.client.key,
            "policy": row.policy.slug,
            "amount": row.amount,
            "from": text_of_moment(row.starts_at),
            "until": text_of_moment(row.ends_at),
            "priority": row.priority or None,
            "reason": row.reason or None,
        }
    )
