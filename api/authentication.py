"""Bearer tokens (RFC 6750), which are published with the ruleset.

A token is checked twice: before the body is read, so that an unauthenticated caller learns nothing, and
again by the engine's guard with every ruleset that a check is attempted with, so that a token stops
working as soon as its revocation is published.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, cast

from django.conf import settings
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from api.problems import HTTPS_REQUIRED, INSUFFICIENT_SCOPE, INVALID_TOKEN, MISSING_TOKEN, ProblemResponse, ProblemType
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset
from ratelimit_enforcer.engine import Engine, RulesetMissing, get_engine

_REALM = 'Bearer realm="ratelimit"'


class TokenIndex:
    """Finds tokens by digest. The index is built once per ruleset; only the latest one is cached."""

    def __init__(self) -> None:
        self._built: tuple[Ruleset | None, Mapping[str, ApiToken]] = (None, {})

    def find(self, ruleset: Ruleset, digest: str) -> ApiToken | None:
        """The token of this ruleset with this digest, or None."""
        built_for, tokens = self._built
        if built_for is not ruleset:
            tokens = {token.digest: token for token in ruleset.tokens}
            self._built = ruleset, tokens
        token = tokens.get(digest)
        return token if token is not None and hmac.compare_digest(token.digest, digest) else None


_index = TokenIndex()


@dataclass(frozen=True, slots=True)
class BearerToken:
    """The token of a request, as its SHA-256 digest in hexadecimal."""

    digest: str

    @classmethod
    def parse(cls, header: str) -> "BearerToken":
        """Reads an ``Authorization`` header. Raises :class:`ProblemResponse` if it contains no bearer token."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise ProblemResponse(
                MISSING_TOKEN, "The request has no bearer token.", headers={"WWW-Authenticate": _REALM}
            )
        return cls.of(token)

    @classmethod
    def of(cls, secret: str) -> "BearerToken":
        """The token with this secret, as it was in a header."""
        return cls(sha256(secret.encode("latin-1", "replace")).hexdigest())

    def name(self) -> str:
        """The token's name as the operator chose it; for a token that :func:`admit` accepted."""
        current = get_engine().current
        token = _index.find(current.ruleset, self.digest) if current else None
        return token.name if token else "unknown"

    def rejection(self, ruleset: Ruleset, scope: Scope) -> ProblemResponse | None:
        """The response if this ruleset does not grant the token ``scope``; None if it does."""
        token = _index.find(ruleset, self.digest)
        if token is None:
            return invalid_token()
        if scope not in token.scopes:
            challenge = f'error="insufficient_scope", scope="{scope}"'
            return _rejected(INSUFFICIENT_SCOPE, f"This token does not have the scope “{scope}”.", challenge)
        return None

    def require(self, scope: Scope, ruleset: Ruleset) -> None:
        """Raises :class:`ProblemResponse` unless this ruleset grants the token ``scope``."""
        if rejection := self.rejection(ruleset, scope):
            raise rejection


@dataclass(frozen=True, slots=True)
class RequireScope:
    """A guard of the engine that requires that the ruleset grants the token this scope. Guards of equal tokens are
    equal, so that their checks can share a call of the store."""

    token: BearerToken
    scope: Scope

    def __call__(self, ruleset: Ruleset) -> None:
        self.token.require(self.scope, ruleset)


def invalid_token() -> ProblemResponse:
    """The response to a request with a token that is unknown or was revoked."""
    return _rejected(INVALID_TOKEN, "This token is unknown or has been revoked.", 'error="invalid_token"')


def _rejected(kind: ProblemType, detail: str, challenge: str) -> ProblemResponse:
    return ProblemResponse(kind, detail, headers={"WWW-Authenticate": f"{_REALM}, {challenge}"})


class BearerAuthentication(BaseAuthentication):
    """Reads the token of a request. :class:`HasScope` checks what the token may do."""

    def authenticate(self, request: Request) -> tuple[None, BearerToken]:
        """A token identifies a program, so there is no user. If ``HTTPS`` is on, tokens sent over plain HTTP are
        rejected, and the request is not redirected: a token that still worked would stay in use."""
        if settings.HTTPS and not request.is_secure():
            raise ProblemResponse(HTTPS_REQUIRED, "This request came over plain HTTP; its token was not checked.")
        return None, BearerToken.parse(request.META.get("HTTP_AUTHORIZATION", ""))


def token_of(request: Any) -> BearerToken:
    """The token that :class:`BearerAuthentication` read."""
    return cast(BearerToken, request.auth)


class HasScope(BasePermission):
    """Accepts tokens with the ``scope`` of the view."""

    def has_permission(self, request: Request, view: Any) -> bool:
        admit(get_engine(), token_of(request), view.scope)
        return True


def admit(engine: Engine, token: BearerToken, scope: Scope) -> None:
    """Raises :class:`ProblemResponse` unless the token has the scope.

    The token may be newer than the ruleset of this process. So before a rejection, the published ruleset is
    loaded. Raises ``StoreUnavailable`` if that fails, and ``RulesetMissing`` if there is none.
    """
    current = engine.current
    if current is not None and token.rejection(current.ruleset, scope) is None:
        return
    engine.refresh()
    if engine.current is None:
        raise RulesetMissing("No ruleset has been published yet.")
    token.require(scope, engine.current.ruleset)
