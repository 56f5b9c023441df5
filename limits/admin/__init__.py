"""The admin, where people edit the rules and clients that servers apply. One module for each kind of row."""

from limits.admin import (
    alerts,
    client_actions,
    client_files,
    clients,
    emergency_switch,
    endpoints,
    home,
    login,
    overrides,
    plans,
    policies,
    publications,
    segments,
    tokens,
    usage,
    users,
)

__all__ = [
    "alerts",
    "client_actions",
    "client_files",
    "clients",
    "emergency_switch",
    "endpoints",
    "home",
    "login",
    "overrides",
    "plans",
    "policies",
    "publications",
    "segments",
    "tokens",
    "usage",
    "users",
]
