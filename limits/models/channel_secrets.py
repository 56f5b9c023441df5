"""How secrets of notification channels are shown: URLs of webhooks and keys are stored, and never shown again.

A reference is derived from the secret with a key that only the servers know, so nobody can check a guess. The same
secret always has the same reference, until ``SECRET_KEY`` changes.
"""

from django.utils.crypto import salted_hmac

PREFIX = "secret:"
_ID_LENGTH = 16


def reference_to(secret: str) -> str:
    """What is shown in place of a secret: ``secret:ID``, 16 hexadecimal digits."""
    digest = salted_hmac("limits.channel_secrets", secret, algorithm="sha256").hexdigest()
    return f"{PREFIX}{digest[:_ID_LENGTH]}"


def is_reference(text: object) -> bool:
    """Whether a value is what :func:`reference_to` returned for some secret."""
    return isinstance(text, str) and text.startswith(PREFIX)
