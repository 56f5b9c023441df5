"""The admin: where people edit what the servers decide by. One module for each kind of row."""

from limits.admin import (
    alerts,
    clients,
    endpoints,
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
    "clients",
    "endpoints",
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
