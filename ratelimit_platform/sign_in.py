"""Settings for sign-in by OpenID Connect, from environment variables. Those named ``OIDC_`` are read by
mozilla-django-oidc, those in ``SIGN_IN`` by ``limits.admin.sign_in``."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from ratelimit_platform.environment import env

BACKEND = "limits.admin.sign_in.backend.ProviderBackend"
MIDDLEWARE = "limits.admin.sign_in.middleware.RecheckMiddleware"
_PASSWORDS = "django.contrib.auth.backends.ModelBackend"
_NEEDED = ("OIDC_CLIENT_ID", "OIDC_CLIENT_SECRET", "OIDC_ROLES")
_LOCAL = ("127.0.0.1", "localhost", "::1")
TIMEOUT = 5
"""Seconds for each request to the provider."""


def sign_in(passwords: bool) -> dict[str, Any]:
    """Returns ``SIGN_IN``, which is empty if ``OIDC_ISSUER`` is not set. ``passwords``: whether people may log in by
    password. Raises ``ImproperlyConfigured``, which names the variable that is missing or wrong."""
    issuer = _issuer()
    _require_complete(issuer, passwords)
    if not issuer:
        return {}
    return {
        "BACKEND": BACKEND,
        "ISSUER": issuer,
        "NAME": env.str("OIDC_NAME") or urlsplit(issuer).hostname,
        "CLIENT_ID": env.str("OIDC_CLIENT_ID"),
        "CLIENT_SECRET": env.str("OIDC_CLIENT_SECRET"),
        "GROUPS_CLAIM": env.str("OIDC_GROUPS_CLAIM", "groups"),
        "ROLES": _roles(),
        "TIMEOUT": TIMEOUT,
    }


def library_settings(sign_in: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings that mozilla-django-oidc reads."""
    scopes = env.str(
        "OIDC_SCOPES", "openid profile email", pattern=r"openid(?: \S+)*", description="openid, and others"
    )
    recheck = env.int("OIDC_RECHECK_SECONDS", 900, minimum=1)
    if not sign_in:
        return {}
    return {
        "OIDC_RP_CLIENT_ID": sign_in["CLIENT_ID"],
        "OIDC_RP_CLIENT_SECRET": sign_in["CLIENT_SECRET"],
        "OIDC_RP_SCOPES": scopes,
        "OIDC_USE_PKCE": True,
        "OIDC_PKCE_CODE_CHALLENGE_METHOD": "S256",
        "OIDC_TIMEOUT": TIMEOUT,
        "OIDC_STORE_ID_TOKEN": True,
        "OIDC_MAX_STATES": 10,
        "OIDC_RENEW_ID_TOKEN_EXPIRY_SECONDS": recheck,
    }


def backends(sign_in: Mapping[str, Any], passwords: bool) -> list[str]:
    """Returns ``AUTHENTICATION_BACKENDS``: a session that began with one that is not listed has ended."""
    return [*([_PASSWORDS] if passwords else []), *([BACKEND] if sign_in else [])]


def _issuer() -> str:
    """An address with TLS, because the client's secret and tokens are sent there; without TLS only on this machine."""
    issuer = env.str("OIDC_ISSUER", pattern=r"https?://[^\s/?#]+[^\s?#]*", description="an address, https://…")
    if issuer and urlsplit(issuer).scheme != "https" and urlsplit(issuer).hostname not in _LOCAL:
        raise ImproperlyConfigured("OIDC_ISSUER: It must begin with https://.")
    return issuer


def _require_complete(issuer: str, passwords: bool) -> None:
    missing = [name for name in _NEEDED if not env.str(name)]
    if issuer and missing:
        raise ImproperlyConfigured(f"{missing[0]} is not set. OIDC_ISSUER needs it (docs/sign-in.md).")
    if not issuer and len(missing) < len(_NEEDED):
        given = next(name for name in _NEEDED if name not in missing)
        raise ImproperlyConfigured(f"OIDC_ISSUER is not set. {given} needs it (docs/sign-in.md).")
    if not issuer and not passwords:
        raise ImproperlyConfigured("OIDC_ISSUER is not set. Nobody could log in while PASSWORD_LOGIN is off.")


def _roles() -> list[tuple[str, str]]:
    """Pairs of a group at the provider and a role here, which are written ``group=role``. A group may contain ``=``."""
    pairs = [re.fullmatch(r"(.*\S)\s*=\s*([^=]*[^\s=])", pair) for pair in env.list("OIDC_ROLES")]
    if None in pairs:
        raise ImproperlyConfigured("OIDC_ROLES: It must be pairs of a group and a role, limits-support=Support,…")
    return [(pair[1], pair[2]) for pair in pairs if pair]
