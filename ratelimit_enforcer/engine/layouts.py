"""The limits of one request, packed for the script."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ratelimit_enforcer.domain.enums import Algorithm, ClientStatus, Partition
from ratelimit_enforcer.domain.selection import EffectivePolicy, Selection
from ratelimit_enforcer.store.requests import CounterRef, Part
from ratelimit_enforcer.store.scripts.packing import MAX_VALUES, pack_rules


@dataclass(frozen=True, slots=True)
class Layout:
    """The limits of one request, packed for the script: for clients with this status and plan, on this
    endpoint (None: an unregistered one)."""

    status: ClientStatus
    plan: str | None
    endpoint: str | None
    policies: tuple[EffectivePolicy, ...]
    counters: tuple[CounterRef, ...]
    rules: bytes
    parts: tuple[Part, ...]
    valid_from: int | None
    valid_until: int | None
    longest_place: int = 0
    """The longest window of the concurrency limits in microseconds; 0: there are none."""
    has_grants: bool = False

    @classmethod
    def of(
        cls,
        selection: Selection,
        status: ClientStatus,
        plan: str | None,
        endpoint: str | None,
        now: int,
        max_values: int = MAX_VALUES,
    ) -> "Layout":
        """Packs the limits of a selection. ``now``: microseconds since 1970, within the selection's validity;
        ``max_values``: see :data:`~ratelimit_enforcer.store.scripts.packing.MAX_VALUES`."""
        policies = selection.policies
        pack = partial(
            pack_rules,
            now=now,
            endpoint=endpoint,
            status=status,
            valid_from=selection.valid_from,
            valid_until=selection.valid_until,
            max_values=max_values,
        )
        counters = tuple(counter_of(each) for each in policies)
        parts = _parts(policies, pack) if any(counter.shared for counter in counters) else ()
        valid = selection.valid_from, selection.valid_until
        has_grants = any(counter.has_grants for counter in counters)
        longest_place = _longest_place(policies)
        return cls(status, plan, endpoint, policies, counters, pack(policies), parts, *valid, longest_place, has_grants)

    def is_valid(self, now: int) -> bool:
        """Whether the layout is valid at ``now`` (microseconds since 1970)."""
        begun = self.valid_from is None or self.valid_from <= now
        return begun and (self.valid_until is None or now < self.valid_until)


def _longest_place(policies: Sequence[EffectivePolicy]) -> int:
    limits = (limit for policy in policies for limit in policy.limits)
    return max((limit.window_us for limit in limits if limit.algorithm is Algorithm.CONCURRENCY), default=0)


def counter_of(policy: EffectivePolicy) -> CounterRef:
    """The counter of a policy, as the decider names it."""
    shared = policy.policy.partition is Partition.GLOBAL
    has_places = any(limit.algorithm is Algorithm.CONCURRENCY for limit in policy.limits)
    attributes, has_grants = policy.policy.attributes, bool(policy.grants)
    return CounterRef(policy.policy.slug, shared, attributes, policy.level, has_places, has_grants)


def _parts(policies: Sequence[EffectivePolicy], pack: Callable[[Sequence[EffectivePolicy]], bytes]) -> tuple[Part, ...]:
    """One part for the client's own policies, even if there are none, and one for each global policy."""
    own, shared = [], []
    for at, each in enumerate(policies):
        if each.policy.partition is Partition.CLIENT:
            own.append(at)
        else:
            shared.append([at])
    return tuple(_part(positions, [policies[at] for at in positions], pack) for positions in (own, *shared))


def _part(
    positions: Sequence[int], policies: Sequence[EffectivePolicy], pack: Callable[[Sequence[EffectivePolicy]], bytes]
) -> Part:
    counters = tuple(counter_of(each) for each in policies)
    return Part(counters, pack(policies), tuple(positions), tuple(len(each.limits) for each in policies))


MAX_POLICIES_PER_CALL = 200
"""The number of policies looked up in one call: a script accepts a few thousand keys at most."""
