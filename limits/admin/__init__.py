"""The admin: where people edit what the servers decide by. One module for each kind of row."""

from limits.admin import (
    alerts,
    client_files,
    clients,
    endpoints,
    home,
    login,
    overrides,
    plans,
    platform,
    policies,
    publications,
    resets,
    tokens,
    usage,
    users,
)

__all__ = [
    "alerts",
    "client_files",
    "clients",
    "endpoints",
    "home",
    "login",
    "overrides",
    "plans",
    "platform",
    "policies",
    "publications",
    "resets",
    "tokens",
    "usage",
    "users",
]
