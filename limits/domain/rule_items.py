"""Rules as plain data, as in the config file: items of the sections for plans, endpoints, policies, and overrides of
segments. A field with its default value is left out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ratelimit_enforcer.domain.attributes import CLIENT, conditions_of, match_of
from ratelimit_enforcer.domain.dates import optional_microseconds, optional_moment
from ratelimit_enforcer.domain.enums import Algorithm, Mode, OnStoreFailure, OverQuota, Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy, limit_from_json, limit_to_json
from ratelimit_enforcer.domain.segments import Segment, SegmentOverride

Item = Mapping[str, Any]


def plan_of_item(item: Item) -> Plan:
    """The plan in an item."""
    return Plan(item["slug"], item.get("name", item["slug"]))


def item_of_plan(plan: Plan, *, is_default: bool) -> dict[str, Any]:
    """The item of a plan."""
    item: dict[str, Any] = {"slug": plan.slug, "name": plan.name}
    return item | {"default": True} if is_default else item


def endpoint_of_item(item: Item) -> Endpoint:
    """The endpoint in an item."""
    routes = tuple(Route.parse(route) for route in item.get("routes", ()))
    return Endpoint(item["slug"], item.get("name", item["slug"]), routes, item.get("cost", 1))


def item_of_endpoint(endpoint: Endpoint) -> dict[str, Any]:
    """The item of an endpoint."""
    routes = [str(route) for route in endpoint.routes]
    return {"slug": endpoint.slug, "name": endpoint.name, "routes": routes, "cost": endpoint.cost}


def policy_of_item(item: Item) -> Policy:
    """The policy in an item, without its name."""
    return Policy(
        slug=item["slug"],
        limits=limits_of_item(item),
        plan=item.get("plan"),
        endpoint=item.get("endpoint"),
        **_partition_fields(item.get("partition", Partition.CLIENT)),
        match=match_of(item.get("match", {})),
        mode=Mode(item.get("mode", Mode.ENFORCE)),
        on_store_failure=OnStoreFailure(item.get("on_store_failure", OnStoreFailure.LOCAL)),
        over_quota=OverQuota(item.get("over_quota", OverQuota.DENY)),
        **_dates_of_item(item),
    )


def item_of_policy(policy: Policy, name: str) -> dict[str, Any]:
    """The item of a policy; ``name``: for people, may be empty."""
    item = {
        "slug": policy.slug,
        "name": name or None,
        "plan": policy.plan,
        "endpoint": policy.endpoint,
        "partition": _partition(policy),
        "match": conditions_of(policy.match) or None,
        "mode": value_unless_default(policy.mode, Mode.ENFORCE),
        "on_store_failure": value_unless_default(policy.on_store_failure, OnStoreFailure.LOCAL),
        "over_quota": value_unless_default(policy.over_quota, OverQuota.DENY),
        **_items_of_dates(policy),
        "limits": items_of_limits(policy.limits),
    }
    return without_empty(item)


def segment_of_item(item: Item) -> Segment:
    """The segment of an override."""
    clients = item["clients"]
    return Segment(clients.get("prefix", ""), tuple(sorted(clients.get("tags", ()))), clients.get("plan"))


def segment_override_of_item(item: Item) -> SegmentOverride:
    """The override of a segment in an item, without its reason."""
    return SegmentOverride(segment_of_item(item), item["policy"], limits_of_item(item), **_dates_of_item(item))


def item_of_segment_override(override: SegmentOverride, reason: str) -> dict[str, Any]:
    """The item of an override of a segment; ``reason`` may be empty."""
    segment = override.segment
    clients = {"tags": list(segment.tags) or None, "plan": segment.plan, "prefix": segment.prefix or None}
    item = {
        "clients": without_empty(clients),
        "policy": override.policy,
        "limits": items_of_limits(override.limits),
        **_items_of_dates(override),
        "reason": reason or None,
    }
    return without_empty(item)


def limits_of_item(item: Item) -> tuple[Limit, ...]:
    """The limits of a policy or override."""
    return tuple(limit_from_json({"algorithm": "sliding_window"} | limit) for limit in item["limits"])


def items_of_limits(limits: tuple[Limit, ...]) -> list[dict[str, Any]]:
    """The field ``limits`` of a policy or override."""
    return [_item_of_limit(limit) for limit in limits]


def _item_of_limit(limit: Limit) -> dict[str, Any]:
    item = limit_to_json(limit)
    if limit.algorithm is Algorithm.SLIDING_WINDOW:
        del item["algorithm"]
    return item


def moment_of_text(text: str | None) -> datetime | None:
    """The time in UTC; None if the text is not a time, has no zone, or is outside the years 1 to 9999."""
    try:
        found = datetime.fromisoformat(text or "")
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None


def text_of_moment(moment: datetime | None) -> str | None:
    """The text of a time in UTC, such as ``2026-12-01T00:00:00Z``."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def without_empty(item: Item) -> dict[str, Any]:
    """The item without fields that are None."""
    return {name: value for name, value in item.items() if value is not None}


def value_unless_default(member: Any, default: Any) -> str | None:
    """The value of a member of an enumeration; None if it is the default."""
    return None if member is default else member.value


def _dates_of_item(item: Item) -> dict[str, Any]:
    return {name: optional_microseconds(moment_of_text(item.get(name))) for name in ("starts_at", "ends_at")}


def _items_of_dates(dated: Policy | SegmentOverride) -> dict[str, str | None]:
    return {
        "starts_at": text_of_moment(optional_moment(dated.starts_at)),
        "ends_at": text_of_moment(optional_moment(dated.ends_at)),
    }


def _partition(policy: Policy) -> str | list[str] | None:
    if policy.attributes:
        return list(policy.partition_names)
    return value_unless_default(policy.partition, Partition.CLIENT)


def _partition_fields(partition: str | list[str]) -> dict[str, Any]:
    if isinstance(partition, str):
        return {"partition": Partition(partition)}
    by_client = Partition.CLIENT if CLIENT in partition else Partition.GLOBAL
    return {"partition": by_client, "attributes": tuple(name for name in partition if name != CLIENT)}
