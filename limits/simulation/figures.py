"""Bounds of clients from the sums of SQL, and sums of these bounds.

Where several policies deny requests, a bound from below of all of them together says little about one of them: the
others may have denied the same requests. So what one policy or one endpoint denies at least is what all together deny
at least, less what the others deny at most.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from limits.simulation.subjects import BoundedLimit, Limits, Profile


class Sums(NamedTuple):
    """A row of :func:`limits.simulation.statements.sums_of`."""

    client: int
    endpoint: int | None
    before: int
    after: int
    of_policy_before: Sequence[int]
    of_policy_after: Sequence[int]
    most: Sequence[int]
    least: Sequence[int]


class Bounds(NamedTuple):
    """At least and at most so many denied requests."""

    least: int
    most: int


NOTHING = Bounds(0, 0)


class Figures(NamedTuple):
    """The bounds of one client: of all requests (neither endpoint nor policy), of an endpoint, or of a policy."""

    endpoint: str | None
    policy: str | None
    requests: int
    before: Bounds
    after: Bounds


class _Side(NamedTuple):
    """The sums of one client under one of the two rules. ``least``: (limit, endpoint) → by blocks of minutes."""

    limits: Limits
    names: Mapping[int, str]
    most_by_endpoint: Mapping[str, int]
    most_of_all: int
    policies: Mapping[str, int]
    least: Mapping[BoundedLimit, int]

    def of_endpoints(self) -> dict[str, Bounds]:
        least = {name: self._least(name) for name in self.most_by_endpoint}
        total, all_most = self.of_all().least, sum(self.most_by_endpoint.values())
        return {
            name: Bounds(max(least[name], total - (all_most - most)), most)
            for name, most in self.most_by_endpoint.items()
        }

    def of_all(self) -> Bounds:
        own = sum(self._least(name) for name in self.most_by_endpoint)
        return Bounds(max(own, self._least(None)), self.most_of_all)

    def _least(self, endpoint: str | None) -> int:
        return max((self.least.get(each, 0) for each in self.limits if each.endpoint == endpoint), default=0)

    def of_policies(self) -> dict[tuple[str | None, str], Bounds]:
        """(endpoint, policy) → bounds."""
        endpoints = {each.policy: each.endpoint for each in self.limits}
        by_endpoint, whole = self.of_endpoints(), self.of_all()
        found = {}
        for policy, most in self.policies.items():
            at = endpoints[policy]
            together = whole.least if at is None else by_endpoint.get(at, NOTHING).least
            others = sum(
                self.policies[other]
                for other in self.policies
                if other != policy and (at is None or endpoints[other] in (None, at))
            )
            found[at, policy] = Bounds(max(0, min(most, together - others)), most)
        return found


def figures_of(
    profile: Profile,
    rows: Sequence[Sums],
    names: Mapping[int, str],
    in_blocks: Mapping[BoundedLimit, int],
    recorded: Mapping[str, int],
) -> Iterator[Figures]:
    """The bounds of one client. ``rows``: those of :func:`~limits.simulation.statements.sums_of`; ``names``: number of
    an endpoint → slug; ``in_blocks``: limit → the least in blocks of several minutes;
    ``recorded``: endpoint → all of the client's requests to it."""
    least = _least_of(profile, rows, in_blocks)
    before = _side(profile, rows, names, least, "before")
    after = _side(profile, rows, names, least, "after")
    requests = {names[row.endpoint]: recorded[names[row.endpoint]] for row in rows if row.endpoint is not None}
    all_requests = sum(recorded.values())
    yield Figures(None, None, all_requests, before.of_all(), after.of_all())
    ends = before.of_endpoints(), after.of_endpoints()
    for name, number in requests.items():
        yield Figures(name, None, number, ends[0].get(name, NOTHING), ends[1].get(name, NOTHING))
    policies = before.of_policies(), after.of_policies()
    # The endpoint of a policy may change.
    for endpoint, policy in dict.fromkeys((*policies[0], *policies[1])):
        bounds = [side.get((endpoint, policy), NOTHING) for side in policies]
        if any(each.most for each in bounds):
            yield Figures(endpoint, policy, all_requests if endpoint is None else requests[endpoint], *bounds)


def _least_of(profile: Profile, rows: Iterable[Sums], in_blocks: Mapping[BoundedLimit, int]) -> dict[BoundedLimit, int]:
    least = dict(in_blocks)
    for row in rows:
        for each, number in zip(profile.limits, row.least, strict=True):
            least[each] = max(least.get(each, 0), number or 0)
    return least


def _side(
    profile: Profile, rows: Sequence[Sums], names: Mapping[int, str], least: Mapping[BoundedLimit, int], side: str
) -> _Side:
    by_endpoint = {names[row.endpoint]: getattr(row, side) for row in rows if row.endpoint is not None}
    whole = next((getattr(row, side) for row in rows if row.endpoint is None), sum(by_endpoint.values()))
    policies: dict[str, int] = {}
    limits: Limits = getattr(profile, side)
    for at, each in enumerate(profile.limits):
        if each in limits:
            most = max((getattr(row, f"of_policy_{side}")[at] for row in rows), default=0)
            policies[each.policy] = max(policies.get(each.policy, 0), most)
    return _Side(limits, names, by_endpoint, whole, policies, least)


@dataclass
class Total:
    """Sums over clients, and the number of clients with denied requests."""

    requests: int = 0
    clients: int = 0
    before: Bounds = NOTHING
    after: Bounds = NOTHING
    clients_before: Bounds = NOTHING
    clients_after: Bounds = NOTHING

    def add(self, figures: Figures) -> None:
        """Adds the denied requests of one client; the requests themselves are counted separately."""
        self.before, self.after = _added(self.before, figures.before), _added(self.after, figures.after)
        self.clients_before = _added(self.clients_before, _one(figures.before))
        self.clients_after = _added(self.clients_after, _one(figures.after))

    def as_json(self) -> dict[str, int]:
        """As stored in a simulation."""
        figures = {"requests": self.requests, "clients": self.clients}
        for name in ("before", "after", "clients_before", "clients_after"):
            bounds: Bounds = getattr(self, name)
            figures |= {f"{name}_least": bounds.least, f"{name}_most": bounds.most}
        return figures


def _added(one: Bounds, other: Bounds) -> Bounds:
    return Bounds(one.least + other.least, one.most + other.most)


def _one(bounds: Bounds) -> Bounds:
    return Bounds(int(bounds.least > 0), int(bounds.most > 0))


@dataclass
class Totals:
    """The sums of a simulation: of everything, and by plan, endpoint and policy."""

    everything: Total = field(default_factory=Total)
    plans: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    endpoints: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    policies: dict[str, Total] = field(default_factory=lambda: defaultdict(Total))
    denied_clients: int = 0
    """The clients with requests that may be denied before or after."""

    def count(self, plan: str, requests: Mapping[str, int]) -> None:
        """Counts a client and its requests by endpoint."""
        for total in (self.everything, self.plans[plan]):
            total.clients += 1
            total.requests += sum(requests.values())
        for endpoint, number in requests.items():
            self.endpoints[endpoint].clients += 1
            self.endpoints[endpoint].requests += number

    def add(self, plan: str, figures: Figures) -> None:
        """Adds the denied requests of a client."""
        if figures.policy is not None:
            self.policies[figures.policy].clients += 1
            self.policies[figures.policy].requests += figures.requests
            self.policies[figures.policy].add(figures)
        elif figures.endpoint is not None:
            self.endpoints[figures.endpoint].add(figures)
        else:
            self.denied_clients += 1
            self.everything.add(figures)
            self.plans[plan].add(figures)

    def as_json(self) -> dict[str, Any]:
        """As stored in a simulation."""
        groups = {"plans": self.plans, "endpoints": self.endpoints, "policies": self.policies}
        named = {name: {key: total.as_json() for key, total in sorted(group.items())} for name, group in groups.items()}
        return {"all": self.everything.as_json(), **named}
