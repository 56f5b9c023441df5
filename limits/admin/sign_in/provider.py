"""The provider's own description of its addresses (OpenID Connect Discovery 1.0)."""

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from django.conf import settings

from limits.admin.sign_in.errors import ProviderUnavailable, SignInError

PATH = "/.well-known/openid-configuration"
MAX_AGE = 3600.0
"""Seconds after which a process asks the provider again."""


@dataclass(frozen=True, slots=True)
class Provider:
    """``userinfo`` and ``end_session`` are empty if the provider has none. ``basic``: it accepts the client's secret
    only in the header ``Authorization``."""

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str
    end_session: str
    basic: bool

    def end_session_url(self, id_token: str, return_to: str) -> str:
        """Where the browser ends the session at the provider (OpenID Connect RP-Initiated Logout 1.0); empty if the
        provider has no such address."""
        hint = {"id_token_hint": id_token} if id_token else {}
        query = urlencode({"client_id": settings.SIGN_IN["CLIENT_ID"], "post_logout_redirect_uri": return_to} | hint)
        return f"{self.end_session}?{query}" if self.end_session else ""


_known: tuple[float, Provider] | None = None


def provider() -> Provider:
    """Returns the provider of the settings. Raises :class:`ProviderUnavailable` and :class:`SignInError`."""
    global _known
    if _known is None or _known[0] < time.monotonic():
        _known = time.monotonic() + MAX_AGE, _described(_fetch())
    return _known[1]


def _fetch() -> dict[str, Any]:
    try:
        response = requests.get(settings.SIGN_IN["ISSUER"].rstrip("/") + PATH, timeout=settings.SIGN_IN["TIMEOUT"])
        response.raise_for_status()
        document = response.json()
    except requests.RequestException as error:
        raise ProviderUnavailable(f"discovery: {error}") from error
    if not isinstance(document, dict):
        raise SignInError("discovery: not an object")
    return document


def _described(document: dict[str, Any]) -> Provider:
    """The issuer must be the configured one (section 4.3), because tokens are compared with it."""
    if document.get("issuer") != settings.SIGN_IN["ISSUER"]:
        raise SignInError(f"discovery: the issuer is {document.get('issuer')!r}, not the one in OIDC_ISSUER")
    methods = document.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Provider(
        issuer=document["issuer"],
        authorization=_address(document, "authorization_endpoint"),
        token=_address(document, "token_endpoint"),
        keys=_address(document, "jwks_uri"),
        userinfo=_address(document, "userinfo_endpoint", optional=True),
        end_session=_address(document, "end_session_endpoint", optional=True),
        basic="client_secret_post" not in methods,
    )


def _address(document: dict[str, Any], name: str, *, optional: bool = False) -> str:
    """Secrets and tokens are sent only to an address with the scheme of the issuer, which is https in production."""
    address = document.get(name) or ""
    if optional and not address:
        return ""
    if not isinstance(address, str) or urlsplit(address).scheme != urlsplit(settings.SIGN_IN["ISSUER"]).scheme:
        raise SignInError(f"discovery: {name} is {address!r}")
    return address
