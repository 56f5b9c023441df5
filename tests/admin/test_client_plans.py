"""Moving selected clients to another plan."""

import pytest
from django.urls import reverse

from limits.models import Client, Plan
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "admin:limits_client_changelist"


def move(desk: Desk, *clients: Client, **answer: str) -> Page:
    chosen = {"action": "move_to_plan", "_selected_action": [str(client.pk) for client in clients]}
    return Page(desk.client.post(reverse(LIST), chosen | answer, follow=True))


def test_selected_clients_are_moved_with_a_reason_and_live(desk: Desk, shop: Platform) -> None:
    pro, globex = rows.plan("pro"), rows.client("globex")
    acme = Client.objects.get(key="acme")
    rows.client("initech")
    page = move(desk, acme, globex)
    assert "2 clients:" in page.text
    page = move(desk, acme, globex, _move="1", plan=str(pro.pk), why="They bought it.")
    assert "2 clients moved to Pro." in page.messages
    assert [shop.client(key).plan for key in ("acme", "globex")] == ["pro", "pro"]  # type: ignore[union-attr]
    assert Client.objects.get(key="initech").plan is None
    assert acme.history.first().history_change_reason == "They bought it."


def test_back_to_the_default_plan(desk: Desk, shop: Platform) -> None:
    Client.objects.update(plan=rows.plan("pro"))
    page = move(desk, Client.objects.get(), _move="1", plan="", why="It ended.")
    assert "1 client moved to the default plan." in page.messages
    assert Client.objects.get().plan is None


def test_a_reason_is_needed(desk: Desk, shop: Platform) -> None:
    page = move(desk, Client.objects.get(), _move="1", plan=str(Plan.objects.get().pk), why="")
    assert "This field is required." in page.text
    assert Client.objects.get().plan is None
