"""The rules of the benchmarks, and publishing them to a store without a database."""

from limits.store.client import control_client_of
from limits.store.clients import ClientWriter
from limits.store.ruleset_writer import RulesetWriter
from ratelimit_enforcer.domain.enums import Algorithm, Scope
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.ruleset import ApiToken, Endpoint, Plan, Policy, Ruleset, Version, digest_of
from ratelimit_enforcer.store.connections.redis_url import parse
from ratelimit_enforcer.store.keys import Keys

QUOTA = 1_000_000
"""So high that no timed request is denied."""

TIMEOUT = 60.0
ENDPOINTS = {1: "one", 3: "three", 5: "five"}
"""Number of limits that apply → slug of the endpoint with the route ``GET /<slug>``."""


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
    tokens = (ApiToken("bench", token_digest, frozenset({Scope.CHECK})),) if token_digest else ()
    return Ruleset(
        plans=(Plan("free", "Free"),),
        default_plan="free",
        endpoints=tuple(Endpoint(slug, slug, (Route("GET", f"/{slug}"),)) for slug in sorted(ENDPOINTS.values())),
        policies=tuple(sorted(policies, key=lambda policy: policy.slug)),
        tokens=tokens,
    )


def publish(url: str, rules: Ruleset, namespace: str = "rl") -> None:
    """Publishes rules to a store without registered clients."""
    redis, keys, data = control_client_of(parse(url), TIMEOUT), Keys(namespace), rules.to_bytes()
    RulesetWriter(redis, keys).publish(Version("bench", 1, digest_of(data)), data, lambda current: True)
    assert ClientWriter(redis, keys).load_all([])
