"""``EMAIL_URL``: converts the mail server's URL to Django's settings."""

from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_BACKENDS = {
    "smtp": "smtp",
    "smtp+tls": "smtp",
    "smtps": "smtp",
    "smtp+ssl": "smtp",
    "consolemail": "console",
    "dummymail": "dummy",
    "memorymail": "locmem",
}
_EXAMPLE = (
    "Example: smtp+tls://user:password@host:587. "
    "Characters of a password such as @ : / ? # % must be percent-encoded (/ is %2F)."
)


def email_settings(url: str) -> dict[str, Any]:
    """Django's email settings. Raises ``ImproperlyConfigured``, whose message quotes no part of the URL."""
    scheme = url.partition("://")[0]
    if scheme not in _BACKENDS or "://" not in url:
        raise ImproperlyConfigured(f"EMAIL_URL must begin with smtp://, smtp+tls:// or smtp+ssl://. {_EXAMPLE}")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ImproperlyConfigured(f"EMAIL_URL: the host or port is invalid. {_EXAMPLE}") from None
    if parts.path.strip("/") or "?" in url or "#" in url or not url.isprintable():
        raise ImproperlyConfigured(f"EMAIL_URL: nothing may follow the port. {_EXAMPLE}")
    return {
        "EMAIL_BACKEND": f"django.core.mail.backends.{_BACKENDS[scheme]}.EmailBackend",
        "EMAIL_HOST": parts.hostname or "localhost",
        # The ports of SMTP and of SMTP over TLS.
        "EMAIL_PORT": port or (465 if scheme == "smtp+ssl" else 25),
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": scheme in ("smtp+tls", "smtps"),
        "EMAIL_USE_SSL": scheme == "smtp+ssl",
    }
