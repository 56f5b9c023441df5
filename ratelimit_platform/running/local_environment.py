"""What `make run` has to make up: stores, secrets, addresses. Kept in ``DATA_DIR/env``."""

import base64
import os
import secrets
from collections.abc import Callable
from pathlib import Path

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


def read(file: Path) -> dict[str, str]:
    """The variables that earlier runs made up."""
    if not file.exists():
        return {}
    lines = file.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if "=" in line)


def write(file: Path, variables: dict[str, str]) -> None:
    """Keeps them, for this user's eyes only."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        output.writelines(f"{name}={value}\n" for name, value in variables.items())


def complete(kept: dict[str, str]) -> dict[str, str]:
    """Makes up what neither the environment nor an earlier run gave."""
    made = {name: make() for name, make in _DEFAULTS.items() if name not in os.environ and name not in kept}
    return kept | made
