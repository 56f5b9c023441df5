"""What `make run` has to make up: stores, secrets, addresses. Kept in ``DATA_DIR/env``."""

import base64
import os
import secrets
from collections.abc import Callable

HOSTS = "localhost,127.0.0.1,[::1]"

_DEFAULTS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "ALLOWED_HOSTS": lambda: HOSTS,
    # Plain HTTP on this machine: secure cookies would not come back.
    "HTTPS": lambda: "0",
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
    "WEBHOOK_SECRET": lambda: f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
    "API_TOKEN": lambda: f"rl_{secrets.token_urlsafe(32)}",
}


def complete(kept: dict[str, str]) -> dict[str, str]:
    """Makes up what neither the environment nor an earlier run gave."""
    made = {name: make() for name, make in _DEFAULTS.items() if name not in os.environ and name not in kept}
    return kept | made
