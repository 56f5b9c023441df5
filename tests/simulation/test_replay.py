"""Simulations against the truth: requests, replayed with their times through the reference model of a check."""

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple

import pytest

from limits.models import Usage
from limits.simulation.figures import Figures
from ratelimit_enforcer.domain.counters import Counters
from ratelimit_enforcer.domain.enums import Mode
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Policy
from ratelimit_enforcer.domain.selection import EffectivePolicy
from tests.simulation.recorded import MINUTE, compare, policy, record, rules
from tests.support.minute_bounds import ByEndpoint
from tests.support.recorded_requests import by_minute, random_limit, random_times

pytestmark = pytest.mark.django_db

RULES, CLIENTS = 10, 10
"""Each of the 100 clients is replayed under two rules."""
ENDPOINTS = ("search", "orders")


class Request(NamedTuple):
    at: int
    endpoint: str


Place = tuple[str | None, str | None]
"""Endpoint and policy; None: all."""


def random_requests(random: Random) -> list[Request]:
    minutes = random.choice([3, 30, 170])
    times = random_times(random, minutes)[:800]
    return [Request(at, random.choice(ENDPOINTS)) for at in times]


def random_policies(random: Random) -> list[Policy]:
    found = []
    for at in range(random.randint(1, 3)):
        limits = {limit.label: limit for limit in (random_limit(random) for _ in range(random.randint(1, 2)))}
        found.append(policy(f"p{at}", *limits.values(), endpoint=random.choice([*ENDPOINTS, None, None])))
    return found


def counts_of(requests: Sequence[Request]) -> ByEndpoint:
    return {name: by_minute([each.at for each in requests if each.endpoint == name]) for name in ENDPOINTS}


def denied(requests: Sequence[Request], policies: Sequence[Policy]) -> Counter[Place]:
    """Requests that are really denied: of all, by endpoint, and by policy."""
    counters, found = Counters(), Counter[Place]()
    for request in requests:
        applying = [
            EffectivePolicy(each, Mode.ENFORCE, each.limits)
            for each in policies
            if each.applies_to(None, request.endpoint)
        ]
        admitted, readings = counters.check(applying, 1, request.at)
        if not admitted:
            found[None, None] += 1
            found[request.endpoint, None] += 1
        for each, of_policy in zip(applying, readings, strict=True):
            found[each.policy.endpoint, each.policy.slug] += not all(reading[0] for reading in of_policy)
    return found


def test_what_is_denied_is_within_the_bounds_of_every_client_endpoint_and_policy() -> None:
    random = Random(11)
    widths, sizes = Counter[str](), 0
    for _ in range(RULES):
        Usage.objects.all().delete()
        requests = {f"client {at}": random_requests(random) for at in range(CLIENTS)}
        for client, of_client in requests.items():
            record(client, counts_of(of_client), denied=random.choice([0, 3]))
        sides = random_policies(random), random_policies(random)
        _, found = compare(rules(*sides[0]), rules(*sides[1]))
        for client, of_client in requests.items():
            figures = {(each.endpoint, each.policy): each for each in found.get(client, ())}
            for at, policies in enumerate(sides):
                truth = denied(of_client, policies)
                for place, least, most in bounds(figures, at):
                    assert least <= truth[place] <= most, f"{client}, {place}: {policies}"
                    widths[kind(place)] += most - least
                assert set(+truth) <= set(figures), f"{client}: {policies}"
            sizes += 2 * len(of_client)
    print("mean width, of all requests:", {name: f"{width / sizes:.1%}" for name, width in widths.items()})


def bounds(figures: dict[Place, Figures], side: int) -> Iterator[tuple[Place, int, int]]:
    for place, each in figures.items():
        yield place, *(each.before, each.after)[side]


def kind(place: Place) -> str:
    return "policies" if place[1] else "endpoints" if place[0] else "clients"


def test_requests_of_the_time_before_do_not_count() -> None:
    """A simulation begins with unused counters."""
    record("ann", {"search": {MINUTE - 1: 90, MINUTE: 90}})
    _, found = compare(rules(), rules(policy("p", Limit(100, 60))))
    assert found == {}
