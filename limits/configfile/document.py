"""Plain data → what the file means, checked as far as that needs no database."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from limits.configfile.reading import ConfigRefused, parse
from limits.configfile.schema import shape_problems
from limits.domain.client import key_problem
from limits.domain.limit import Limit
from limits.domain.problems import Problem
from limits.domain.routes import Route
from limits.domain.ruleset import Endpoint, Plan, Policy, limit_from_json
from limits.domain.validation import limits_problems, route_problem, slug_problem
from limits.domain.words import ClientStatus, Mode, OnStoreFailure, Partition


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """A client of the file. ``plan`` None: the default plan."""

    key: str
    name: str = ""
    plan: str | None = None
    status: ClientStatus = ClientStatus.ACTIVE


@dataclass(frozen=True, slots=True)
class OverrideEntry:
    """An override of the file; client, policy and start tell it from others."""

    client: str
    policy: str
    limits: tuple[Limit, ...]
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Document:
    """A config file. A section that the file does not have is None."""

    plans: Sequence[Plan] | None = None
    default_plan: str | None = None
    endpoints: Sequence[Endpoint] | None = None
    policies: Sequence[Policy] | None = None
    policy_names: dict[str, str] = field(default_factory=dict)
    clients: Sequence[ClientEntry] | None = None
    overrides: Sequence[OverrideEntry] | None = None


def read(text: str) -> Document:
    """Reads a config file. Raises :class:`ConfigRefused` with every problem that it has."""
    data = parse(text)
    data = {} if data is None else data
    problems = list(shape_problems(data)) or list(_content_problems(data))
    if problems:
        raise ConfigRefused(problems)
    return _document(data)


def _content_problems(data: dict[str, Any]) -> Iterator[Problem]:
    for section in ("plans", "endpoints", "policies"):
        yield from _name_problems(data, section, "slug", slug_problem)
    yield from _name_problems(data, "clients", "key", key_problem)
    yield from _default_problems(data.get("plans", ()))
    for at, item in enumerate(data.get("endpoints", ())):
        yield from _route_problems(at, item)
    for section in ("policies", "overrides"):
        for at, item in enumerate(data.get(section, ())):
            yield from _limit_problems((section, at), item)
    for at, item in enumerate(data.get("overrides", ())):
        yield from _time_problems(at, item)


def _name_problems(
    data: dict[str, Any], section: str, field_name: str, problem_of: Callable[[str], str | None]
) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for at, item in enumerate(data.get(section, ())):
        name = item[field_name]
        if message := problem_of(name):
            yield Problem((section, at, field_name), message)
        if first.setdefault(name, at) != at:
            yield Problem((section, at, field_name), f"“{name}” is there already, as {section}[{first[name]}].")


def _default_problems(plans: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    defaults = [at for at, plan in enumerate(plans) if plan.get("default")]
    for at in defaults[1:]:
        yield Problem(("plans", at, "default"), f"plans[{defaults[0]}] is the default already.")


def _route_problems(at: int, item: dict[str, Any]) -> Iterator[Problem]:
    for position, route in enumerate(item.get("routes", ())):
        if message := route_problem(route):
            yield Problem(("endpoints", at, "routes", position), message)


def _limit_problems(here: tuple[str, int], item: dict[str, Any]) -> Iterator[Problem]:
    for place, message in limits_problems(_limits(item)):
        yield Problem((*here, *place), message)


def _time_problems(at: int, item: dict[str, Any]) -> Iterator[Problem]:
    for name in ("starts_at", "ends_at"):
        if (text := item.get(name)) is not None and _moment(text) is None:
            yield Problem(("overrides", at, name), "must be a moment with its zone, such as 2026-12-01T00:00:00Z.")


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else None


def _document(data: dict[str, Any]) -> Document:
    plans = data.get("plans")
    return Document(
        plans=_each(plans, lambda item: Plan(item["slug"], item.get("name", item["slug"]))),
        default_plan=next((item["slug"] for item in plans or () if item.get("default")), None),
        endpoints=_each(data.get("endpoints"), _endpoint),
        policies=_each(data.get("policies"), _policy),
        policy_names={item["slug"]: item.get("name", "") for item in data.get("policies", ())},
        clients=_each(data.get("clients"), _client),
        overrides=_each(data.get("overrides"), _override),
    )


def _each(items: list[dict[str, Any]] | None, make: Any) -> Any:
    return None if items is None else tuple(map(make, items))


def _endpoint(item: dict[str, Any]) -> Endpoint:
    routes = tuple(Route.parse(route) for route in item.get("routes", ()))
    return Endpoint(item["slug"], item.get("name", item["slug"]), routes, item.get("cost", 1))


def _policy(item: dict[str, Any]) -> Policy:
    return Policy(
        slug=item["slug"],
        limits=_limits(item),
        plan=item.get("plan"),
        endpoint=item.get("endpoint"),
        partition=Partition(item.get("partition", Partition.CLIENT)),
        mode=Mode(item.get("mode", Mode.ENFORCE)),
        on_store_failure=OnStoreFailure(item.get("on_store_failure", OnStoreFailure.LOCAL)),
    )


def _limits(item: dict[str, Any]) -> tuple[Limit, ...]:
    return tuple(limit_from_json({"algorithm": "sliding_window"} | limit) for limit in item["limits"])


def _client(item: dict[str, Any]) -> ClientEntry:
    status = ClientStatus(item.get("status", ClientStatus.ACTIVE))
    return ClientEntry(item["key"], item.get("name", ""), item.get("plan"), status)


def _override(item: dict[str, Any]) -> OverrideEntry:
    return OverrideEntry(
        client=item["client"],
        policy=item["policy"],
        limits=_limits(item),
        starts_at=_moment(item.get("starts_at")),
        ends_at=_moment(item.get("ends_at")),
        reason=item.get("reason", ""),
    )
