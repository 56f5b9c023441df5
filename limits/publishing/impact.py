"""The clients that a change of the rules affects, determined before it goes live."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.utils import timezone

from limits.models import Client, Override
from ratelimit_enforcer.domain.client import MAX_LEVELS
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.segments import Segment


@dataclass(frozen=True, slots=True)
class Impact:
    """``clients``: number of registered clients on the affected plans, in the affected segments, and below those.
    ``unregistered``: unregistered clients are affected too. ``overridden``: number of those clients that
    currently have an override of a changed policy. ``blocks``: number of blocks that begin, change or end."""

    clients: int = 0
    unregistered: bool = False
    overridden: int = 0
    blocks: int = 0

    @property
    def sentence(self) -> str:
        """The impact in words, such as “Affects 1,204 registered clients and all unregistered clients.”"""
        if not self.clients and not self.unregistered and not self.blocks:
            return "Affects no clients."
        parts = [f"{self.clients:,} registered client{'s' if self.clients != 1 else ''}"] if self.clients else []
        parts += ["all unregistered clients"] if self.unregistered else []
        if self.blocks:
            parts.append(f"the requests that {self.blocks:,} block{'s match' if self.blocks != 1 else ' matches'}")
        return f"Affects {' and '.join(parts)}.{self._overridden_sentence}"

    @property
    def _overridden_sentence(self) -> str:
        if not self.overridden:
            return ""
        clients, keep = ("client", "keeps") if self.overridden == 1 else ("clients", "keep")
        return f" {self.overridden:,} {clients} with overrides {keep} individual limits."


def impact(old: Ruleset, new: Ruleset) -> Impact:
    """Returns the clients affected by the change from ``old`` to ``new``. Takes three or four queries."""
    changed = list(_changed_policies(old, new))
    plans = set(_plans(old, new, changed))
    segments = {override.segment for override in set(old.segment_overrides) ^ set(new.segment_overrides)}
    blocks = len({block.subject for block in set(old.blocks) ^ set(new.blocks)})
    if not plans and not segments:
        return Impact(blocks=blocks)
    all_plans = None in plans
    affected = _affected(plans, segments, _inherited_segments(old, new), new.default_plan)
    clients = Client.objects.all() if all_plans else Client.objects.filter(affected)
    return Impact(
        clients=clients.count(),
        unregistered=all_plans
        or new.default_plan in plans
        or any(_includes_unregistered(each, new) for each in segments),
        overridden=_overridden({policy.slug for policy in changed}, clients),
        blocks=blocks,
    )


def _changed_policies(old: Ruleset, new: Ruleset) -> Iterator[Policy]:
    """Yields the policies that were added, removed or changed, in the old and the new form."""
    before, after = set(old.policies), set(new.policies)
    yield from before ^ after


def _plans(old: Ruleset, new: Ruleset, changed: list[Policy]) -> Iterator[str | None]:
    """Yields the affected plans; None: all."""
    if old.shadow_all != new.shadow_all or _requests_differ(old, new):
        yield None
    if old.default_plan != new.default_plan:
        yield new.default_plan
    yield from (policy.plan for policy in changed)


def _requests_differ(old: Ruleset, new: Ruleset) -> bool:
    """Whether endpoints match other requests than before, or have another cost."""
    before = {endpoint.slug: (endpoint.routes, endpoint.cost) for endpoint in old.endpoints}
    after = {endpoint.slug: (endpoint.routes, endpoint.cost) for endpoint in new.endpoints}
    return before != after


def _inherited_segments(old: Ruleset, new: Ruleset) -> set[Segment]:
    """The segments with changed overrides of policies that belong to a plan: those limit the descendants of a client
    too."""
    of_a_plan = {policy.slug for policy in (*old.policies, *new.policies) if policy.plan is not None}
    changed = set(old.segment_overrides) ^ set(new.segment_overrides)
    return {override.segment for override in changed if override.policy in of_a_plan}


_ABOVE = tuple("parent__" * level for level in range(1, MAX_LEVELS))
"""Prefixes of lookups: of the parent, of the ancestor above it, and so on."""


def _affected(plans: set[str | None], segments: set[Segment], inherited: set[Segment], default: str | None) -> Q:
    """Returns a filter for the clients on these plans and in these segments, and for their descendants."""
    affected = _clients_on(plans, default)
    for segment in segments:
        affected |= clients_in(segment, default)
    for above in _ABOVE if Client.objects.filter(parent__isnull=False).exists() else ():
        affected |= _clients_on(plans, default, above)
        for segment in inherited:
            affected |= clients_in(segment, default, above)
    return affected


def _clients_on(plans: set[str | None], default: str | None, above: str = "") -> Q:
    on = Q(**{f"{above}plan__slug__in": [plan for plan in plans if plan is not None]})
    # Without the primary key this would include the ancestors that there are not.
    without = Q(**{f"{above}pk__isnull": False, f"{above}plan": None, f"{above}parent": None})
    return on | without if default in plans else on


def clients_in(segment: Segment, default: str | None, above: str = "") -> Q:
    """Returns a filter for the registered clients of a segment. ``default``: the slug of the default plan. ``above``:
    for clients of which an ancestor is in the segment, the prefix of its lookups, such as ``parent__``."""
    if segment.prefix:
        return Q(**{f"{above}key__startswith": segment.prefix})
    if segment.tags:
        return Q(**{f"{above}tags__contains": list(segment.tags)})
    return _clients_on({segment.plan}, default, above)


def _includes_unregistered(segment: Segment, ruleset: Ruleset) -> bool:
    return bool(segment.prefix) or (segment.plan is not None and segment.plan == ruleset.default_plan)


def _overridden(policies: set[str], clients: QuerySet[Client]) -> int:
    now = timezone.now()
    in_force = (Q(starts_at=None) | Q(starts_at__lte=now)) & (Q(ends_at=None) | Q(ends_at__gt=now))
    rows = Override.objects.filter(in_force, policy__slug__in=policies, policy__partition=Partition.CLIENT.value)
    return rows.filter(client__in=clients).values("client").distinct().count()
