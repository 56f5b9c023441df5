"""Plain data → what the file means, checked as far as that needs no database."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from limits.configfile import alert_rules
from limits.configfile.alert_rules import alert_rule
from limits.configfile.reading import ConfigRefused, parse
from limits.configfile.schema import shape_problems
from limits.domain.alerting import AlertRule
from limits.domain.client import Override, key_problem, microseconds
from limits.domain.limit import Limit
from limits.domain.problems import Problem
from limits.domain.routes import Route
from limits.domain.ruleset import Endpoint, Plan, Policy, limit_from_json
from limits.domain.validation import cost_problem, limits_problems, overlapping, route_problem, slug_problem
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

    def as_domain(self) -> Override:
        """The override as the rest of the platform knows it."""
        return Override(self.policy, self.limits, _microseconds(self.starts_at), _microseconds(self.ends_at))


@dataclass(frozen=True, slots=True)
class Document:
    """A config file. A section that the file does not have is None."""

    plans: Sequence[Plan] | None = None
    default_plan: str | None = None
    not_default: frozenset[str] = frozenset()
    """Plans of which the file says that they are not the default."""
    endpoints: Sequence[Endpoint] | None = None
    policies: Sequence[Policy] | None = None
    policy_names: dict[str, str] = field(default_factory=dict)
    clients: Sequence[ClientEntry] | None = None
    overrides: Sequence[OverrideEntry] | None = None
    alert_rules: Sequence[AlertRule] | None = None


def read(text: str) -> Document:
    """Reads a config file. Raises :class:`ConfigRefused` with every problem that it has."""
    data = parse(text)
    data = {} if data is None else data
    problems = list(shape_problems(data))
    if isinstance(data, dict):
        # What has its shape is read on, so that all problems are named at once.
        misshapen = {problem.location[0] for problem in problems}
        problems += _content_problems({name: items for name, items in data.items() if name not in misshapen})
    if problems:
        raise ConfigRefused(problems)
    return _document(data)


def _content_problems(data: dict[str, Any]) -> Iterator[Problem]:
    for section in ("plans", "endpoints", "policies"):
        yield from _name_problems(data, section, "slug", slug_problem)
    yield from _name_problems(data, "clients", "key", key_problem)
    yield from _name_problems(data, "alert_rules", "name", _empty_problem)
    yield from alert_rules.content_problems(data.get("alert_rules", ()))
    yield from _default_problems(data.get("plans", ()))
    for at, item in enumerate(data.get("endpoints", ())):
        yield from _route_problems(at, item)
        if message := cost_problem(item.get("cost", 1)):
            yield Problem(("endpoints", at, "cost"), message)
    for section in ("policies", "overrides"):
        for at, item in enumerate(data.get(section, ())):
            yield from _limit_problems((section, at), item)
    overrides = data.get("overrides", ())
    yield from _client_problems("overrides", overrides)
    yield from _client_problems("alert_rules", data.get("alert_rules", ()))
    times = [problem for at, item in enumerate(overrides) for problem in _time_problems(at, item)]
    yield from times or _overlap_problems(overrides)


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


def _client_problems(section: str, items: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Yields keys that no client can have: the database could not even be asked for them."""
    for at, item in enumerate(items):
        key = item.get("client")
        if key is not None and (message := key_problem(key)):
            yield Problem((section, at, "client"), message)


def _empty_problem(name: str) -> str | None:
    return None if name.strip() else "must not be empty."


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


def _overlap_problems(items: Sequence[dict[str, Any]]) -> Iterator[Problem]:
    """Yields overrides of one client and policy that are in force at one moment."""
    groups: dict[tuple[str, str], list[tuple[int, Override]]] = {}
    for at, item in enumerate(items):
        entry = _override(item)
        groups.setdefault((entry.client, entry.policy), []).append((at, entry.as_domain()))
    clashes: dict[int, int] = {}
    for group in groups.values():
        places = [at for at, _ in group]
        for later, earlier in overlapping([override for _, override in group]):
            clashes.setdefault(places[later], places[earlier])
    for at in sorted(clashes):
        yield Problem(("overrides", at), f"overlaps overrides[{clashes[at]}] of this client and policy.")


def _microseconds(moment: datetime | None) -> int | None:
    return microseconds(moment) if moment else None


def _moment(text: str | None) -> datetime | None:
    """In UTC; None where it is no moment, has no zone, or lies outside the years 1 to 9999."""
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.astimezone(UTC) if moment.tzinfo else None
    except (ValueError, OverflowError):
        return None


def _document(data: dict[str, Any]) -> Document:
    plans = data.get("plans")
    return Document(
        plans=_each(plans, lambda item: Plan(item["slug"], item.get("name", item["slug"]))),
        default_plan=next((item["slug"] for item in plans or () if item.get("default")), None),
        not_default=frozenset(item["slug"] for item in plans or () if item.get("default") is False),
        endpoints=_each(data.get("endpoints"), _endpoint),
        policies=_each(data.get("policies"), _policy),
        policy_names={item["slug"]: item.get("name", "") for item in data.get("policies", ())},
        clients=_each(data.get("clients"), _client),
        overrides=_each(data.get("overrides"), _override),
        alert_rules=_each(data.get("alert_rules"), alert_rule),
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
