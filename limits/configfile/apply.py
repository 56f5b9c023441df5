"""Applying a config file: all of it or nothing, then live."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError, QuerySet

from limits.configfile.alert_rules import write_alert_rules
from limits.configfile.document import Document
from limits.configfile.reading import ConfigRefused
from limits.configfile.references import reference_problems
from limits.configfile.rows import write_clients, write_overrides, write_rules
from limits.configfile.unpublished import changes, read_unpublished
from limits.domain.differences import differences
from limits.domain.problems import Location, Problem, RulesetRefused
from limits.models import AlertRule, Client, ClientChange, Endpoint, Override, Plan, Policy
from limits.publishing import clients, rules
from limits.publishing.compiler import compile_ruleset, read_ruleset
from limits.publishing.delivery import Delivery
from limits.publishing.going_live import go_live


@dataclass(frozen=True, slots=True)
class Applied:
    """What a file changed, one sentence each, and what became of it (None: a dry run)."""

    changes: list[str]
    delivery: Delivery | None = None


class _DryRun(Exception):
    """Ends a transaction that was only tried."""


def apply(
    document: Document,
    *,
    author: str,
    reason: str = "",
    dry_run: bool = False,
    prune: bool = False,
    prune_clients: bool = False,
) -> Applied:
    """Applies a document. Raises :class:`ConfigRefused` where nothing was changed."""
    sentences: list[str] = []
    try:
        with transaction.atomic():
            sentences += _change_rows(document, prune=prune, prune_clients=prune_clients)
            if dry_run:
                raise _DryRun
            rules.record(author, reason=reason)
    except _DryRun:
        return Applied(sentences)
    except RulesetRefused as error:
        raise ConfigRefused(list(_in_file(error.problems, document))) from error
    return Applied(sentences, _deliver())


def _change_rows(document: Document, *, prune: bool, prune_clients: bool) -> list[str]:
    if problems := list(reference_problems(document)):
        raise ConfigRefused(problems)
    before, unpublished = read_ruleset(), read_unpublished()
    last_change = ClientChange.objects.order_by("-id").values_list("id", flat=True).first() or 0
    write_rules(document, prune=prune)
    write_clients(document.clients or ())
    if prune or prune_clients:
        _prune_clients(document, clients_too=prune_clients)
    write_overrides(document.overrides or ())
    write_alert_rules(document.alert_rules or ())
    if prune:
        prune_rules(document)
    return [
        *differences(before, compile_ruleset()),
        *changes(unpublished, read_unpublished()),
        *_client_changes(last_change),
    ]


def _prune_clients(document: Document, *, clients_too: bool) -> None:
    if document.overrides is not None:
        named = {(entry.client, entry.policy, entry.starts_at) for entry in document.overrides}
        rows = Override.objects.select_related("client", "policy")
        gone = [row.pk for row in rows if (row.client.key, row.policy.slug, row.starts_at) not in named]
        Override.objects.filter(pk__in=gone).delete()
    if clients_too and document.clients is not None:
        Client.objects.exclude(key__in=[client.key for client in document.clients]).delete()


def prune_rules(document: Document) -> None:
    """Removes what the sections present do not name. Alert rules first, then policies: they hold on
    to what follows. Raises :class:`ConfigRefused` for what is still used."""
    if document.alert_rules is not None:
        AlertRule.objects.exclude(name__in=[rule.name for rule in document.alert_rules]).delete()
    for section, model in (("policies", Policy), ("endpoints", Endpoint), ("plans", Plan)):
        items = getattr(document, section)
        if items is not None:
            _delete(section, model.objects.exclude(slug__in=[item.slug for item in items]))


def _delete(section: str, rows: QuerySet[Any]) -> None:
    try:
        rows.delete()
    except ProtectedError as error:
        users = sorted({str(row) for row in error.protected_objects})[:5]
        raise ConfigRefused([Problem((section,), f"cannot be pruned, still used by: {', '.join(users)}.")]) from error


def _client_changes(since: int) -> Iterator[str]:
    keys = sorted(set(ClientChange.objects.filter(id__gt=since).values_list("client_key", flat=True)))
    if 0 < len(keys) <= 20:
        yield from (f"Client {key} changed." for key in keys)
    elif keys:
        yield f"{len(keys):,} clients changed."


def _deliver() -> Delivery:
    """Rules first, since a client may be on a plan that is new."""
    delivery = go_live()
    if not delivery.live:
        return delivery
    delivered = clients.deliver()
    return delivery if delivered.live else delivered


def _in_file(problems: Iterable[Problem], document: Document) -> Iterator[Problem]:
    """The problems with their places in the file: a slug becomes a position."""
    positions = {section: _positions(getattr(document, section)) for section in ("plans", "endpoints", "policies")}
    for problem in problems:
        section, *rest = problem.location
        at = positions.get(str(section), {}).get(str(rest[0])) if rest else None
        location: Location = problem.location if at is None else (section, at, *rest[1:])
        yield Problem(location, problem.message)


def _positions(items: Sequence[Any] | None) -> dict[str, int]:
    return {item.slug: at for at, item in reversed(list(enumerate(items or ())))}
