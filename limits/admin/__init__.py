"""The admin: where people edit what the servers decide by. One module for each kind of row."""

from limits.admin import clients, endpoints, overrides, plans, platform, policies, publications, tokens, users

__all__ = ["clients", "endpoints", "overrides", "plans", "platform", "policies", "publications", "tokens", "users"]
