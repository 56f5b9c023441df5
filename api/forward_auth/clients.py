"""The client that a request counts for: the one that a header or cookie names, else the address of the caller."""

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.http.cookie import parse_cookie

from api.forward_auth.original_request import header
from ratelimit_enforcer.client_identifier import valid_client_key
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.decision import Decision
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.engine import CheckRequest, Engine, Guard

ATTEMPTS = 3
"""How often a check is begun for a registered client whose record disappears from this process meanwhile."""


class Source(NamedTuple):
    """Where a request names its client: in the ``header`` or the ``cookie`` of this name."""

    kind: str
    name: str


def client_key(meta: Mapping[str, Any]) -> str | None:
    """The key of the client that a request names as the settings say; None if it names none. ``meta``: the WSGI
    variables. Raises ``ImproperlyConfigured``."""
    given = setting("FORWARD_AUTH_CLIENT")
    value = _value(meta, _source(given)) if given else ""
    if not value:
        return None
    # WSGI has the bytes of a header as characters.
    data = value.encode("latin-1", "replace")
    if setting("FORWARD_AUTH_CLIENT_IS_SECRET"):
        return f"sha256:{sha256(data).hexdigest()}"
    return valid_client_key(data.decode(errors="replace"))


@lru_cache(maxsize=16)
def _source(text: str) -> Source:
    kind, _, name = text.partition(":")
    if kind not in ("header", "cookie") or not name:
        raise ImproperlyConfigured(f"FORWARD_AUTH_CLIENT is {text!r}; it must be header:NAME or cookie:NAME.")
    return Source(kind, name)


def _value(meta: Mapping[str, Any], source: Source) -> str:
    if source.kind == "cookie":
        return parse_cookie(meta.get("HTTP_COOKIE", "")).get(source.name, "").strip()
    value = header(meta, source.name)
    return _bearer_token(value) if source.name.lower() == "authorization" else value


def _bearer_token(credentials: str) -> str:
    """The token of an ``Authorization`` header (RFC 6750, section 2.1); empty for another scheme."""
    scheme, _, token = credentials.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def decide(engine: Engine, by_address: CheckRequest, key: str | None, guard: Guard | None) -> Decision:
    """The decision on a request: for the client ``key`` if it is registered, or if the settings accept any key; else
    for the client of ``by_address``. Only the client that it counts for consumes something."""
    if key is None:
        return engine.check(by_address, guard=guard)
    named = by_address._replace(client=key)
    if setting("FORWARD_AUTH_UNVERIFIED"):
        return engine.check(named, guard=guard)
    return _decide_registered(engine, named, guard) or engine.check(by_address, guard=guard)


class _NotRegistered(Exception):
    """This process does not know that the client is registered."""


def _decide_registered(engine: Engine, request: CheckRequest, guard: Guard | None) -> Decision | None:
    """The decision, in one call of the store if this process has the client's record; None if there is no such
    client. Otherwise a first call reads the record and consumes nothing."""

    def require(ruleset: Ruleset) -> None:
        if guard is not None:
            guard(ruleset)
        if not _is_registered(engine, request.client):
            raise _NotRegistered

    for _ in range(ATTEMPTS):
        if not _is_registered(engine, request.client):
            engine.check(request, consume=False, guard=guard)
            if not _is_registered(engine, request.client):
                return None
        try:
            return engine.check(request, guard=require)
        except _NotRegistered:
            # The client was removed, or the store was emptied, during this check.
            continue
    return None


def _is_registered(engine: Engine, key: str) -> bool:
    return engine.records_of(key)[0].is_registered
