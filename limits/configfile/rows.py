"""A document → rows, inside the caller's transaction. Rows that are right already stay untouched."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Model

from limits.configfile.document import ClientEntry, Document, OverrideEntry
from limits.configfile.reading import ConfigRefused
from limits.domain.client import Override as DomainOverride
from limits.domain.client import microseconds
from limits.domain.limit import Limit
from limits.domain.problems import Problem
from limits.domain.routes import Route as DomainRoute
from limits.domain.ruleset import Endpoint as DomainEndpoint
from limits.domain.ruleset import Policy as DomainPolicy
from limits.domain.validation import overlapping
from limits.models import Client, Endpoint, Override, OverrideLimit, Plan, Policy, PolicyLimit, Route
from limits.models.history import create_with_history, update_with_history

BATCH = 5_000


def write_rules(document: Document, *, prune: bool) -> None:
    """Creates and changes plans, endpoints and policies as the document says. ``prune``: endpoints
    that it does not name give up their routes."""
    _write_plans(document)
    if document.endpoints is not None:
        _write_endpoints(document.endpoints, prune=prune)
    plans = {row.slug: row for row in Plan.objects.all()}
    endpoints = {row.slug: row for row in Endpoint.objects.all()}
    for policy in document.policies or ():
        parents = {"plan": plans.get(policy.plan or ""), "endpoint": endpoints.get(policy.endpoint or "")}
        _write_policy(policy, document.policy_names.get(policy.slug, ""), parents)


def _write_plans(document: Document) -> None:
    if document.default_plan is not None:
        Plan.end_defaults(Plan.objects.exclude(slug=document.default_plan))
    Plan.end_defaults(Plan.objects.filter(slug__in=document.not_default))
    for plan in document.plans or ():
        wanted = {"name": plan.name}
        if document.default_plan is not None:
            wanted["is_default"] = plan.slug == document.default_plan  # type: ignore[assignment]
        _write(Plan, {"slug": plan.slug}, wanted)


def _write_endpoints(endpoints: Sequence[DomainEndpoint], *, prune: bool) -> None:
    """Routes that go are deleted before any is created: a route may move between endpoints."""
    rows = {e.slug: _write(Endpoint, {"slug": e.slug}, {"name": e.name, "cost": e.cost}) for e in endpoints}
    changed = [endpoint for endpoint in endpoints if _routes_of(rows[endpoint.slug]) != endpoint.routes]
    Route.objects.filter(endpoint__slug__in=[endpoint.slug for endpoint in changed]).delete()
    if prune:
        Route.objects.exclude(endpoint__slug__in=rows).delete()
    _refuse_taken_routes(endpoints, changed)
    routes = (
        Route(endpoint=rows[endpoint.slug], method=r.method, path=r.path, shape=r.shape, position=position)
        for endpoint in changed
        for position, r in enumerate(endpoint.routes)
    )
    create_with_history(Route, routes)


def _routes_of(row: Endpoint) -> tuple[DomainRoute, ...]:
    return tuple(DomainRoute(route.method, route.path) for route in row.routes.all())


def _refuse_taken_routes(endpoints: Sequence[DomainEndpoint], changed: Sequence[DomainEndpoint]) -> None:
    owners = dict(Route.objects.values_list("shape", "endpoint__slug"))
    slugs = {endpoint.slug for endpoint in changed}
    problems = []
    for at, endpoint in enumerate(endpoints):
        for position, route in enumerate(endpoint.routes if endpoint.slug in slugs else ()):
            if route.shape in owners:
                message = f"“{route}” belongs to endpoint “{owners[route.shape]}” already."
                problems.append(Problem(("endpoints", at, "routes", position), message))
            owners[route.shape] = endpoint.slug
    if problems:
        raise ConfigRefused(problems)


def _write_policy(policy: DomainPolicy, name: str, parents: dict[str, Any]) -> None:
    wanted = {
        "name": name,
        "partition": policy.partition.value,
        "mode": policy.mode.value,
        "on_store_failure": policy.on_store_failure.value,
    }
    row = _write(Policy, {"slug": policy.slug}, wanted | parents)
    if tuple(limit.as_domain() for limit in row.limits.all()) != policy.limits:
        row.limits.all().delete()
        create_with_history(PolicyLimit, _limit_rows(PolicyLimit, policy.limits, policy=row))


def write_clients(clients: Sequence[ClientEntry]) -> None:
    """Creates and changes clients, in few queries however many there are."""
    plans = {row.slug: row for row in Plan.objects.all()}
    for start in range(0, len(clients), BATCH):
        _write_clients(clients[start : start + BATCH], plans)


def _write_clients(clients: Sequence[ClientEntry], plans: dict[str, Plan]) -> None:
    rows = {row.key: row for row in Client.objects.filter(key__in=[client.key for client in clients])}
    new, changed = [], []
    for client in clients:
        wanted = {"name": client.name, "plan_id": _id(plans, client.plan), "status": client.status.value}
        row = rows.get(client.key)
        if row is None:
            new.append(Client(key=client.key, **wanted))
        elif _differs(row, wanted):
            changed.append(_with(row, wanted))
    create_with_history(Client, new)
    update_with_history(Client, changed, ["name", "plan", "status"])


def write_overrides(overrides: Sequence[OverrideEntry]) -> None:
    """Creates and changes overrides. Client, policy and start tell one from another."""
    rows = _rows_of(overrides)
    _refuse_overlaps(overrides, rows)
    # Those that become shorter first, the new ones last: so no two ever overlap on the way.
    for entry in sorted(overrides, key=lambda entry: _order(entry, rows.get(_identity(entry)))):
        _write_override(entry)


def _rows_of(overrides: Sequence[OverrideEntry]) -> dict[tuple[str, str, datetime | None], Override]:
    """All overrides of the clients that the file has overrides for."""
    keys = {entry.client for entry in overrides}
    rows = Override.objects.filter(client__key__in=keys).select_related("client", "policy")
    return {(row.client.key, row.policy.slug, row.starts_at): row for row in rows}


def _identity(entry: OverrideEntry) -> tuple[str, str, datetime | None]:
    return entry.client, entry.policy, entry.starts_at


def _order(entry: OverrideEntry, row: Override | None) -> int:
    if row is None:
        return 2
    shrinks = entry.ends_at is not None and (row.ends_at is None or entry.ends_at < row.ends_at)
    return 0 if shrinks else 1


def _refuse_overlaps(
    overrides: Sequence[OverrideEntry], rows: Mapping[tuple[str, str, datetime | None], Override]
) -> None:
    """Rows that the file names are what it says of them; the others stay as they are."""
    named = {_identity(entry) for entry in overrides}
    groups: defaultdict[tuple[str, str], list[tuple[int | None, DomainOverride]]] = defaultdict(list)
    for (client, policy, _), row in ((identity, row) for identity, row in rows.items() if identity not in named):
        groups[client, policy].append((None, _span(row)))
    for at, entry in enumerate(overrides):
        groups[entry.client, entry.policy].append((at, entry.as_domain()))
    places = sorted({place for group in groups.values() for place in _overlapping(group)})
    if places:
        message = "overlaps another override of this client and policy."
        raise ConfigRefused([Problem(("overrides", at), message) for at in places])


def _overlapping(group: list[tuple[int | None, DomainOverride]]) -> Iterator[int]:
    for pair in overlapping([override for _, override in group]):
        yield from (at for at in (group[position][0] for position in pair) if at is not None)


def _span(row: Override) -> DomainOverride:
    starts_at = microseconds(row.starts_at) if row.starts_at else None
    return DomainOverride(row.policy.slug, (), starts_at, microseconds(row.ends_at) if row.ends_at else None)


def _write_override(entry: OverrideEntry) -> None:
    client, policy = Client.objects.get(key=entry.client), Policy.objects.get(slug=entry.policy)
    identity = {"client": client, "policy": policy, "starts_at": entry.starts_at}
    row = _write(Override, identity, {"ends_at": entry.ends_at, "reason": entry.reason})
    if tuple(limit.as_domain() for limit in row.limits.all()) != entry.limits:
        row.limits.all().delete()
        create_with_history(OverrideLimit, _limit_rows(OverrideLimit, entry.limits, override=row))


def _limit_rows(model: Any, limits: Sequence[Limit], **parent: Model) -> Iterator[Any]:
    for position, limit in enumerate(limits):
        yield model(
            quota=limit.quota,
            window=limit.window,
            algorithm=limit.algorithm.value,
            burst=limit.burst,
            period=limit.period.value if limit.period else None,
            timezone=limit.timezone,
            position=position,
            **parent,
        )


def _write(model: Any, identity: dict[str, Any], wanted: dict[str, Any]) -> Any:
    row = model.objects.filter(**identity).first()
    if row is None:
        return model.objects.create(**identity, **wanted)
    if _differs(row, wanted):
        _with(row, wanted).save()
    return row


def _differs(row: Model, wanted: dict[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in wanted.items())


def _with(row: Any, wanted: dict[str, Any]) -> Any:
    for name, value in wanted.items():
        setattr(row, name, value)
    return row


def _id(rows: dict[str, Plan], slug: str | None) -> int | None:
    return rows[slug].pk if slug is not None else None
