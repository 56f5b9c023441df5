"""Which proxies may ask: those with a token, and those in a trusted network."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from api.authentication import BearerToken, admit
from api.forward_auth.original_request import header
from api.problems import MISSING_TOKEN, ProblemResponse
from ratelimit_enforcer.conf import networks
from ratelimit_enforcer.domain.addresses import is_inside
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.engine import Engine, Guard

TOKEN_HEADER = "X-RateLimit-Token"
"""``Authorization`` belongs to the caller of the original request. The header is accepted over plain HTTP, whatever
the setting HTTPS says: X-Forwarded-Proto tells how the caller connected to the proxy, not how the proxy connected."""

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="ratelimit"'}
"""A response with status 401 must have one (RFC 9110, section 15.5.2)."""


def admit_proxy(engine: Engine, meta: Mapping[str, Any]) -> Guard | None:
    """The guard of the proxy's token; None for the peer of a connection from ``FORWARD_AUTH_NETWORKS``. ``meta``: the
    WSGI variables. Raises :class:`~api.problems.ProblemResponse` and the exceptions of
    :func:`~api.authentication.admit`."""
    if is_inside(meta.get("REMOTE_ADDR", ""), networks("FORWARD_AUTH_NETWORKS")):
        return None
    secret = header(meta, TOKEN_HEADER)
    if not secret:
        raise ProblemResponse(MISSING_TOKEN, f"The request has no header “{TOKEN_HEADER}”.", headers=_CHALLENGE)
    token = BearerToken.of(secret)
    admit(engine, token, Scope.CHECK)
    return partial(token.require, Scope.CHECK)
