"""The tree of a client on its page: the ancestors, the children, and which of them send the most requests."""

from collections.abc import Sequence
from typing import Any

from limits.admin.trees import children_url
from limits.models import Client
from limits.models.trees import ancestors_of
from limits.monitoring.figures import TreeUsage, most_requests_in_tree

MAX_CHILDREN = 20
"""Maximum number of children that the page lists."""
MAX_USERS = 10
"""Maximum number of clients in the table of requests."""


def tree(client: Client) -> dict[str, Any]:
    """Returns the context of the tree: empty for a client with neither parent nor children."""
    ancestors = ancestors_of(client)
    children = list(client.children.select_related("plan").order_by("key")[:MAX_CHILDREN])
    if not ancestors and not children:
        return {}
    return {
        "ancestors": [(each, _whose(each)) for each in reversed(ancestors)],
        "own": _whose(client),
        "children": [(each, _whose(each)) for each in children],
        "child_count": client.children.count(),
        "children_url": children_url(client),
        "users": _with_rows(most_requests_in_tree(client.key, count=MAX_USERS)) if children else [],
    }


def _whose(client: Client) -> str:
    """“plan Pro”, “default plan (Free)”, “no plan of its own”: the limits that a client has itself."""
    if client.plan is not None:
        return f"plan {client.plan}"
    plan = client.plan_in_effect
    return f"default plan ({plan})" if plan else "no plan of its own"


def _with_rows(users: Sequence[TreeUsage]) -> list[tuple[TreeUsage, Client | None]]:
    """Returns each with its client; None: the client was removed meanwhile."""
    rows = {row.key: row for row in Client.objects.filter(key__in=[user.client for user in users])}
    return [(user, rows.get(user.client)) for user in users]
