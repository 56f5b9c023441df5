"""Every change of a client, however it is made, gets a new revision and is written to the outbox."""

from collections.abc import Callable

import pytest
from django.db import connection, transaction

from limits.models import Client, ClientChange, Grant, Override, OverrideLimit
from tests.models import rows

pytestmark = pytest.mark.django_db


def revisions() -> dict[str, int]:
    return dict(Client.objects.values_list("key", "revision"))


def waiting() -> dict[str, int]:
    """The newest revision of each client in the outbox."""
    return dict(ClientChange.objects.order_by("revision").values_list("client_key", "revision"))


def assert_changed(change: Callable[[], object], *keys: str) -> None:
    """Asserts that exactly these clients have higher revisions, and that the outbox contains exactly them."""
    ClientChange.objects.all().delete()
    before = revisions()
    change()
    after = revisions()
    changed = {key: revision for key, revision in after.items() if before.get(key) != revision}
    assert sorted(changed) == sorted(keys)
    assert waiting() == changed
    assert min(changed.values(), default=0) > max(before.values(), default=-1)


@pytest.fixture
def override() -> Override:
    """An override of the client acme; there is also a client “other”."""
    rows.client("other")
    row = rows.override(rows.client("acme"), rows.policy())
    rows.override_limit(row)
    return row


def test_a_new_client() -> None:
    assert_changed(lambda: Client(key="acme").save(), "acme")


def test_clients_created_in_bulk() -> None:
    assert_changed(lambda: Client.objects.bulk_create([Client(key="a"), Client(key="b")]), "a", "b")


def test_a_saved_client() -> None:
    row = rows.client("acme")
    rows.client("other")
    assert_changed(row.save, "acme")


def test_a_saved_stale_row_gets_a_new_revision() -> None:
    stale = rows.client("acme")
    Client.objects.update(name="Acme")
    assert_changed(stale.save, "acme")


def test_a_queryset_update() -> None:
    rows.client("a")
    rows.client("b")
    rows.client("c")
    assert_changed(lambda: Client.objects.exclude(key="c").update(status="blocked"), "a", "b")


def test_a_bulk_update() -> None:
    row = rows.client("acme")
    row.name = "Acme"
    assert_changed(lambda: Client.objects.bulk_update([row], ["name"]), "acme")


def test_a_statement_from_outside_django() -> None:
    rows.client("acme")

    def change() -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE limits_client SET status = 'exempt', revision = 1")

    assert_changed(change, "acme")


def test_a_given_revision_is_ignored() -> None:
    assert rows.client("acme", revision=10**15).revision < 10**15


def test_a_new_override(override: Override) -> None:
    other = rows.client("third")
    assert_changed(lambda: rows.override(other, override.policy), "third")


def test_a_changed_override(override: Override) -> None:
    assert_changed(lambda: Override.objects.update(reason="Sale"), "acme")


def test_a_removed_override(override: Override) -> None:
    OverrideLimit.objects.all().delete()
    assert_changed(lambda: Override.objects.all().delete(), "acme")


def test_an_override_moved_to_another_client_changes_both(override: Override) -> None:
    other = Client.objects.get(key="other")
    assert_changed(lambda: Override.objects.update(client=other), "acme", "other")


def test_a_new_override_limit(override: Override) -> None:
    assert_changed(lambda: rows.override_limit(override, window=3600), "acme")


def test_a_changed_override_limit(override: Override) -> None:
    assert_changed(lambda: OverrideLimit.objects.update(quota=1), "acme")


def test_a_removed_override_limit(override: Override) -> None:
    assert_changed(lambda: OverrideLimit.objects.all().delete(), "acme")


def test_an_override_limit_moved_to_another_client_changes_both(override: Override) -> None:
    other = rows.override(Client.objects.get(key="other"), override.policy)
    assert_changed(lambda: OverrideLimit.objects.update(override=other), "acme", "other")


def test_a_grant_that_is_new_changed_moved_and_removed() -> None:
    policy, acme, other = rows.monthly_policy(), rows.client("acme"), rows.client("other")
    assert_changed(lambda: rows.grant(acme, policy), "acme")
    assert_changed(lambda: Grant.objects.update(amount=5), "acme")
    assert_changed(lambda: Grant.objects.update(client=other), "acme", "other")
    assert_changed(lambda: Grant.objects.all().delete(), "other")


def test_a_deleted_client_has_a_higher_revision_in_the_outbox() -> None:
    revision = rows.client("acme").revision
    Client.objects.all().delete()
    assert waiting()["acme"] > revision


def test_a_deleted_client_with_overrides_has_the_highest_revision(override: Override) -> None:
    Client.objects.filter(key="acme").delete()
    newest = ClientChange.objects.order_by("-revision").values_list("client_key", flat=True).first()
    assert newest == "acme"
    assert revisions().keys() == {"other"}


def test_a_recreated_client_has_a_higher_revision_than_its_deletion() -> None:
    rows.client("acme").delete()
    removed = waiting()["acme"]
    assert rows.client("acme").revision > removed


def test_a_rolled_back_change_is_not_in_the_outbox() -> None:
    with transaction.atomic():
        rows.client("acme")
        transaction.set_rollback(True)
    assert waiting() == {}
