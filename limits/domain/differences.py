"""What changed between two rulesets, in sentences that a person reads."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from limits.domain.ruleset import Endpoint, Policy, Ruleset
from limits.domain.wording import limits_sentence


def differences(old: Ruleset, new: Ruleset) -> list[str]:
    """One sentence for each thing that was added, removed or changed."""
    return [*_plans(old, new), *_endpoints(old, new), *_policies(old, new), *_tokens(old, new), *_switch(old, new)]


def _plans(old: Ruleset, new: Ruleset) -> Iterator[str]:
    yield from _compare("Plan", _by_slug(old.plans), _by_slug(new.plans), lambda plan: {"name": plan.name})
    if old.default_plan != new.default_plan:
        yield f"Default plan: {old.default_plan or 'none'} → {new.default_plan or 'none'}."


def _endpoints(old: Ruleset, new: Ruleset) -> Iterator[str]:
    yield from _compare("Endpoint", _by_slug(old.endpoints), _by_slug(new.endpoints), _endpoint_facts)


def _policies(old: Ruleset, new: Ruleset) -> Iterator[str]:
    yield from _compare("Policy", _by_slug(old.policies), _by_slug(new.policies), _policy_facts)


def _tokens(old: Ruleset, new: Ruleset) -> Iterator[str]:
    before = {token.digest: token for token in old.tokens}
    after = {token.digest: token for token in new.tokens}
    for digest in sorted(after.keys() - before.keys(), key=lambda digest: after[digest].name):
        yield f"Token “{after[digest].name}” added ({', '.join(sorted(after[digest].scopes))})."
    for digest in sorted(before.keys() - after.keys(), key=lambda digest: before[digest].name):
        yield f"Token “{before[digest].name}” revoked."
    for digest in sorted(before.keys() & after.keys(), key=lambda digest: after[digest].name):
        if before[digest].scopes != after[digest].scopes:
            yield f"Token “{after[digest].name}”: scopes are now {', '.join(sorted(after[digest].scopes))}."


def _switch(old: Ruleset, new: Ruleset) -> Iterator[str]:
    if old.shadow_all != new.shadow_all:
        yield (
            "Emergency switch on: every policy reports and none denies."
            if new.shadow_all
            else "Emergency switch off: policies enforce again."
        )


def _endpoint_facts(endpoint: Endpoint) -> dict[str, str]:
    routes = ", ".join(map(str, endpoint.routes)) or "none"
    return {"name": endpoint.name, "routes": routes, "cost": str(endpoint.cost)}


def _policy_facts(policy: Policy) -> dict[str, str]:
    return {
        "plan": policy.plan or "every plan",
        "endpoint": policy.endpoint or "all requests",
        "partition": policy.partition,
        "mode": policy.mode,
        "while the store is away": policy.on_store_failure,
        "limits": limits_sentence(policy.limits),
    }


def _by_slug(items: Iterable[Any]) -> dict[str, Any]:
    return {item.slug: item for item in items}


def _compare(kind: str, old: Mapping[str, Any], new: Mapping[str, Any], facts: Any) -> Iterator[str]:
    for slug in sorted(new.keys() - old.keys()):
        described = "; ".join(f"{name}: {fact}" for name, fact in facts(new[slug]).items())
        yield f"{kind} {slug} added ({described})."
    for slug in sorted(old.keys() - new.keys()):
        yield f"{kind} {slug} removed."
    for slug in sorted(old.keys() & new.keys()):
        before, after = facts(old[slug]), facts(new[slug])
        for name in after:
            if before[name] != after[name]:
                yield f"{kind} {slug}, {name}: {before[name]} → {after[name]}."
