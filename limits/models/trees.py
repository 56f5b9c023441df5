"""Trees of clients: parents, ancestors and descendants. A trigger also rejects circles and too many levels."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from django.db import connection
from django.db.models import QuerySet

from ratelimit_enforcer.domain.client import MAX_LEVELS

if TYPE_CHECKING:
    from limits.models.clients import Client

_ANCESTORS = tuple("__".join(["parent"] * level) for level in range(1, MAX_LEVELS))


def keys_of_ancestors(clients: "QuerySet[Client]") -> dict[int, tuple[str, ...]]:
    """Returns the keys of the ancestors of each client, from the parent up, by the client's primary key."""
    rows = clients.values_list("pk", *(f"{path}__key" for path in _ANCESTORS))
    return {pk: tuple(key for key in keys if key is not None) for pk, *keys in rows}


def ancestors_of(client: "Client") -> "list[Client]":
    """Returns the ancestors of a client with their plans, from the parent up."""
    if client.parent_id is None:
        return []
    pks = _pks_above(client)
    rows = type(client).objects.select_related("plan").in_bulk(pks)
    return [rows[pk] for pk in pks if pk in rows]


def moves_above(clients: "QuerySet[Client]") -> list[tuple[str, int]]:
    """Returns key and ``moved`` of the first of these clients and of its ancestors, from the client up; empty if there
    is no client."""
    columns = [column for path in _ANCESTORS for column in (f"{path}__key", f"{path}__moved")]
    row = clients.values_list("key", "moved", *columns).first() or ()
    return [(key, moved) for key, moved in zip(row[::2], row[1::2], strict=True) if key is not None]


def lock_trees() -> None:
    """Waits until no other transaction changes parents, and lets none change them until this one ends. Triggers take
    the same lock; whoever takes it before locking rows causes no deadlock, and sees the trees that it will change."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('limits_client_tree'))")


def parent_problem(client: "Client", parent: "Client") -> str | None:
    """Returns the reason why a client (saved or not) cannot be below this parent, or None."""
    if client.pk is not None and client.pk == parent.pk:
        return "A client cannot be its own parent."
    above = [parent.pk, *_pks_above(parent)]
    if client.pk in above:
        return f"“{parent}” is below “{client}”."
    if len(above) + 1 + levels_below(client) > MAX_LEVELS:
        return f"There may be at most {MAX_LEVELS} levels, from the highest ancestor to the lowest descendant."
    return None


def _pks_above(client: "Client") -> list[int]:
    rows = type(client).objects.filter(pk=client.pk).values_list(*(f"{path}__pk" for path in _ANCESTORS))
    return [pk for pk in rows.first() or () if pk is not None]


def levels_below(client: "Client") -> int:
    """Returns the number of levels of descendants of a client."""
    if not client.pk:
        return 0
    levels = range(MAX_LEVELS - 1, 0, -1)
    return next((level for level in levels if _at_level(client, level).exists()), 0)


def keys_below(keys: Iterable[str], clients: "QuerySet[Client]") -> set[str]:
    """Returns the keys of all descendants, among ``clients``, of those with these keys."""
    return set(_with_descendants(keys, {}, clients))


def _at_level(client: "Client", level: int) -> "QuerySet[Client]":
    return type(client).objects.filter(**{_ANCESTORS[level - 1]: client})


def tree_problems(parents: Mapping[str, str | None], clients: "QuerySet[Client]") -> Iterator[tuple[str, str]]:
    """Yields (key, message) for each client that cannot have its new parent. ``parents``: key → key of the parent, of
    clients that get them all at once; ``clients``: the clients that there are."""
    new = {key: parent for key, parent in parents.items() if parent is not None}
    if not new:
        return
    forest = dict(parents) | _with_ancestors(new.values(), parents, clients)
    forest |= _with_descendants(new, parents, clients)
    for key, parent in new.items():
        if parent not in forest:
            yield key, f"there is no client “{parent}”."
        elif message := _path_problem(_path_up(forest, key)):
            yield key, message
    for key in forest.keys() - parents.keys():
        path = _path_up(forest, key)
        moved = next((each for each in path if each in new), None)
        if moved and not _path_problem(_path_up(forest, moved)) and (message := _path_problem(path)):
            yield moved, message


def _with_ancestors(
    keys: Iterable[str], known: Mapping[str, str | None], clients: "QuerySet[Client]"
) -> dict[str, str | None]:
    """The parents of stored clients with these keys, and of their ancestors."""
    found: dict[str, str | None] = {}
    wanted = set(keys) - known.keys()
    while wanted:
        rows = dict(clients.filter(key__in=wanted).values_list("key", "parent__key"))
        found |= rows
        wanted = {parent for parent in rows.values() if parent is not None} - found.keys() - known.keys()
    return found


def _with_descendants(
    keys: Iterable[str], known: Mapping[str, str | None], clients: "QuerySet[Client]"
) -> dict[str, str | None]:
    """The parents of stored clients below those with these keys."""
    found: dict[str, str | None] = {}
    for _ in range(MAX_LEVELS):
        rows = clients.filter(parent__key__in=list(keys)).values_list("key", "parent__key")
        keys = dict(row for row in rows if row[0] not in known and row[0] not in found)
        found |= keys
    return found


def _path_up(forest: Mapping[str, str | None], key: str) -> list[str]:
    """The keys from a client up to its root, or to the first one that occurs twice."""
    path: list[str] = []
    place: str | None = key
    while place is not None and place not in path:
        path.append(place)
        place = forest.get(place)
    return path if place is None else [*path, place]


def _path_problem(path: list[str]) -> str | None:
    if path[-1] in path[:-1]:
        return f"the client would be below itself ({' → '.join(path)})."
    if len(path) > MAX_LEVELS:
        return f"there would be more than {MAX_LEVELS} levels ({' → '.join(path)})."
    return None
