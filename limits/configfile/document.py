"""Plain data → document, with all checks that do not need the database, except for references to secrets."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from limits.configfile.blocks import block_entry, block_entry_problems
from limits.configfile.channels import ChannelEntry, channel_entry, channel_entry_problems
from limits.configfile.grant_entries import GrantEntry, grant_entry, grant_entry_problems
from limits.configfile.items import client_problems, date_problems, limit_problems
from limits.configfile.override_entries import OverrideEntry, SegmentOverrideEntry, override_entry, override_problems
from limits.configfile.plan_details import Details, detail_problems, details_of_items
from limits.configfile.reading import InvalidConfig, parse
from limits.configfile.schema import shape_problems
from limits.configfile.secrets import restore_secrets
from limits.domain.alert_rules import AlertRule, alert_rule_problems
from limits.domain.rule_items import endpoint_of_item, plan_of_item, policy_of_item
from limits.models.alerts import webhook_problems
from ratelimit_enforcer.domain.attributes import CLIENT
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.enums import AlertMetric, Algorithm, ClientStatus, GroupBy, OverQuota, Partition
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.validation import (
    NEEDS_CALENDAR_LIMIT,
    ValidationProblem,
    conditions_problems,
    cost_problem,
    partition_problem,
    route_problem,
    slug_problem,
    tags_problem,
)

MAX_EMAIL_LENGTH = 254
"""RFC 3696, erratum 1690; the length of the column as well."""

_NO_GROUPS = (None, "none")
_OPTIONAL_RULE_FIELDS = ("window", "cooldown", "min_requests", "notify_resolved")


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """A client in the file. ``plan`` None: the default plan, or none if there is a ``parent`` (the key)."""

    key: str
    name: str = ""
    plan: str | None = None
    status: ClientStatus = ClientStatus.ACTIVE
    tags: tuple[str, ...] = ()
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """A config file. A section that is missing in the file is None."""

    plans: Sequence[Plan] | None = None
    default_plan: str | None = None
    not_default: frozenset[str] = frozenset()
    """Plans that the file declares not to be the default."""
    plan_details: Mapping[str, Details] = field(default_factory=dict)
    """Slug → position and price note, if the file has them."""
    endpoints: Sequence[Endpoint] | None = None
    policies: Sequence[Policy] | None = None
    policy_names: dict[str, str] = field(default_factory=dict)
    clients: Sequence[ClientEntry] | None = None
    overrides: Sequence[OverrideEntry | SegmentOverrideEntry] | None = None
    grants: Sequence[GrantEntry] | None = None
    blocks: Sequence[Block] | None = None
    channels: Sequence[ChannelEntry] | None = None
    alert_rules: Sequence[AlertRule] | None = None


def read(text: str) -> Document:
    """Reads a config file. Raises :class:`InvalidConfig` with all of its problems."""
    data = parse(text)
    return document_of({} if data is None else data)


def document_of(data: Any) -> Document:
    """Returns the document in the plain data of a config file. Raises :class:`InvalidConfig` with all problems."""
    problems = list(shape_problems(data))
    if isinstance(data, dict):
        # Sections with a valid shape are read further, so that all problems are reported at once.
        data, unknown = restore_secrets(_without(problems, data))
        problems += [*unknown, *_content_problems(_without(unknown, data))]
    if problems:
        raise InvalidConfig(problems)
    return _document(data)


def _without(problems: Iterable[ValidationProblem], data: dict[str, Any]) -> dict[str, Any]:
    """The data without the sections that have these problems."""
    sections = {problem.location[0] for problem in problems if problem.location}
    return {name: items for name, items in data.items() if name not in sections}


def _content_problems(data: dict[str, Any]) -> Iterator[ValidationProblem]:
    for section in ("plans", "endpoints", "policies", "channels"):
        yield from _name_problems(data, section, "slug", slug_problem)
    yield from _name_problems(data, "clients", "key", key_problem)
    yield from _name_problems(data, "alert_rules", "name", _empty_problem)
    yield from _alert_rule_problems(data.get("alert_rules", ()))
    yield from channel_entry_problems(data.get("channels", ()))
    yield from _default_problems(data.get("plans", ()))
    yield from detail_problems(data.get("plans", ()))
    for at, item in enumerate(data.get("endpoints", ())):
        yield from _route_problems(at, item)
        if message := cost_problem(item.get("cost", 1)):
            yield ValidationProblem(("endpoints", at, "cost"), message)
    yield from _policy_problems(data.get("policies", ()))
    for section in ("policies", "overrides"):
        yield from limit_problems(section, data.get(section, ()))
        yield from date_problems(section, data.get(section, ()))
    yield from override_problems(data.get("overrides", ()))
    yield from grant_entry_problems(data.get("grants", ()))
    yield from date_problems("blocks", data.get("blocks", ()))
    yield from block_entry_problems(data.get("blocks", ()))
    yield from client_problems("alert_rules", data.get("alert_rules", ()))
    for at, item in enumerate(data.get("clients", ())):
        if message := tags_problem(item.get("tags", ())):
            yield ValidationProblem(("clients", at, "tags"), message)
        if (parent := item.get("parent")) is not None and (message := key_problem(parent)):
            yield ValidationProblem(("clients", at, "parent"), message)


def _name_problems(
    data: dict[str, Any], section: str, field_name: str, problem_of: Callable[[str], str | None]
) -> Iterator[ValidationProblem]:
    first: dict[str, int] = {}
    for at, item in enumerate(data.get(section, ())):
        name = item[field_name]
        if message := problem_of(name):
            yield ValidationProblem((section, at, field_name), message)
        if first.setdefault(name, at) != at:
            yield ValidationProblem((section, at, field_name), f"“{name}” is a duplicate of {section}[{first[name]}].")


def _empty_problem(name: str) -> str | None:
    return None if name.strip() else "must not be empty."


def _alert_rule_problems(items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    for at, item in enumerate(items):
        for name, message in alert_rule_problems(_alert_rule(item)):
            yield ValidationProblem(("alert_rules", at, name), message)
        for position, address in enumerate(item.get("emails", ())):
            if not _is_address(address):
                yield ValidationProblem(("alert_rules", at, "emails", position), "must be an email address.")
        for name, message in webhook_problems(item.get("webhooks", ())):
            yield ValidationProblem(("alert_rules", at, name), message)


def _is_address(text: str) -> bool:
    if len(text) > MAX_EMAIL_LENGTH:
        return False
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def _default_problems(plans: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    defaults = [at for at, plan in enumerate(plans) if plan.get("default")]
    for at in defaults[1:]:
        yield ValidationProblem(("plans", at, "default"), f"plans[{defaults[0]}] is already the default.")


def _policy_problems(items: Sequence[dict[str, Any]]) -> Iterator[ValidationProblem]:
    for at, item in enumerate(items):
        if message := _partition_problem(item.get("partition", Partition.CLIENT)):
            yield ValidationProblem(("policies", at, "partition"), message)
        has_calendar_limit = any(limit.get("algorithm") == Algorithm.CALENDAR for limit in item["limits"])
        if item.get("over_quota") == OverQuota.COUNT and not has_calendar_limit:
            yield ValidationProblem(("policies", at, "over_quota"), NEEDS_CALENDAR_LIMIT)
        for name, message in conditions_problems(item.get("match", {})):
            yield ValidationProblem(("policies", at, "match", *([name] if name else [])), message)


def _partition_problem(partition: str | list[str]) -> str | None:
    if isinstance(partition, str):
        return None
    if not partition:
        return "must not be an empty list; use global to count all clients together."
    if len(set(partition)) < len(partition):
        return "must not name anything twice."
    return partition_problem([name for name in partition if name != CLIENT])


def _route_problems(at: int, item: dict[str, Any]) -> Iterator[ValidationProblem]:
    for position, route in enumerate(item.get("routes", ())):
        if message := route_problem(route):
            yield ValidationProblem(("endpoints", at, "routes", position), message)


def _document(data: dict[str, Any]) -> Document:
    plans = data.get("plans")
    return Document(
        plans=_map_items(plans, plan_of_item),
        default_plan=next((item["slug"] for item in plans or () if item.get("default")), None),
        not_default=frozenset(item["slug"] for item in plans or () if item.get("default") is False),
        plan_details=details_of_items(plans),
        endpoints=_map_items(data.get("endpoints"), endpoint_of_item),
        policies=_map_items(data.get("policies"), policy_of_item),
        policy_names={item["slug"]: item.get("name", "") for item in data.get("policies", ())},
        clients=_map_items(data.get("clients"), _client),
        overrides=_map_items(data.get("overrides"), override_entry),
        grants=_map_items(data.get("grants"), grant_entry),
        blocks=_map_items(data.get("blocks"), block_entry),
        channels=_map_items(data.get("channels"), channel_entry),
        alert_rules=_map_items(data.get("alert_rules"), _alert_rule),
    )


def _map_items(items: list[dict[str, Any]] | None, make: Any) -> Any:
    return None if items is None else tuple(map(make, items))


def _client(item: dict[str, Any]) -> ClientEntry:
    status = ClientStatus(item.get("status", ClientStatus.ACTIVE))
    tags = tuple(sorted(item.get("tags", ())))
    return ClientEntry(item["key"], item.get("name", ""), item.get("plan"), status, tags, item.get("parent"))


def _alert_rule(item: dict[str, Any]) -> AlertRule:
    group_by = item.get("group_by")
    optional = {name: item[name] for name in _OPTIONAL_RULE_FIELDS if name in item}
    return AlertRule(
        name=item["name"],
        metric=AlertMetric(item["metric"]),
        threshold=item["threshold"],
        client=item.get("client"),
        plan=item.get("plan"),
        endpoint=item.get("endpoint"),
        policy=item.get("policy"),
        group_by=None if group_by in _NO_GROUPS else GroupBy(group_by),
        emails=tuple(item.get("emails", ())),
        webhooks=tuple(item.get("webhooks", ())),
        channels=tuple(item.get("channels", ())),
        **optional,
    )
