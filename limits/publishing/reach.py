"""Whom a change of the rules touches, told before it goes live."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils import timezone

from limits.domain.ruleset import Policy, Ruleset
from limits.domain.words import Partition
from limits.models import Client, Override


@dataclass(frozen=True, slots=True)
class Reach:
    """``clients``: registered clients on the plans that change. ``everybody_else``: also callers
    that nobody registered. ``overridden``: how many of the clients have limits of their own in
    place of a changed policy's now."""

    clients: int = 0
    everybody_else: bool = False
    overridden: int = 0

    @property
    def sentence(self) -> str:
        """“It touches 1,204 clients and every caller that is not registered.”"""
        if not self.clients and not self.everybody_else:
            return "It touches no client."
        parts = [f"{self.clients:,} registered client{'s' if self.clients != 1 else ''}"] if self.clients else []
        parts += ["every caller that is not registered"] if self.everybody_else else []
        keep = "keeps" if self.overridden == 1 else "keep"
        own = f" {self.overridden:,} of them {keep} limits of their own, by an override." if self.overridden else ""
        return f"It touches {' and '.join(parts)}.{own}"


def reach(old: Ruleset, new: Ruleset) -> Reach:
    """Whom the step from ``old`` to ``new`` touches. Two or three queries."""
    changed = list(_changed_policies(old, new))
    plans = set(_plans(old, new, changed))
    if not plans:
        return Reach()
    everybody = None in plans
    clients = Client.objects.all() if everybody else Client.objects.filter(_on(plans, new.default_plan))
    return Reach(
        clients=clients.count(),
        everybody_else=everybody or new.default_plan in plans,
        overridden=_overridden({policy.slug for policy in changed}, clients),
    )


def _changed_policies(old: Ruleset, new: Ruleset) -> Iterator[Policy]:
    """Policies that came, went or differ, as they were and as they are."""
    before, after = set(old.policies), set(new.policies)
    yield from before ^ after


def _plans(old: Ruleset, new: Ruleset, changed: list[Policy]) -> Iterator[str | None]:
    """The plans that are touched; None: all."""
    if old.shadow_all != new.shadow_all or _requests_differ(old, new):
        yield None
    if old.default_plan != new.default_plan:
        yield new.default_plan
    yield from (policy.plan for policy in changed)


def _requests_differ(old: Ruleset, new: Ruleset) -> bool:
    """Whether endpoints that were there belong to other requests, or cost something else, now."""
    before = {endpoint.slug: (endpoint.routes, endpoint.cost) for endpoint in old.endpoints}
    after = {endpoint.slug: (endpoint.routes, endpoint.cost) for endpoint in new.endpoints}
    return before != after


def _on(plans: set[str | None], default: str | None) -> Q:
    on = Q(plan__slug__in=[plan for plan in plans if plan is not None])
    return on | Q(plan=None) if default in plans else on


def _overridden(policies: set[str], clients: QuerySet[Client]) -> int:
    now = timezone.now()
    in_force = (Q(starts_at=None) | Q(starts_at__lte=now)) & (Q(ends_at=None) | Q(ends_at__gt=now))
    rows = Override.objects.filter(in_force, policy__slug__in=policies, policy__partition=Partition.CLIENT.value)
    return rows.filter(client__in=clients).values("client").distinct().count()
