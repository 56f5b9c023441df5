"""Trees of clients in the database: no circles, four levels, and revisions for all who move."""

import pytest
from django.core.exceptions import ValidationError
from django.db.models import RestrictedError

from limits.models import Client, ClientChange
from limits.models.trees import keys_below, keys_of_ancestors, levels_below, moves_above
from tests.models import rows
from tests.models.conftest import Refused

pytestmark = pytest.mark.django_db


def chain(*keys: str) -> list[Client]:
    """Clients, each below the one before it."""
    found: list[Client] = []
    for key in keys:
        found.append(rows.client(key, parent=found[-1] if found else None))
    return found


def changes() -> dict[str, str | None]:
    """The clients in the outbox, in order, with the roots that they had before."""
    return {change.client_key: change.earlier_root for change in ClientChange.objects.order_by("id")}


def outbox_after(clients: "list[Client]", **fields: object) -> dict[str, str | None]:
    ClientChange.objects.all().delete()
    Client.objects.filter(pk__in=[client.pk for client in clients]).update(**fields)
    return changes()


def test_a_client_is_its_own_ancestor_in_no_way(refused: Refused) -> None:
    acme, team, key = chain("acme", "team", "key")
    for parent in (acme, team, key):
        acme.parent = parent
        with pytest.raises(ValidationError) as error:
            acme.clean()
        assert "parent" in error.value.message_dict
        with refused("cannot be below itself"):
            Client.objects.filter(pk=acme.pk).update(parent=parent)


def test_there_are_at_most_four_levels(refused: Refused) -> None:
    *_, lowest = chain("one", "two", "three", "four")
    with refused("at most 4 levels"):
        rows.client("five", parent=lowest)
    with pytest.raises(ValidationError, match="at most 4 levels"):
        Client(key="five", parent=lowest).clean()


def test_the_levels_below_a_client_count_too(refused: Refused) -> None:
    _, two = chain("one", "two")
    top, *_ = chain("a", "b", "c")
    assert levels_below(top) == 2
    top.parent = two
    with pytest.raises(ValidationError, match="at most 4 levels"):
        top.clean()
    with refused("at most 4 levels"):
        Client.objects.filter(pk=top.pk).update(parent=two)


def test_a_client_with_children_cannot_be_removed() -> None:
    acme, _ = chain("acme", "key")
    with pytest.raises(RestrictedError):
        acme.delete()
    Client.objects.all().delete()


def test_ancestors_and_descendants() -> None:
    acme, team, key = chain("acme", "team", "key")
    assert keys_of_ancestors(Client.objects.all()) == {acme.pk: (), team.pk: ("acme",), key.pk: ("team", "acme")}
    assert keys_below([acme.key], Client.objects.all()) == {"team", "key"}
    assert moves_above(Client.objects.filter(key="key")) == [
        *[("key", key.moved), ("team", team.moved), ("acme", 0)],
    ]


def test_a_client_that_got_a_parent_has_moved_at_its_revision() -> None:
    acme, key = chain("acme", "key")
    assert (acme.moved, key.moved) == (0, key.revision)
    Client.objects.filter(pk=key.pk).update(name="Key")
    key.refresh_from_db()
    assert 0 < key.moved < key.revision
    Client.objects.filter(pk=key.pk).update(parent=None)
    key.refresh_from_db()
    assert key.moved == key.revision


def test_a_change_without_a_move_names_no_earlier_root() -> None:
    acme, _ = chain("acme", "key")
    assert outbox_after([acme], name="Acme") == {"acme": None}


def test_all_descendants_of_a_moved_client_move_with_it_the_lowest_first() -> None:
    chain("acme", "team", "key")
    team = Client.objects.get(key="team")
    other = rows.client("other")
    revisions = dict(Client.objects.values_list("key", "revision"))
    assert list(outbox_after([team], parent=other).items()) == [("key", "acme"), ("team", "acme")]
    changed = {key for key, revision in Client.objects.values_list("key", "revision") if revision > revisions[key]}
    assert changed == {"key", "team"}
    assert outbox_after([team], parent=None) == {"key": "other", "team": "other"}


def test_a_root_that_gets_a_parent_was_its_own_root() -> None:
    acme, _ = chain("acme", "key")
    holding = rows.client("holding")
    assert outbox_after([acme], parent=holding) == {"key": "acme", "acme": "acme"}


def test_clients_that_move_in_one_statement() -> None:
    """The roots before are those before the statement, whatever else the statement moves."""
    acme, _, key = chain("acme", "team", "key")
    other = rows.client("other")
    assert outbox_after([acme, key], parent=other) == {"team": "acme", "acme": "acme", "key": "acme"}


def test_a_removed_client_names_its_earlier_root() -> None:
    _, key = chain("acme", "key")
    single = rows.client("single")
    ClientChange.objects.all().delete()
    Client.objects.filter(pk__in=[key.pk, single.pk]).delete()
    assert changes() == {"key": "acme", "single": None}


def test_a_tree_that_is_removed_as_a_whole() -> None:
    chain("acme", "team", "key")
    ClientChange.objects.all().delete()
    Client.objects.all().delete()
    assert changes() == {"acme": None, "team": "acme", "key": "acme"}
