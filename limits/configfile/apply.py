"""Applying a config file: all or nothing, and then publishing. And rollback to earlier rules, which restores the
rows to the state of a published version."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction
from django.db.models import ProtectedError, QuerySet

from limits.configfile.blocks import prune_blocks, write_blocks
from limits.configfile.channels import (
    channel_reference_problems,
    channels_in_words,
    prune_channels,
    write_channels,
)
from limits.configfile.document import ClientEntry, Document
from limits.configfile.grants import grant_reference_problems, prune_grants, write_grants
from limits.configfile.overrides import (
    override_reference_problems,
    prune_overrides,
    restore_segment_overrides,
    write_overrides,
)
from limits.configfile.plan_details import Details, detail_changes, stored_details
from limits.configfile.reading import InvalidConfig
from limits.configfile.rows import write_alert_rules, write_clients, write_rules
from limits.domain.differences import differences
from limits.models import AlertRule, Client, ClientChange, Endpoint, Plan, Policy
from limits.models.channel_secrets import reference_to
from limits.models.trees import tree_problems
from limits.publishing import clients, rules
from limits.publishing.reconciler import go_live
from limits.publishing.rules import Delivery, compile_ruleset, read_ruleset
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.validation import InvalidRuleset, Location, ValidationProblem


@dataclass(frozen=True, slots=True)
class ApplyResult:
    """The changes made by a file, one sentence each, and the result of the delivery (None: a dry run)."""

    changes: list[str]
    delivery: Delivery | None = None


class _DryRun(Exception):
    """Ends the transaction of a dry run."""


def apply(
    document: Document,
    *,
    author: str,
    reason: str = "",
    dry_run: bool = False,
    prune: bool = False,
    prune_clients: bool = False,
) -> ApplyResult:
    """Applies a document. ``dry_run``: change nothing, only report the changes. ``prune``: remove rules and
    overrides that the document does not name, ``prune_clients``: clients. Raises :class:`InvalidConfig`; then
    nothing was changed."""
    sentences: list[str] = []
    try:
        with problems_at_positions(document), transaction.atomic():
            sentences += change_rows(document, prune=prune, prune_clients=prune_clients)
            if dry_run:
                raise _DryRun
            rules.record(author, reason=reason)
    except _DryRun:
        return ApplyResult(sentences)
    return ApplyResult(sentences, deliver())


@contextmanager
def problems_at_positions(document: Document) -> Iterator[None]:
    """Turns :class:`InvalidRuleset` into :class:`InvalidConfig`, with positions in the file."""
    try:
        yield
    except InvalidRuleset as error:
        raise InvalidConfig(list(with_positions_in_file(error.problems, document))) from error


def change_rows(document: Document, *, prune: bool, prune_clients: bool) -> list[str]:
    """As :func:`write_rows`. Returns one sentence for each change. Raises also :class:`InvalidRuleset`."""
    return described(lambda: write_rows(document, prune=prune, prune_clients=prune_clients))


def described(change: Callable[[], object]) -> list[str]:
    """Runs ``change``, which changes rows. Returns one sentence for each change of rules, alert rules and clients.
    Raises :class:`InvalidRuleset`."""
    before, unpublished = read_ruleset(), read_unpublished()
    last_change = ClientChange.objects.order_by("-id").values_list("id", flat=True).first() or 0
    change()
    return [
        *differences(before, compile_ruleset().without_variants),
        *unpublished_changes(unpublished, read_unpublished()),
        *_client_changes(last_change),
    ]


def write_rows(document: Document, *, prune: bool = False, prune_clients: bool = False) -> None:
    """Writes the document to the rows, in the transaction of the caller. Raises :class:`InvalidConfig`."""
    if problems := list(reference_problems(document, prune_clients=prune_clients)):
        raise InvalidConfig(problems)
    write_rules(document, prune=prune)
    write_clients(document.clients or ())
    if prune or prune_clients:
        _prune_clients(document, clients_too=prune_clients)
    write_overrides(document.overrides or ())
    write_grants(document.grants or ())
    write_blocks(document.blocks or ())
    write_channels(document.channels or ())
    write_alert_rules(document.alert_rules or ())
    if prune:
        prune_rules(document)


def _prune_clients(document: Document, *, clients_too: bool) -> None:
    if document.overrides is not None:
        prune_overrides(document.overrides)
    if document.grants is not None:
        prune_grants(document.grants)
    if clients_too and document.clients is not None:
        Client.objects.exclude(key__in=[client.key for client in document.clients]).delete()


def prune_rules(document: Document) -> None:
    """Removes rows that are not named in the sections present. Alert rules go first, then policies: they
    refer to the others. Raises :class:`InvalidConfig` for rows that are still used."""
    if document.alert_rules is not None:
        AlertRule.objects.exclude(name__in=[rule.name for rule in document.alert_rules]).delete()
    if document.channels is not None:
        prune_channels(document.channels)
    if document.blocks is not None:
        prune_blocks(document.blocks)
    for section, model in (("policies", Policy), ("endpoints", Endpoint), ("plans", Plan)):
        items = getattr(document, section)
        if items is not None:
            _delete_unused(section, model.objects.exclude(slug__in=[item.slug for item in items]))


def _delete_unused(section: str, rows: QuerySet[Any]) -> None:
    try:
        rows.delete()
    except ProtectedError as error:
        users = sorted({str(row) for row in error.protected_objects})[:5]
        raise InvalidConfig(
            [ValidationProblem((section,), f"cannot be pruned, because it is still used by: {', '.join(users)}.")]
        ) from error


def _client_changes(since: int) -> Iterator[str]:
    keys = sorted(set(ClientChange.objects.filter(id__gt=since).values_list("client_key", flat=True)))
    if 0 < len(keys) <= 20:
        yield from (f"Client {key} changed." for key in keys)
    elif keys:
        yield f"{len(keys):,} clients changed."


def deliver() -> Delivery:
    """Delivers what a transaction changed, after its commit: rules first, since a client may be on a new plan."""
    delivery = go_live()
    if not delivery.live:
        return delivery
    delivered = clients.deliver()
    return delivery if delivered.live else delivered


def with_positions_in_file(problems: Iterable[ValidationProblem], document: Document) -> Iterator[ValidationProblem]:
    """Yields the problems with their positions in the file in place of slugs."""
    positions = {section: _positions(getattr(document, section)) for section in ("plans", "endpoints", "policies")}
    for problem in problems:
        section, *rest = problem.location
        at = positions.get(str(section), {}).get(str(rest[0])) if rest else None
        location: Location = problem.location if at is None else (section, at, *rest[1:])
        yield ValidationProblem(location, problem.message)


def _positions(items: Sequence[Any] | None) -> dict[str, int]:
    return {item.slug: at for at, item in reversed(list(enumerate(items or ())))}


def reference_problems(document: Document, *, prune_clients: bool = False) -> Iterator[ValidationProblem]:
    """Yields a problem for each name that does not exist, for each parent that a client cannot have, and for each
    override of a policy that cannot be overridden. ``prune_clients``: other clients than those in the document are
    removed."""
    plans = {plan.slug for plan in document.plans or ()} | _all(Plan)
    endpoints = {endpoint.slug for endpoint in document.endpoints or ()} | _all(Endpoint)
    policies = document.policies or ()
    yield from _unknown_names("policies", "plan", (policy.plan for policy in policies), plans)
    yield from _unknown_names("policies", "endpoint", (policy.endpoint for policy in policies), endpoints)
    yield from _unknown_names("clients", "plan", (client.plan for client in document.clients or ()), plans)
    yield from _parent_problems(document.clients or (), only_these=prune_clients)
    yield from override_reference_problems(document, plans)
    yield from grant_reference_problems(document)
    yield from _alert_rule_problems(document, plans, endpoints)


def _parent_problems(clients: Sequence[ClientEntry], *, only_these: bool) -> Iterator[ValidationProblem]:
    stored = Client.objects.none() if only_these else Client.objects.all()
    positions = {client.key: at for at, client in enumerate(clients)}
    for key, message in tree_problems({client.key: client.parent for client in clients}, stored):
        yield ValidationProblem(("clients", positions[key], "parent"), message)


def _alert_rule_problems(document: Document, plans: set[str], endpoints: set[str]) -> Iterator[ValidationProblem]:
    rules = document.alert_rules or ()
    policies = {policy.slug for policy in document.policies or ()} | _all(Policy)
    yield from _unknown_names("alert_rules", "plan", (rule.plan for rule in rules), plans)
    yield from _unknown_names("alert_rules", "endpoint", (rule.endpoint for rule in rules), endpoints)
    yield from _unknown_names("alert_rules", "policy", (rule.policy for rule in rules), policies)
    yield from channel_reference_problems([rule.channels for rule in rules], document.channels or ())


def _all(model: type[Plan] | type[Endpoint] | type[Policy]) -> set[str]:
    return set(model._default_manager.values_list("slug", flat=True))


def _unknown_names(
    section: str, field: str, names: Iterable[str | None], known: Iterable[str]
) -> Iterator[ValidationProblem]:
    known = set(known)
    for at, name in enumerate(names):
        if name is not None and name not in known:
            yield ValidationProblem((section, at, field), f"there is no {field} “{name}”.")


@dataclass(frozen=True, slots=True)
class Unpublished:
    """Data that servers do not need, for display: policy's slug → name, channel's slug → channel, alert rule's name →
    rule, plan's slug → position and price note."""

    policy_names: Mapping[str, str]
    channels: Mapping[str, str]
    alert_rules: Mapping[str, str]
    plan_details: Mapping[str, Details] = field(default_factory=dict)


def read_unpublished() -> Unpublished:
    """Returns the names of all policies, and all alert rules in words, as they are in the database now."""
    rules = AlertRule.objects.select_related("plan", "endpoint", "policy")
    return Unpublished(
        policy_names=dict(Policy.objects.values_list("slug", "name")),
        channels=channels_in_words(),
        alert_rules={rule.name: _describe(rule) for rule in rules},
        plan_details=stored_details(),
    )


def _describe(rule: AlertRule) -> str:
    recipients = ", ".join([*rule.emails, *map(reference_to, rule.webhooks), *rule.channels])
    resolved = "; also when resolved" if rule.notify_resolved else ""
    return f"{rule.sentence}; to {recipients}; at most one message every {rule.cooldown:,} seconds{resolved}"


def unpublished_changes(before: Unpublished, after: Unpublished) -> Iterator[str]:
    """Yields one sentence for each name, channel or alert rule that was added, removed or changed."""
    yield from detail_changes(before.plan_details, after.plan_details)
    for slug in sorted(before.policy_names.keys() & after.policy_names.keys()):
        old, new = before.policy_names[slug], after.policy_names[slug]
        if old != new:
            yield f"Policy {slug}, name: {old or 'none'} → {new or 'none'}."
    for name in sorted(before.alert_rules.keys() | after.alert_rules.keys()):
        yield from _changes_in_words(f"Alert rule “{name}”", before.alert_rules.get(name), after.alert_rules.get(name))
    for slug in sorted(before.channels.keys() | after.channels.keys()):
        yield from _changes_in_words(f"Channel {slug}", before.channels.get(slug), after.channels.get(slug))


def _changes_in_words(subject: str, old: str | None, new: str | None) -> Iterator[str]:
    if old is None:
        yield f"{subject} added ({new})."
    elif new is None:
        yield f"{subject} removed."
    elif old != new:
        yield f"{subject}: {old} → {new}."


def restore_rules(ruleset: Ruleset) -> None:
    """Makes plans, endpoints, policies and overrides of segments those of ``ruleset``, inside the caller's transaction.

    Tokens and blocks are not changed, so that a revoked token stays revoked and nobody is unblocked by accident, and
    neither is the emergency switch. Raises
    :class:`~limits.configfile.reading.InvalidConfig` if a row to be removed is still used, such as a plan
    with clients.
    """
    document = Document(
        plans=ruleset.plans,
        default_plan=ruleset.default_plan,
        endpoints=ruleset.endpoints,
        policies=ruleset.policies,
        policy_names=all_policy_names(),
    )
    write_rules(document, prune=True)
    restore_segment_overrides(ruleset)
    prune_rules(document)


def all_policy_names() -> dict[str, str]:
    """Returns the names of policies, including deleted ones: rulesets do not contain names."""
    were = dict(Policy.history.order_by("history_id").values_list("slug", "name"))
    return were | dict(Policy.objects.values_list("slug", "name"))
