"""The sums of PostgreSQL are the bounds of the reference, whatever the rules and the usage."""

from collections.abc import Sequence
from random import Random

import pytest
from django.db import connection

from limits.models import Usage
from limits.simulation.subjects import BoundedLimit
from ratelimit_enforcer.domain.enums import Algorithm, OverQuota, Period
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from tests.simulation.recorded import MINUTE, compare, of_all, policy, record, rules
from tests.support.minute_bounds import ByEndpoint, bounds_of, most_on_endpoint
from tests.support.recorded_requests import random_limit

pytestmark = pytest.mark.django_db

CASES = 40
CLIENTS = ("ann", "bob", "cid")


def random_counts(random: Random) -> ByEndpoint:
    """Endpoint → minute → requests, within three hours."""
    names = random.sample(["search", "orders", "", "gone"], random.randint(1, 3))
    minutes = random.choice([5, 30, 180])
    return {
        name: {
            MINUTE + random.randrange(minutes): random.choice([1, 20, 90, 300])
            for _ in range(random.choice([1, 9, 40]))
        }
        for name in names
    }


def random_policies(random: Random) -> list[Policy]:
    found = []
    for at in range(random.randint(0, 3)):
        limits = {limit.label: limit for limit in (random_limit(random, concurrency=True) for _ in range(2))}
        found.append(policy(f"p{at}", *limits.values(), endpoint=random.choice(["search", "orders", None])))
    return found


def limits_of(policies: Sequence[Policy]) -> list[BoundedLimit]:
    return [BoundedLimit(each.slug, each.endpoint, limit) for each in policies for limit in each.limits]


@pytest.mark.parametrize("seed", range(4))
def test_postgresql_computes_the_bounds_of_the_reference(seed: int) -> None:
    random = Random(seed)
    for case in range(CASES):
        Usage.objects.all().delete()
        usage = {client: random_counts(random) for client in CLIENTS}
        for client, counts in usage.items():
            record(client, counts, denied=random.choice([0, 15]))
        before, after = random_policies(random), random_policies(random)
        _, found = compare(rules(*before), rules(*after))
        for client, counts in usage.items():
            sides = limits_of(before), limits_of(after)
            expected = [bounds_of(counts, side) for side in sides]
            if not any(most for _, most in expected):
                assert client not in found, f"case {case}"
                continue
            whole = of_all(found[client])
            assert [tuple(whole.before), tuple(whole.after)] == expected, f"case {case}: {sides}"
            assert whole.requests == sum(sum(each.values()) for each in counts.values())
            for each in found[client]:
                if each.endpoint is not None and each.policy is None:
                    most = [most_on_endpoint(counts, side, each.endpoint) for side in sides]
                    assert [each.before.most, each.after.most] == most, f"case {case}: {sides}"


def test_limits_that_count_beyond_their_quota_deny_nothing() -> None:
    record("ann", {"search": {MINUTE: 300}})
    daily = Limit(100, algorithm=Algorithm.CALENDAR, period=Period.DAY)
    deny, count = policy("p", daily), policy("p", daily, over_quota=OverQuota.COUNT)
    _, found = compare(rules(deny), rules(count))
    whole = of_all(found["ann"])
    assert [tuple(whole.before), tuple(whole.after)] == [(200, 200), (0, 0)]


def test_nothing_remains_in_the_connection() -> None:
    record("ann", {"search": {MINUTE: 5}})
    compare(rules(policy("p", random_limit(Random(1)))), rules())
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relname LIKE 'simulated%'")
        assert cursor.fetchone() == (0,)
