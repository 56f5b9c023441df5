"""The differences between two rulesets: each change in structured form, and as a sentence."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from limits.domain.descriptions import dates_sentence, limits_sentence
from ratelimit_enforcer.domain.blocks import Block
from ratelimit_enforcer.domain.dates import date_and_time, moment_of, optional_moment
from ratelimit_enforcer.domain.enums import OverQuota
from ratelimit_enforcer.domain.rules import Endpoint, Policy
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset
from ratelimit_enforcer.domain.segments import SegmentOverride
from ratelimit_enforcer.domain.variants import Variant

Facts = dict[str, str]


@dataclass(frozen=True, slots=True)
class Change:
    """One item that was added (``before`` None), removed (``after`` None) or changed. ``fact`` is the part
    that changed; empty if the whole item was added or removed, or is a switch."""

    kind: str
    name: str
    fact: str
    before: str | None
    after: str | None

    @property
    def subject(self) -> str:
        """The kind and the name, such as “Policy free-search”."""
        return f"{self.kind} {self.name}".strip()

    def __str__(self) -> str:
        if self.before is None:
            return f"{self.subject} added ({self.after})."
        if self.after is None:
            return f"{self.subject} {'revoked' if self.kind == 'Token' else 'removed'}."
        return f"{self.subject}{f', {self.fact}' if self.fact else ''}: {self.before} → {self.after}."


def differences(old: Ruleset, new: Ruleset) -> list[str]:
    """Returns one sentence for each item that was added, removed or changed."""
    return list(map(str, changes(old, new)))


def changes(old: Ruleset, new: Ruleset) -> list[Change]:
    """Returns each item that was added, removed or changed, with its old and new value."""
    found = [
        *_compare("Plan", _by_slug(old.plans), _by_slug(new.plans), lambda plan: {"name": plan.name}),
        *_change("Default plan", old.default_plan or "none", new.default_plan or "none"),
        *_compare("Endpoint", _by_slug(old.endpoints), _by_slug(new.endpoints), endpoint_facts),
        *_compare("Policy", _by_slug(old.policies), _by_slug(new.policies), policy_facts),
        *_compare("Override", _by_segment(old), _by_segment(new), _override_facts),
        *_compare("Change set", _by_change(old), _by_change(new), lambda facts: facts),
        *_compare("Block", _by_subject(old), _by_subject(new), _block_facts),
        *_compare("Token", _by_name(old.tokens), _by_name(new.tokens), _token_facts),
    ]
    return [*found, *_switch(old, new)]


def endpoint_facts(endpoint: Endpoint) -> dict[str, str]:
    """Returns name → value in words of everything that can change in an endpoint."""
    routes = ", ".join(map(str, endpoint.routes)) or "none"
    return {"name": endpoint.name, "routes": routes, "cost": str(endpoint.cost)}


def policy_facts(policy: Policy) -> dict[str, str]:
    """Returns name → value in words of everything that can change in a policy."""
    return {
        "plan": policy.plan or "all plans",
        "endpoint": policy.endpoint or "all requests",
        "partition": ", ".join(policy.partition_names) or policy.partition,
        "mode": policy.mode,
        "if Redis is down": policy.on_store_failure,
        **({"over quota": policy.over_quota} if policy.over_quota is not OverQuota.DENY else {}),
        "limits": limits_sentence(policy.limits),
        **({"conditions": str(policy.match)} if policy.match else {}),
        **_dates(policy),
    }


def _override_facts(override: SegmentOverride) -> dict[str, str]:
    return {"limits": limits_sentence(override.limits), **_dates(override)}


def _dates(dated: Policy | SegmentOverride) -> dict[str, str]:
    starts_at, ends_at = optional_moment(dated.starts_at), optional_moment(dated.ends_at)
    return {"dates": dates_sentence(starts_at, ends_at)} if starts_at or ends_at else {}


def _block_facts(block: Block) -> dict[str, str]:
    end = date_and_time(moment_of(block.ends_at)) if block.ends_at is not None else "none"
    return {"end": end, "reason": block.reason}


def _token_facts(token: ApiToken) -> dict[str, str]:
    return {"": ", ".join(sorted(token.scopes))}


def _switch(old: Ruleset, new: Ruleset) -> Iterator[Change]:
    on, off = "on (policies report and do not deny)", "off (policies enforce limits again)"
    if old.shadow_all != new.shadow_all:
        yield Change("Emergency switch", "", "", "on" if old.shadow_all else "off", on if new.shadow_all else off)


def _by_change(ruleset: Ruleset) -> dict[str, Facts]:
    """What is planned: which change set begins when for whom. It begins with the first of its variants; there are more
    if others begin or end in the meantime."""
    return {_name_of_change(variant): _facts_of_change(variant, ruleset) for variant in reversed(ruleset.variants)}


def _name_of_change(variant: Variant) -> str:
    """Where no change set is named, the last one ends."""
    return f"“{variant.change}”" if variant.change else f"end\0{variant.starts_at}"


def _facts_of_change(variant: Variant, ruleset: Ruleset) -> Facts:
    begins = date_and_time(moment_of(variant.starts_at)) if variant.starts_at is not None else "at once"
    return {"begins": begins, "clients": str(ruleset.share) if variant.shared else "all"}


def _by_segment(ruleset: Ruleset) -> dict[str, SegmentOverride]:
    """One segment may have several overrides of a policy, one after another."""
    return {f"of {each.policy} for {each.segment}\0{each.starts_at}": each for each in ruleset.segment_overrides}


def _by_subject(ruleset: Ruleset) -> dict[str, Block]:
    return {f"of {block}": block for block in ruleset.blocks}


def _by_slug(items: Iterable[Any]) -> dict[str, Any]:
    return {item.slug: item for item in items}


def _by_name(tokens: Iterable[ApiToken]) -> dict[str, ApiToken]:
    """A token that was revoked and issued again under the same name is a different token."""
    return {f"“{token.name}”\0{token.digest}": token for token in tokens}


def _change(kind: str, before: str, after: str) -> Iterator[Change]:
    if before != after:
        yield Change(kind, "", "", before, after)


def _compare(kind: str, old: dict[str, Any], new: dict[str, Any], facts: Callable[[Any], Facts]) -> Iterator[Change]:
    for key in sorted(new.keys() - old.keys()):
        yield Change(kind, _shown(key), "", None, _described(facts(new[key])))
    for key in sorted(old.keys() - new.keys()):
        yield Change(kind, _shown(key), "", _described(facts(old[key])), None)
    for key in sorted(old.keys() & new.keys()):
        before, after = facts(old[key]), facts(new[key])
        for fact in before | after:
            was, will_be = before.get(fact, "none"), after.get(fact, "none")
            if was != will_be:
                yield Change(kind, _shown(key), fact, was, will_be)


def _shown(key: str) -> str:
    return key.partition("\0")[0]


def _described(facts: Facts) -> str:
    return "; ".join(f"{name}: {fact}" if name else fact for name, fact in facts.items())
