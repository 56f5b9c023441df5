"""What a document refers to: names that neither it nor the database has are refused, all at once."""

from collections.abc import Iterable, Iterator

from limits.configfile.document import Document
from limits.domain.problems import Problem
from limits.domain.words import Partition
from limits.models import Client, Endpoint, Plan, Policy


def reference_problems(document: Document) -> Iterator[Problem]:
    """Yields every name of something that does not exist, and every override of a policy that
    cannot be overridden."""
    plans = {plan.slug for plan in document.plans or ()} | _all(Plan)
    endpoints = {endpoint.slug for endpoint in document.endpoints or ()} | _all(Endpoint)
    policies = document.policies or ()
    yield from _unknown("policies", "plan", (policy.plan for policy in policies), plans)
    yield from _unknown("policies", "endpoint", (policy.endpoint for policy in policies), endpoints)
    yield from _unknown("clients", "plan", (client.plan for client in document.clients or ()), plans)
    yield from _override_problems(document)
    yield from _alert_rule_problems(document, plans, endpoints)


def _override_problems(document: Document) -> Iterator[Problem]:
    entries = document.overrides or ()
    named = [entry.client for entry in entries]
    clients = {client.key for client in document.clients or ()}
    clients |= set(Client.objects.filter(key__in=named).values_list("key", flat=True))
    partitions = dict(Policy.objects.values_list("slug", "partition"))
    partitions |= {policy.slug: policy.partition.value for policy in document.policies or ()}
    yield from _unknown("overrides", "client", named, clients)
    yield from _unknown("overrides", "policy", (entry.policy for entry in entries), partitions.keys())
    for at, entry in enumerate(entries):
        if partitions.get(entry.policy, Partition.CLIENT) != Partition.CLIENT:
            message = "only a policy that counts each client by itself can be overridden."
            yield Problem(("overrides", at, "policy"), message)
        if entry.starts_at and entry.ends_at and entry.ends_at <= entry.starts_at:
            yield Problem(("overrides", at, "ends_at"), "must be after the start.")


def _alert_rule_problems(document: Document, plans: set[str], endpoints: set[str]) -> Iterator[Problem]:
    rules = document.alert_rules or ()
    policies = {policy.slug for policy in document.policies or ()} | _all(Policy)
    yield from _unknown("alert_rules", "plan", (rule.plan for rule in rules), plans)
    yield from _unknown("alert_rules", "endpoint", (rule.endpoint for rule in rules), endpoints)
    yield from _unknown("alert_rules", "policy", (rule.policy for rule in rules), policies)


def _all(model: type[Plan] | type[Endpoint] | type[Policy]) -> set[str]:
    return set(model._default_manager.values_list("slug", flat=True))


def _unknown(section: str, field: str, names: Iterable[str | None], known: Iterable[str]) -> Iterator[Problem]:
    known = set(known)
    for at, name in enumerate(names):
        if name is not None and name not in known:
            yield Problem((section, at, field), f"there is no {field} “{name}”.")
