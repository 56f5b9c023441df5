"""A document → rows, inside the caller's transaction. Rows that are already correct are not written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.contrib.auth.models import AbstractBaseUser
from django.db.models import Model

from limits.configfile.document import ClientEntry, Document
from limits.configfile.reading import InvalidConfig
from limits.domain.alert_rules import AlertRule as DomainAlertRule
from limits.models import AlertRule, Client, Endpoint, Plan, Policy, PolicyLimit, Route
from limits.models.history import create_with_history, update_with_history
from limits.models.trees import lock_trees
from ratelimit_enforcer.domain.attributes import conditions_of
from ratelimit_enforcer.domain.dates import optional_moment
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route as DomainRoute
from ratelimit_enforcer.domain.rules import Endpoint as DomainEndpoint
from ratelimit_enforcer.domain.rules import Policy as DomainPolicy
from ratelimit_enforcer.domain.validation import ValidationProblem

BATCH_SIZE = 5_000


def write_rules(document: Document, *, prune: bool) -> None:
    """Creates and changes plans, endpoints and policies as specified by the document. ``prune``: endpoints
    that it does not name lose their routes."""
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
        Plan.clear_default(Plan.objects.exclude(slug=document.default_plan))
    Plan.clear_default(Plan.objects.filter(slug__in=document.not_default))
    for plan in document.plans or ():
        values: dict[str, Any] = {"name": plan.name, **document.plan_details.get(plan.slug, {})}
        if document.default_plan is not None:
            values["is_default"] = plan.slug == document.default_plan
        write_row(Plan, {"slug": plan.slug}, values)


def _write_endpoints(endpoints: Sequence[DomainEndpoint], *, prune: bool) -> None:
    """Old routes are deleted before any is created: a route may move between endpoints."""
    rows = {e.slug: write_row(Endpoint, {"slug": e.slug}, {"name": e.name, "cost": e.cost}) for e in endpoints}
    changed = [endpoint for endpoint in endpoints if _routes_of(rows[endpoint.slug]) != endpoint.routes]
    Route.objects.filter(endpoint__slug__in=[endpoint.slug for endpoint in changed]).delete()
    if prune:
        Route.objects.exclude(endpoint__slug__in=rows).delete()
    _reject_routes_of_others(endpoints, changed)
    routes = (
        Route(endpoint=rows[endpoint.slug], method=r.method, path=r.path, shape=r.shape, position=position)
        for endpoint in changed
        for position, r in enumerate(endpoint.routes)
    )
    create_with_history(Route, routes)


def _routes_of(row: Endpoint) -> tuple[DomainRoute, ...]:
    return tuple(DomainRoute(route.method, route.path) for route in row.routes.all())


def _reject_routes_of_others(endpoints: Sequence[DomainEndpoint], changed: Sequence[DomainEndpoint]) -> None:
    owners = dict(Route.objects.values_list("shape", "endpoint__slug"))
    slugs = {endpoint.slug for endpoint in changed}
    problems = []
    for at, endpoint in enumerate(endpoints):
        for position, route in enumerate(endpoint.routes if endpoint.slug in slugs else ()):
            if route.shape in owners:
                message = f"“{route}” already belongs to endpoint “{owners[route.shape]}”."
                problems.append(ValidationProblem(("endpoints", at, "routes", position), message))
            owners[route.shape] = endpoint.slug
    if problems:
        raise InvalidConfig(problems)


def _write_policy(policy: DomainPolicy, name: str, parents: dict[str, Any]) -> None:
    values = {
        "name": name,
        "partition": policy.partition.value,
        "attributes": list(policy.attributes),
        "match": conditions_of(policy.match),
        "mode": policy.mode.value,
        "on_store_failure": policy.on_store_failure.value,
        "over_quota": policy.over_quota.value,
        "starts_at": optional_moment(policy.starts_at),
        "ends_at": optional_moment(policy.ends_at),
    }
    row = write_row(Policy, {"slug": policy.slug}, values | parents)
    if tuple(limit.as_domain() for limit in row.limits.all()) != policy.limits:
        row.limits.all().delete()
        create_with_history(PolicyLimit, limit_rows(PolicyLimit, policy.limits, policy=row))


def write_clients(clients: Sequence[ClientEntry]) -> None:
    """Creates and changes clients, in a small number of queries."""
    plans = {row.slug: row for row in Plan.objects.all()}
    for start in range(0, len(clients), BATCH_SIZE):
        _write_clients(clients[start : start + BATCH_SIZE], plans)
    write_parents({client.key: client.parent for client in clients})


def write_parents(parents: Mapping[str, str | None], user: AbstractBaseUser | None = None) -> None:
    """Sets the parents of existing clients: key → key of the parent. They must not contradict each other
    (:func:`~limits.models.trees.tree_problems`). ``user``: the author in the history."""
    keys = list(parents)
    if not any(parents.values()) and not Client.objects.filter(parent__isnull=False).exists():
        return
    lock_trees()
    moving = [
        row
        for start in range(0, len(keys), BATCH_SIZE)
        for row in Client.objects.filter(key__in=keys[start : start + BATCH_SIZE]).select_related("parent")
        if (row.parent.key if row.parent else None) != parents[row.key]
    ]
    # Otherwise, two clients that swap places would be below each other for a moment.
    Client.objects.filter(pk__in=[row.pk for row in moving if row.parent]).update(parent=None)
    ids = dict(Client.objects.filter(key__in={parents[row.key] for row in moving}).values_list("key", "pk"))
    for row in moving:
        row.parent_id = ids.get(parents[row.key] or "")
    update_with_history(Client, moving, ["parent"], user)


def _write_clients(clients: Sequence[ClientEntry], plans: dict[str, Plan]) -> None:
    rows = {row.key: row for row in Client.objects.filter(key__in=[client.key for client in clients])}
    new, changed = [], []
    for client in clients:
        values = {
            "name": client.name,
            "plan_id": _plan_id(plans, client.plan),
            "status": client.status.value,
            "tags": list(client.tags),
        }
        row = rows.get(client.key)
        if row is None:
            new.append(Client(key=client.key, **values))
        elif _differs(row, values):
            changed.append(_set_fields(row, values))
    create_with_history(Client, new)
    update_with_history(Client, changed, ["name", "plan", "status", "tags"])


def write_alert_rules(rules: Sequence[DomainAlertRule]) -> None:
    """Creates and changes rules, which are identified by name."""
    plans = {row.slug: row for row in Plan.objects.all()}
    endpoints = {row.slug: row for row in Endpoint.objects.all()}
    policies = {row.slug: row for row in Policy.objects.all()}
    for rule in rules:
        AlertRule.objects.update_or_create(
            name=rule.name,
            defaults={
                "metric": rule.metric.value,
                "threshold": rule.threshold,
                "window": rule.window,
                "client_key": rule.client or "",
                "plan": plans.get(rule.plan or ""),
                "endpoint": endpoints.get(rule.endpoint or ""),
                "policy": policies.get(rule.policy or ""),
                "group_by": rule.group_by.value if rule.group_by else "",
                "cooldown": rule.cooldown,
                "emails": list(rule.emails),
                "webhooks": list(rule.webhooks),
                "channels": list(rule.channels),
                "min_requests": rule.min_requests,
                "notify_resolved": rule.notify_resolved,
            },
        )


def limit_rows(model: Any, limits: Sequence[Limit], **parent: Model) -> Iterator[Any]:
    """Yields unsaved rows of these limits. ``parent``: the policy or override, by the name of its column."""
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


def write_row(model: Any, identity: dict[str, Any], values: dict[str, Any]) -> Any:
    """Creates the row with this identity, or changes it to these values. Returns the row."""
    row = model.objects.filter(**identity).first()
    if row is None:
        return model.objects.create(**identity, **values)
    if _differs(row, values):
        _set_fields(row, values).save()
    return row


def _differs(row: Model, values: dict[str, Any]) -> bool:
    return any(getattr(row, name) != value for name, value in values.items())


def _set_fields(row: Any, values: dict[str, Any]) -> Any:
    for name, value in values.items():
        setattr(row, name, value)
    return row


def _plan_id(rows: dict[str, Plan], slug: str | None) -> int | None:
    return rows[slug].pk if slug is not None else None
