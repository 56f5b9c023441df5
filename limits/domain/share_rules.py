"""What a change set may not change while only a share of the clients has it."""

from collections.abc import Iterator

from limits.domain.edits import State
from limits.domain.states import rules_of_state
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.rules import Policy, Rules


def share_problems(live: State, draft: State) -> Iterator[str]:
    """Yields what cannot be tried on a share: endpoints and the default plan, which are found before or without the
    client, and policies that count several clients together, of which some would be counted by other rules."""
    before, after = rules_of_state(live), rules_of_state(draft)
    if before.endpoints != after.endpoints:
        yield "Endpoints cannot differ for a share of the clients: publish them for all first."
    if before.default_plan != after.default_plan:
        yield "The default plan cannot differ for a share of the clients."
    changed = [policy for policy in (*before.policies, *after.policies) if not _is_in_both(policy, before, after)]
    for slug in sorted({policy.slug for policy in changed if policy.partition is not Partition.CLIENT}):
        yield f"Policy {slug} counts several clients together, and cannot differ for a share of them."


def _is_in_both(policy: Policy, before: Rules, after: Rules) -> bool:
    return policy in before.policies and policy in after.policies
