"""The database as a config file."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import yaml

from limits.configfile.channels import channel_items
from limits.configfile.grants import grant_items
from limits.configfile.plan_details import stored_details
from limits.configfile.secrets import hide_secrets
from limits.domain.alert_rules import AlertRule as DomainAlertRule
from limits.domain.rule_items import (
    Item,
    item_of_endpoint,
    item_of_plan,
    item_of_policy,
    item_of_segment_override,
    items_of_limits,
    text_of_moment,
    value_unless_default,
    without_empty,
)
from limits.models import AlertRule, Client, Override, SegmentOverride
from limits.models import Policy as PolicyRow
from limits.publishing.rules import read_ruleset
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.dates import optional_moment
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.ruleset import Ruleset


def export(*, secrets: bool = False) -> str:
    """Returns YAML that :mod:`limits.configfile` reads. Applied to an empty platform it results in the same
    rules. ``secrets``: with the secrets of notification channels, which that requires; otherwise, references are in
    their place."""
    return to_yaml(data_of_config(clients=True, secrets=secrets))


def to_yaml(data: Mapping[str, Any]) -> str:
    """The data of a config file as YAML."""
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120)


def data_of_config(*, clients: bool, secrets: bool = False) -> dict[str, Any]:
    """The database as the data of a config file. ``clients``: with these and their grants; ``secrets``: see
    :func:`export`."""
    data = {section: list(items) for section, items in sections_of_config(clients=clients)}
    return data if secrets else hide_secrets(data)


def sections_of_config(*, clients: bool) -> Iterator[tuple[str, Iterable[Item]]]:
    """The database as sections of a config file, with secrets: name and items. Clients and overrides are read as they
    are needed."""
    ruleset = read_ruleset()
    yield from _rules(ruleset).items()
    if clients:
        yield "clients", _clients()
    yield "overrides", chain(_overrides(), _segment_overrides())
    # Earlier releases do not know these sections.
    if clients and (grants := list(grant_items())):
        yield "grants", grants
    if ruleset.blocks:
        yield "blocks", [item_of_block(block) for block in ruleset.blocks]
    if channels := list(channel_items()):
        yield "channels", channels
    yield "alert_rules", _alert_rules()


def _rules(ruleset: Ruleset) -> dict[str, Any]:
    details = stored_details()
    names = dict(PolicyRow.objects.values_list("slug", "name"))
    return {
        "plans": [
            item_of_plan(plan, is_default=plan.slug == ruleset.default_plan) | details[plan.slug]
            for plan in ruleset.plans
        ],
        "endpoints": [item_of_endpoint(endpoint) for endpoint in ruleset.endpoints],
        "policies": [item_of_policy(policy, names[policy.slug]) for policy in ruleset.policies],
    }


def _clients() -> Iterator[dict[str, Any]]:
    for row in Client.objects.order_by("key").select_related("plan", "parent").iterator(chunk_size=2_000):
        yield without_empty(
            {
                "key": row.key,
                "name": row.name or None,
                "plan": row.plan.slug if row.plan else None,
                "status": value_unless_default(ClientStatus(row.status), ClientStatus.ACTIVE),
                "tags": row.tags or None,
                "parent": row.parent.key if row.parent else None,
            }
        )


def _overrides() -> Iterator[dict[str, Any]]:
    rows = Override.objects.order_by("client__key", "policy__slug", "starts_at").select_related("client", "policy")
    yield from map(item_of_override, rows.prefetch_related("limits").iterator(chunk_size=2_000))


def item_of_override(row: Override) -> dict[str, Any]:
    """The item of an override of a client."""
    return without_empty(
        {
            "client": row.client.key,
            "policy": row.policy.slug,
            "limits": items_of_limits(tuple(limit.as_domain() for limit in row.limits.all())),
            "starts_at": text_of_moment(row.starts_at),
            "ends_at": text_of_moment(row.ends_at),
            "reason": row.reason or None,
        }
    )


def _segment_overrides() -> Iterator[dict[str, Any]]:
    """Yields them in the order of their ids: of two that are equally specific, the first applies."""
    for row in SegmentOverride.objects.order_by("pk").select_related("plan", "policy").prefetch_related("limits"):
        yield item_of_segment_override(row.as_domain(), row.reason)


def item_of_block(block: Block) -> dict[str, Any]:
    """The item of a block."""
    item = {
        "client": block.client or None,
        "prefix": block.prefix or None,
        "network": block.network or None,
        "reason": block.reason,
        "ends_at": text_of_moment(optional_moment(block.ends_at)),
    }
    return without_empty(item)


def _alert_rules() -> Iterator[dict[str, Any]]:
    for row in AlertRule.objects.select_related("plan", "endpoint", "policy"):
        yield item_of_alert_rule(row.as_domain())


def item_of_alert_rule(rule: DomainAlertRule) -> dict[str, Any]:
    """The item of an alert rule, with its secrets."""
    threshold = int(rule.threshold) if rule.threshold == int(rule.threshold) else rule.threshold
    item = {
        "name": rule.name,
        "metric": rule.metric.value,
        "threshold": threshold,
        "window": rule.window,
        "client": rule.client,
        "plan": rule.plan,
        "endpoint": rule.endpoint,
        "policy": rule.policy,
        "group_by": rule.group_by.value if rule.group_by else None,
        "cooldown": rule.cooldown,
        "emails": list(rule.emails) or None,
        "webhooks": list(rule.webhooks) or None,
        "channels": list(rule.channels) or None,
        "min_requests": rule.min_requests if rule.min_requests > 1 else None,
        "notify_resolved": rule.notify_resolved or None,
    }
    return without_empty(item)
