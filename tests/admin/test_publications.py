"""Publications: which one is in force, and to which ones one can roll back."""

import pytest
from django.urls import reverse

from limits.models import Client, Plan, Policy, Publication
from tests.admin.desk import Desk, Page
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


def page_of(desk: Desk, sequence: int) -> Page:
    row = Publication.objects.get(sequence=sequence)
    return desk.open(reverse("admin:limits_publication_change", args=[row.pk]))


def test_one_publication_is_live_and_earlier_ones_are_replaced(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    Publication.objects.filter(sequence=2).update(state="pending")
    desk.change(Policy.objects.get(), limits__0__quota="8")
    shop.make_store_unavailable()
    desk.change(Policy.objects.get(), limits__0__quota="9")
    rows_shown = desk.list(Publication).response.context["cl"].result_list
    admin = desk.list(Publication).response.context["cl"].model_admin
    states = {row.sequence: admin.state_label(row) for row in rows_shown}
    assert states == {1: "replaced", 2: "replaced", 3: "live", 4: "not live yet"}
    for chosen, found in (("force", [3]), ("past", [2, 1]), ("way", [4])):
        page = desk.list(Publication, **{"in": chosen})
        assert [row.sequence for row in page.response.context["cl"].result_list] == found


def test_the_newest_publication_offers_no_rollback(desk: Desk, shop: Platform) -> None:
    desk.change(Policy.objects.get(), limits__0__quota="7")
    assert "Roll back to this version" in page_of(desk, 1).text
    assert "Roll back to this version" not in page_of(desk, 2).text


def test_the_link_to_the_history_is_shown_only_if_there_is_one(desk: Desk, shop: Platform) -> None:
    assert "/history/" not in page_of(desk, 1).text
    Client.history.all().delete()
    path = reverse("admin:limits_client_change", args=[Client.objects.get().pk])
    assert "/history/" not in desk.open(path).text
    desk.change(Client.objects.get(), name="Acme")
    assert "/history/" in desk.open(path).text
    assert "/history/" in desk.open(reverse("admin:limits_plan_change", args=[Plan.objects.get().pk])).text
