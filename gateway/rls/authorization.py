"""Who may ask: tokens with the scope ``check``, and peers in ``GATEWAY_NETWORKS``.

Charges, refunds and limits in a request need a token with the scope ``adjust``, from every peer: whoever can reach
Envoy's own port could otherwise remove limits.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from api.authentication import BearerToken
from api.problems import MISSING_TOKEN, ProblemResponse
from ratelimit_enforcer.domain.addresses import Network, is_inside
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.domain.ruleset import Ruleset


@dataclass(frozen=True, slots=True)
class Caller:
    """The guard of a request. ``token`` None: it has none. ``scopes``: those that it needs."""

    token: BearerToken | None
    scopes: tuple[Scope, ...]

    def __call__(self, ruleset: Ruleset) -> None:
        """Raises :class:`~api.problems.ProblemResponse` unless this ruleset grants the token the scopes."""
        if not self.scopes:
            return
        if self.token is None:
            raise ProblemResponse(MISSING_TOKEN, f"The request needs a token with the scope “{self.scopes[0]}”.")
        for scope in self.scopes:
            self.token.require(scope, ruleset)


TRUSTED = Caller(None, ())
"""A peer in ``GATEWAY_NETWORKS`` that only checks and peeks."""


def caller_of(authorization: str, *, trusted: bool, adjusts: bool) -> Caller:
    """The caller of a request with this ``authorization`` metadata. ``trusted``: the peer is in ``GATEWAY_NETWORKS``;
    ``adjusts``: the request charges, refunds or brings a limit. Raises :class:`~api.problems.ProblemResponse` for
    metadata without a bearer token, if one is needed."""
    if trusted and not adjusts:
        return TRUSTED
    scopes = (() if trusted else (Scope.CHECK,)) + ((Scope.ADJUST,) if adjusts else ())
    return Caller(BearerToken.parse(authorization) if authorization else None, scopes)


class TrustedPeers:
    """The peers whose connections come from these networks."""

    def __init__(self, networks: Iterable[Network]) -> None:
        trusted = tuple(networks)
        self.includes = lru_cache(maxsize=4_096)(lambda peer: is_inside(peer, trusted))
        """Whether a peer, such as ``127.0.0.1:51344``, is in one of the networks."""
