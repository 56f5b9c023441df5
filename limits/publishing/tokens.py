"""API tokens: the secret is seen once, the database keeps its digest."""

import hashlib
import secrets
from collections.abc import Sequence

from limits.models import ApiToken

PREFIX = "rl_"


def new_secret() -> str:
    """A token that nobody can guess (256 bits), recognisable by its prefix."""
    return PREFIX + secrets.token_urlsafe(32)


def digest_of_secret(secret: str) -> str:
    """What is stored and compared: SHA-256, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue(*, name: str, scopes: Sequence[str], secret: str | None = None) -> str:
    """Creates a token and returns its secret. Raises ``ValidationError``. It works once the rules
    are published."""
    secret = secret or new_secret()
    token = ApiToken(name=name, scopes=list(scopes), digest=digest_of_secret(secret), hint=secret[-4:])
    token.full_clean()
    token.save()
    return secret
