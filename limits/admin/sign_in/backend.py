"""From the provider's code to a user of this platform."""

from typing import Any

import jwt
import requests
from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.core.exceptions import SuspiciousOperation
from django.http import HttpRequest
from django.utils.crypto import constant_time_compare
from mozilla_django_oidc.auth import OIDCAuthenticationBackend

from limits.admin.sign_in.accounts import account_of
from limits.admin.sign_in.errors import ProviderUnavailable, SignInError
from limits.admin.sign_in.provider import Provider, provider

ALGORITHMS = ("RS256", "PS256", "ES256")
"""Signatures with a key pair. The client's secret signs nothing, and ``none`` is no signature."""

REQUIRED = ("iss", "sub", "aud", "exp", "iat", "nonce")
CLOCK_SKEW = 60
"""Seconds by which the clocks of the provider and of this server may differ."""


class ProviderBackend(OIDCAuthenticationBackend):
    """The library exchanges the code and fetches keys and claims; everything that it compares less strictly than
    OpenID Connect Core 1.0, section 3.1.3.7, is compared here. Django creates a backend for each request with a user,
    so nothing is fetched before :meth:`authenticate`."""

    provider: Provider

    def __init__(self) -> None:
        self.UserModel = get_user_model()
        self.OIDC_RP_CLIENT_ID = settings.SIGN_IN["CLIENT_ID"]
        self.OIDC_RP_CLIENT_SECRET = settings.SIGN_IN["CLIENT_SECRET"]

    def authenticate(self, request: HttpRequest | None, **kwargs: Any) -> User | None:
        """Returns the user; None for other credentials, such as a password. Raises :class:`SignInError`."""
        if not kwargs.get("nonce") or not kwargs.get("code_verifier"):
            return None
        self.provider = provider()
        self.OIDC_OP_TOKEN_ENDPOINT, self.OIDC_OP_JWKS_ENDPOINT = self.provider.token, self.provider.keys
        self.OIDC_OP_USER_ENDPOINT = self.provider.userinfo
        try:
            user: User | None = super().authenticate(request, **kwargs)
        except (requests.HTTPError, requests.JSONDecodeError) as error:
            raise SignInError(str(error)) from error
        except requests.RequestException as error:
            raise ProviderUnavailable(str(error)) from error
        except (SuspiciousOperation, jwt.PyJWTError, LookupError, TypeError, ValueError, AttributeError) as error:
            # The library expects documents of the right shape.
            raise SignInError(f"{type(error).__name__}: {error}") from error
        return user

    def get_settings(self, attr: str, *default: Any) -> Any:
        if attr == "OIDC_TOKEN_USE_BASIC_AUTH":
            return self.provider.basic
        return OIDCAuthenticationBackend.get_settings(attr, *default)

    def verify_token(self, token: str, **kwargs: Any) -> dict[str, Any]:
        """Returns the claims. Raises ``jwt.PyJWTError`` and ``SuspiciousOperation``."""
        claims: dict[str, Any] = jwt.decode(
            token,
            self.retrieve_matching_jwk(token),
            algorithms=list(ALGORITHMS),
            audience=self.OIDC_RP_CLIENT_ID,
            issuer=self.provider.issuer,
            leeway=CLOCK_SKEW,
            options={"require": list(REQUIRED)},
        )
        nonce = kwargs.get("nonce")
        if not nonce or not constant_time_compare(str(claims["nonce"]), nonce):
            raise SuspiciousOperation("The nonce is not the one of this sign-in.")
        if claims.get("azp", self.OIDC_RP_CLIENT_ID) != self.OIDC_RP_CLIENT_ID:
            raise SuspiciousOperation("The token was issued to another client.")
        return claims

    def get_or_create_user(self, access_token: str, id_token: str, payload: dict[str, Any]) -> User:
        return account_of(self.provider.issuer, self._further_claims(access_token, id_token, payload) | payload)

    def _further_claims(self, access_token: str, id_token: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Claims of the same person that are not in the token (section 5.3.2)."""
        if not self.OIDC_OP_USER_ENDPOINT:
            return {}
        claims: dict[str, Any] = self.get_userinfo(access_token, id_token, payload)
        if claims["sub"] != payload["sub"]:
            raise SignInError("userinfo: another subject")
        return claims
