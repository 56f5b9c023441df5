"""Which route patterns fit a request, and which of them wins."""

from collections.abc import Iterator
from dataclasses import dataclass

from limits.domain.routes import Router
from limits.domain.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern that fits. ``wins``: it is the most specific one, so its endpoint is meant."""

    route: str
    endpoint: str
    wins: bool


def patterns_for(ruleset: Ruleset, method: str, path: str) -> Iterator[Pattern]:
    """Every pattern of the rules that fits, the one that wins first."""
    routes = [(route, endpoint) for endpoint in ruleset.endpoints for route in endpoint.routes]
    winner = Router((route, str(route)) for route, _ in routes).match(method, path)
    fitting = [(route, endpoint) for route, endpoint in routes if Router([(route, "")]).match(method, path) is not None]
    found = [Pattern(str(route), endpoint.name, str(route) == winner) for route, endpoint in fitting]
    yield from sorted(found, key=lambda pattern: not pattern.wins)
