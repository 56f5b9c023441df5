"""Bearer tokens (RFC 6750), which travel with the ruleset.

A token is judged twice: before the body is read, so that a stranger learns nothing, and again by
the engine's guard with every ruleset that a check is tried with, so that a token which was revoked
a moment ago stops with the publish.
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

from api.problems import HTTPS_REQUIRED, INSUFFICIENT_SCOPE, INVALID_TOKEN, MISSING_TOKEN, Problem, ProblemType
from limits.domain.ruleset import ApiToken, Ruleset
from limits.domain.words import Scope
from limits.enforcement import Engine, RulesetMissing, get_engine

_REALM = 'Bearer realm="ratelimit"'


class TokenIndex:
    """Finds tokens by digest. Built once for each ruleset; the last one used is kept."""

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
    """The token that came with a request, as its SHA-256 digest in hexadecimal."""

    digest: str

    @classmethod
    def parse(cls, header: str) -> "BearerToken":
        """Reads an ``Authorization`` header. Raises :class:`Problem` where it carries no token."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise Problem(MISSING_TOKEN, "The request carries no bearer token.", headers={"WWW-Authenticate": _REALM})
        return cls(sha256(token.encode("latin-1", "replace")).hexdigest())

    def name(self) -> str:
        """What the operator called the token; of one that :func:`admit` let through."""
        held = get_engine().held
        token = _index.find(held.ruleset, self.digest) if held else None
        return token.name if token else "unknown"

    def refusal(self, ruleset: Ruleset, scope: Scope) -> Problem | None:
        """Why this ruleset does not let the token do what needs ``scope``, or None."""
        token = _index.find(ruleset, self.digest)
        if token is None:
            return _refused(INVALID_TOKEN, "This token is not known here.", 'error="invalid_token"')
        if scope not in token.scopes:
            challenge = f'error="insufficient_scope", scope="{scope}"'
            return _refused(INSUFFICIENT_SCOPE, f"This token does not have the scope “{scope}”.", challenge)
        return None

    def require(self, scope: Scope, ruleset: Ruleset) -> None:
        """Raises :class:`Problem` unless this ruleset lets the token do what needs ``scope``."""
        if refusal := self.refusal(ruleset, scope):
            raise refusal


def _refused(kind: ProblemType, detail: str, challenge: str) -> Problem:
    return Problem(kind, detail, headers={"WWW-Authenticate": f"{_REALM}, {challenge}"})


class BearerAuthentication(BaseAuthentication):
    """Takes the token of a request. What it may do is for :class:`HasScope` to say."""

    def authenticate(self, request: Request) -> tuple[None, BearerToken]:
        """A token stands for a program: there is no user. Over plain HTTP no token is taken where ``HTTPS`` is
        on, and none is redirected: a token that worked all the same would stay in use."""
        if settings.HTTPS and not request.is_secure():
            raise Problem(HTTPS_REQUIRED, "This request came over plain HTTP; its token was not looked at.")
        return None, BearerToken.parse(request.META.get("HTTP_AUTHORIZATION", ""))


def token_of(request: Request) -> BearerToken:
    """The token that :class:`BearerAuthentication` took."""
    return cast(BearerToken, request.auth)


class HasScope(BasePermission):
    """Lets tokens through that have the ``scope`` of the view."""

    def has_permission(self, request: Request, view: Any) -> bool:
        admit(get_engine(), token_of(request), view.scope)
        return True


def admit(engine: Engine, token: BearerToken, scope: Scope) -> None:
    """Raises :class:`Problem` unless the token has the scope.

    It may be newer than the rules held here, so before it is refused, what is published now is
    read. Raises ``StoreUnavailable`` where it cannot be, and ``RulesetMissing``.
    """
    held = engine.held
    if held is not None and token.refusal(held.ruleset, scope) is None:
        return
    engine.refresh()
    if engine.held is None:
        raise RulesetMissing("No ruleset has been published yet.")
    token.require(scope, engine.held.ruleset)
