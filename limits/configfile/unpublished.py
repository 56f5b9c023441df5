"""What a file changes beside the ruleset and the clients: names, and alert rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from limits.models import AlertRule, Policy


@dataclass(frozen=True, slots=True)
class Unpublished:
    """What servers need not know, as people read it: policy's slug → name, alert rule's name → rule."""

    policy_names: Mapping[str, str]
    alert_rules: Mapping[str, str]


def read_unpublished() -> Unpublished:
    """As the rows are now."""
    rules = AlertRule.objects.select_related("plan", "endpoint", "policy")
    return Unpublished(
        policy_names=dict(Policy.objects.values_list("slug", "name")),
        alert_rules={rule.name: _describe(rule) for rule in rules},
    )


def _describe(rule: AlertRule) -> str:
    whom = ", ".join([*rule.emails, *rule.webhooks])
    over = "; also when it is over" if rule.notify_resolved else ""
    return f"{rule.sentence}; to {whom}; a message every {rule.cooldown:,} seconds at most{over}"


def changes(before: Unpublished, after: Unpublished) -> Iterator[str]:
    """One sentence for each thing that is different."""
    for slug in sorted(before.policy_names.keys() & after.policy_names.keys()):
        old, new = before.policy_names[slug], after.policy_names[slug]
        if old != new:
            yield f"Policy {slug}, name: {old or 'none'} → {new or 'none'}."
    for name in sorted(before.alert_rules.keys() | after.alert_rules.keys()):
        yield from _rule_changes(name, before.alert_rules.get(name), after.alert_rules.get(name))


def _rule_changes(name: str, old: str | None, new: str | None) -> Iterator[str]:
    if old is None:
        yield f"Alert rule “{name}” added ({new})."
    elif new is None:
        yield f"Alert rule “{name}” removed."
    elif old != new:
        yield f"Alert rule “{name}”: {old} → {new}."
