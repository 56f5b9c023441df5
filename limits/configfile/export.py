"""The database as a config file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import yaml

from limits.domain.alert_rules import AlertRule as DomainAlertRule
from limits.models import AlertRule, Client, Override, SegmentOverride
from limits.models import Policy as PolicyRow
from limits.publishing.rules import read_ruleset
from ratelimit_enforcer.domain.attributes import conditions_of
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.dates import optional_moment
from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Mode, OnStoreFailure, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy, limit_to_json
from ratelimit_enforcer.domain.ruleset import Ruleset


def export() -> str:
    """Returns YAML that :mod:`limits.configfile` reads. Applied to an empty platform it results in the same
    rules."""
    ruleset = read_ruleset()
    document = {
        **_rules(ruleset),
        "clients": list(_clients()),
        "overrides": [*_overrides(), *_segment_overrides()],
        # Earlier releases do not know the section.
        **({"blocks": [_block(block) for block in ruleset.blocks]} if ruleset.blocks else {}),
        "alert_rules": list(_alert_rules()),
    }
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=120)


def exported_rules() -> dict[str, Any]:
    """The sections for plans, endpoints, policies and overrides of segments, as data."""
    return {**_rules(read_ruleset()), "overrides": list(_segment_overrides())}


def _rules(ruleset: Ruleset) -> dict[str, Any]:
    names = dict(PolicyRow.objects.values_list("slug", "name"))
    return {
        "plans": [_plan(ruleset, plan) for plan in ruleset.plans],
        "endpoints": [_endpoint(endpoint) for endpoint in ruleset.endpoints],
        "policies": [_policy(policy, names[policy.slug]) for policy in ruleset.policies],
    }


def _plan(ruleset: Ruleset, plan: Plan) -> dict[str, Any]:
    item: dict[str, Any] = {"slug": plan.slug, "name": plan.name}
    return item | {"default": True} if plan.slug == ruleset.default_plan else item


def _endpoint(endpoint: Endpoint) -> dict[str, Any]:
    routes = [str(route) for route in endpoint.routes]
    return {"slug": endpoint.slug, "name": endpoint.name, "routes": routes, "cost": endpoint.cost}


def _policy(policy: Policy, name: str) -> dict[str, Any]:
    item = {
        "slug": policy.slug,
        "name": name or None,
        "plan": policy.plan,
        "endpoint": policy.endpoint,
        "partition": _partition(policy),
        "match": conditions_of(policy.match) or None,
        "mode": _none_if_default(policy.mode, Mode.ENFORCE),
        "on_store_failure": _none_if_default(policy.on_store_failure, OnStoreFailure.LOCAL),
        "starts_at": _date(policy.starts_at),
        "ends_at": _date(policy.ends_at),
        "limits": [_limit(limit) for limit in policy.limits],
    }
    return _without_empty(item)


def _partition(policy: Policy) -> str | list[str] | None:
    if policy.attributes:
        return list(policy.partition_names)
    return _none_if_default(policy.partition, Partition.CLIENT)


def _limit(limit: Limit) -> dict[str, Any]:
    item = limit_to_json(limit)
    if limit.algorithm is Algorithm.SLIDING_WINDOW:
        del item["algorithm"]
    return item


def _clients() -> Iterator[dict[str, Any]]:
    for row in Client.objects.order_by("key").select_related("plan", "parent").iterator(chunk_size=2_000):
        yield _without_empty(
            {
                "key": row.key,
                "name": row.name or None,
                "plan": row.plan.slug if row.plan else None,
                "status": _none_if_default(ClientStatus(row.status), ClientStatus.ACTIVE),
                "tags": row.tags or None,
                "parent": row.parent.key if row.parent else None,
            }
        )


def _overrides() -> Iterator[dict[str, Any]]:
    rows = Override.objects.order_by("client__key", "policy__slug", "starts_at").select_related("client", "policy")
    for row in rows.prefetch_related("limits"):
        yield _without_empty(
            {
                "client": row.client.key,
                "policy": row.policy.slug,
                "limits": [_limit(limit.as_domain()) for limit in row.limits.all()],
                "starts_at": _moment(row.starts_at),
                "ends_at": _moment(row.ends_at),
                "reason": row.reason or None,
            }
        )


def _segment_overrides() -> Iterator[dict[str, Any]]:
    """Yields them in the order of their ids: of two that are equally specific, the first applies."""
    for row in SegmentOverride.objects.order_by("pk").select_related("plan", "policy").prefetch_related("limits"):
        segment = row.segment
        clients = {"tags": list(segment.tags) or None, "plan": segment.plan, "prefix": segment.prefix or None}
        yield _without_empty(
            {
                "clients": _without_empty(clients),
                "policy": row.policy.slug,
                "limits": [_limit(limit.as_domain()) for limit in row.limits.all()],
                "starts_at": _moment(row.starts_at),
                "ends_at": _moment(row.ends_at),
                "reason": row.reason or None,
            }
        )


def _block(block: Block) -> dict[str, Any]:
    item = {
        "client": block.client or None,
        "prefix": block.prefix or None,
        "network": block.network or None,
        "reason": block.reason,
        "ends_at": _date(block.ends_at),
    }
    return _without_empty(item)


def _alert_rules() -> Iterator[dict[str, Any]]:
    for row in AlertRule.objects.select_related("plan", "endpoint", "policy"):
        yield _alert_rule(row.as_domain())


def _alert_rule(rule: DomainAlertRule) -> dict[str, Any]:
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
        "min_requests": rule.min_requests if rule.min_requests > 1 else None,
        "notify_resolved": rule.notify_resolved or None,
    }
    return _without_empty(item)


def _date(microseconds: int | None) -> str | None:
    return _moment(optional_moment(microseconds))


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def _none_if_default(member: Any, default: Any) -> str | None:
    return None if member is default else member.value


def _without_empty(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if value is not None}
