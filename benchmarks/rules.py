"""The rules of the benchmarks, and publishing them to a store without a database."""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace

from limits.store.client import control_client_of
from limits.store.clients import ClientWriter, PlacedClient
from limits.store.ruleset_writer import RulesetWriter
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import Algorithm, Scope
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy, Rules
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset, Version, digest_of
from ratelimit_enforcer.domain.variants import Share, Variant
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import Keys

QUOTA = 1_000_000
"""So high that no timed request is denied."""

TIMEOUT = 60.0
ENDPOINTS = {1: "one", 3: "three", 5: "five"}
"""Number of limits that apply → slug of the endpoint with the route ``GET /<slug>``."""

TREE, TREE_WITH_ATTRIBUTES = "tree", "tree-attributes"
"""Endpoints with one limit for the client, one for the parent, and one for the root; and with limits that count the
values of two attributes separately."""
ATTRIBUTES = {"model": "gpt-x", "region": "eu"}
ROOTS, TEAMS, KEYS_PER_TEAM = 10, 10, 10


def limits_of(quota: int) -> dict[str, tuple[tuple[Limit, ...], ...]]:
    """Endpoint → the limits of each of its policies."""
    minute, hour = Limit(quota, 60), Limit(quota, 3_600)
    shard, day = Limit(quota, 60, Algorithm.TOKEN_BUCKET), Limit(quota, 86_400, Algorithm.FIXED_WINDOW)
    return {
        "one": ((minute,),),
        "three": ((minute, shard), (hour,)),
        "five": ((minute, shard, hour), (minute, day)),
    }


def ruleset(quota: int = QUOTA, token_digest: str = "") -> Ruleset:
    """A ruleset with a default plan and endpoints with one limit, three limits in two policies, and five limits."""
    policies = [
        Policy(f"{endpoint}-{number}", limits, endpoint=endpoint)
        for endpoint, by_policy in limits_of(quota).items()
        for number, limits in enumerate(by_policy)
    ]
    policies += _policies_of_trees(quota)
    tokens = (ApiToken("bench", token_digest, frozenset({Scope.CHECK})),) if token_digest else ()
    return Ruleset(
        plans=(Plan("free", "Free"), Plan("org", "Organisation"), Plan("team", "Team")),
        default_plan="free",
        endpoints=tuple(
            Endpoint(slug, slug, (Route("GET", f"/{slug}"),))
            for slug in sorted((*ENDPOINTS.values(), TREE, TREE_WITH_ATTRIBUTES))
        ),
        policies=tuple(sorted(policies, key=lambda policy: policy.slug)),
        tokens=tokens,
    )


def tried(rules: Ruleset, percent: int = 10) -> Ruleset:
    """The same rules, with twice the quotas for a share of the clients."""
    twice = ruleset(2 * QUOTA)
    changed = Rules(twice.plans, twice.default_plan, twice.endpoints, twice.policies)
    variant = Variant(changed, "bench", shared=True)
    return replace(rules, variants=(variant,), share=Share("bench", "salt", percent))


def _policies_of_trees(quota: int) -> Iterator[Policy]:
    limits = (Limit(quota, 60),)
    for endpoint, attributes in ((TREE, ()), (TREE_WITH_ATTRIBUTES, tuple(ATTRIBUTES))):
        for plan in (None, "team", "org"):
            yield Policy(f"{endpoint}-{plan or 'own'}", limits, plan, endpoint, attributes=attributes)


def trees() -> Iterator[PlacedClient]:
    """Organisations with teams with keys."""
    revisions = itertools.count(1)
    for root in (f"org-{number}" for number in range(ROOTS)):
        yield PlacedClient(ClientRecord(root, next(revisions), "org"), root)
        for team in (f"{root}-{number}" for number in range(TEAMS)):
            yield PlacedClient(ClientRecord(team, next(revisions), "team", parent=root), root)
            for key in (f"{team}-{number}" for number in range(KEYS_PER_TEAM)):
                yield PlacedClient(ClientRecord(key, next(revisions), parent=team), root)


def keys_of_trees() -> list[str]:
    """The lowest clients of all trees."""
    return [client.record.key for client in trees() if client.record.key.count("-") == 3]


def publish(url: str, rules: Ruleset, namespace: str = "rl", clients: Iterable[PlacedClient] = ()) -> None:
    """Publishes rules and clients to a store."""
    redis, keys, data = control_client_of(parse(url), TIMEOUT), Keys(namespace), rules.to_bytes()
    RulesetWriter(redis, keys).publish(Version("bench", 1, digest_of(data)), data, lambda current: True)
    assert ClientWriter(redis, keys).load_all(clients)
