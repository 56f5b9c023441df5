"""Rows → one ruleset. What the rows cannot mean is refused here, whoever wrote them."""

from limits.domain.problems import RulesetRefused
from limits.domain.routes import Route
from limits.domain.ruleset import ApiToken, Endpoint, Plan, Policy, Ruleset
from limits.domain.validation import ruleset_problems
from limits.domain.words import Mode, OnStoreFailure, Partition, Scope
from limits.models import ApiToken as TokenRow
from limits.models import Endpoint as EndpointRow
from limits.models import Plan as PlanRow
from limits.models import Platform
from limits.models import Policy as PolicyRow


def compile_ruleset() -> Ruleset:
    """Reads all rules from the database. Raises :class:`RulesetRefused` with everything wrong."""
    ruleset = read_ruleset()
    if problems := tuple(ruleset_problems(ruleset)):
        raise RulesetRefused(problems)
    return ruleset


def read_ruleset() -> Ruleset:
    """Reads all rules from the database as they are, right or wrong."""
    plans = list(PlanRow.objects.order_by("slug"))
    return Ruleset(
        plans=tuple(Plan(row.slug, row.name) for row in plans),
        default_plan=next((row.slug for row in plans if row.is_default), None),
        endpoints=tuple(map(_endpoint, EndpointRow.objects.order_by("slug").prefetch_related("routes"))),
        policies=tuple(map(_policy, _policy_rows())),
        tokens=tuple(map(_token, TokenRow.objects.filter(revoked_at=None).order_by("name"))),
        shadow_all=Platform.load().shadow_all,
    )


def _policy_rows() -> "list[PolicyRow]":
    rows = PolicyRow.objects.order_by("slug").select_related("plan", "endpoint")
    return list(rows.prefetch_related("limits"))


def _endpoint(row: EndpointRow) -> Endpoint:
    routes = tuple(Route(route.method, route.path) for route in row.routes.all())
    return Endpoint(row.slug, row.name, routes, row.cost)


def _policy(row: PolicyRow) -> Policy:
    return Policy(
        slug=row.slug,
        plan=row.plan.slug if row.plan else None,
        endpoint=row.endpoint.slug if row.endpoint else None,
        partition=Partition(row.partition),
        mode=Mode(row.mode),
        on_store_failure=OnStoreFailure(row.on_store_failure),
        limits=tuple(limit.as_domain() for limit in row.limits.all()),
    )


def _token(row: TokenRow) -> ApiToken:
    return ApiToken(row.name, row.digest, frozenset(Scope(scope) for scope in row.scopes))
