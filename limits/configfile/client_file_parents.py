"""The column ``parent`` of a file of clients: checked and imported for the file as a whole.

A parent may be a stored client or any other line of the file, also a later one, so that no single line can be judged
alone.
"""

from collections.abc import Iterable, Iterator

from django.contrib.auth.models import AbstractBaseUser
from django.db import IntegrityError, transaction

from limits.configfile.rows import write_parents
from limits.domain.client_csv import Line
from limits.models import Client
from limits.models.trees import tree_problems


class FileParents:
    """The parents in a file, collected from its lines."""

    def __init__(self) -> None:
        self._parents: dict[str, str | None] = {}
        self._lines: dict[str, int] = {}

    def add(self, lines: Iterable[Line]) -> None:
        """Adds further lines. Of several lines with the same key, the first one counts."""
        for line in lines:
            if "parent" in line.fields and line.key not in self._parents:
                self._parents[line.key] = line.fields["parent"] or None
                self._lines[line.key] = line.number

    def problems(self) -> Iterator[tuple[int, str]]:
        """Yields (line, message) for each client that cannot have its parent, by line."""
        found = tree_problems(self._parents, Client.objects.all())
        yield from sorted((self._lines[key], f"parent: {message}") for key, message in found)

    @transaction.atomic
    def write(self, user: AbstractBaseUser | None) -> None:
        """Sets the parents. A parent that was deleted meanwhile leaves none."""
        if self._parents:
            write_parents(self._parents, user)


def place_new_clients(lines: Iterable[Line], user: AbstractBaseUser | None) -> None:
    """Sets the parents of new clients as far as there are these parents, so that no client is a root until the end of
    the import. Where other clients have to move first, the parents are set at the end."""
    parents = {line.key: line.fields["parent"] for line in lines if line.fields.get("parent")}
    try:
        with transaction.atomic():
            write_parents(parents, user)
    except IntegrityError:
        return
