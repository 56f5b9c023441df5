"""The groups created by a migration, and the permissions of each role, enforced by the server."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.test import Client as Browser
from django.urls import reverse
from django.utils.timezone import now

from limits.models import (
    Alert,
    AlertRule,
    ApiToken,
    Block,
    Client,
    Endpoint,
    Override,
    Plan,
    Policy,
    Publication,
    SegmentOverride,
    Settlement,
    SettlementDay,
    SettlementHour,
    Usage,
)
from limits.models import Platform as PlatformRow
from limits.models.roles import OPERATORS, PRODUCT_MANAGERS, ROLES, SUPPORT, VIEWERS, create_roles
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def member(shop: Platform) -> Callable[[str], Desk]:
    """A user with this role in the admin."""
    create_roles(Group.objects, Permission.objects)
    Alert.objects.create(rule=rows.alert_rule(group_by="client"), group="ip:203.0.113.7", opened_at=now(), highest=60)

    def member(role: str) -> Desk:
        user = User.objects.create_user(role, password="a password of theirs", is_staff=True)
        user.groups.add(Group.objects.get(name=role))
        return desk_of(user)

    return member


def client_page(name: str, *more: str) -> str:
    return reverse(f"admin:limits_client_{name}", args=[Client.objects.get().pk, *more])


PAGES: dict[str, Callable[[], str]] = {
    "change a policy": lambda: reverse("admin:limits_policy_change", args=[Policy.objects.get().pk]),
    "add a plan": lambda: reverse("admin:limits_plan_add"),
    "copy a plan": lambda: reverse("admin:limits_plan_copy", args=[Plan.objects.get().pk]),
    "roll back": lambda: reverse("admin:limits_publication_roll_back", args=[Publication.objects.get().pk]),
    "change a client": lambda: reverse("admin:limits_client_change", args=[Client.objects.get().pk]),
    "import clients": lambda: reverse("admin:limits_client_import_clients"),
    "give more": lambda: client_page("more"),
    "block": lambda: client_page("status", "blocked"),
    "exempt": lambda: client_page("status", "exempt"),
    "reset": lambda: client_page("reset_counters"),
    "block an unregistered caller": lambda: reverse("admin:limits_client_block"),
    "handle an alert": lambda: reverse("admin:limits_alert_handle", args=[Alert.objects.get().pk]),
    "add an override": lambda: reverse("admin:limits_override_add"),
    "add an override of a segment": lambda: reverse("admin:limits_segmentoverride_add"),
    "add a block": lambda: reverse("admin:limits_block_add"),
    "add a token": lambda: reverse("admin:limits_apitoken_add"),
    "add an alert rule": lambda: reverse("admin:limits_alertrule_add"),
    "switch": lambda: reverse("admin:limits_platform_change", args=[PlatformRow.load().pk]),
}

MAY = {
    VIEWERS: set(),
    SUPPORT: {
        "give more",
        "block",
        "block an unregistered caller",
        "reset",
        "add an override",
        "handle an alert",
        "add a block",
    },
    PRODUCT_MANAGERS: {
        *("change a policy", "add a plan", "copy a plan", "roll back", "change a client", "import clients"),
        *("give more", "block", "block an unregistered caller", "exempt", "reset", "add an override"),
        *("add an override of a segment", "add a block"),
    },
    OPERATORS: {"add a token", "add an alert rule", "switch", "handle an alert"},
}


@pytest.mark.parametrize("role", ROLES)
def test_a_role_has_exactly_its_permissions(member: Callable[[str], Desk], role: str) -> None:
    desk = member(role)
    answers = {name: desk.client.post(page(), {}).status_code for name, page in PAGES.items()}
    assert {name for name, status in answers.items() if status != 403} == MAY[role]


@pytest.mark.parametrize("role", ROLES)
def test_every_role_may_view_everything(member: Callable[[str], Desk], role: str) -> None:
    desk = member(role)
    for model in (
        Plan,
        Endpoint,
        Policy,
        Client,
        Override,
        SegmentOverride,
        Block,
        ApiToken,
        AlertRule,
        Publication,
        Usage,
        Settlement,
        SettlementHour,
        SettlementDay,
    ):
        assert desk.list(model).status == 200
    for name in ("admin:index", "admin:limits_plan_compare", "admin:limits_client_explain"):
        assert desk.open(reverse(name)).status == 200
    assert desk.open(reverse("admin:limits_client_change", args=[Client.objects.get().pk])).status == 200


def test_support_may_end_a_block_but_not_an_exemption(member: Callable[[str], Desk]) -> None:
    desk = member(SUPPORT)
    for before, allowed in (("blocked", True), ("exempt", False)):
        Client.objects.update(status=before)
        answer = desk.client.post(client_page("status", "active"), {"why": "They paid."})
        assert (answer.status_code == 302) == allowed
        assert (Client.objects.get().status == "active") == allowed


@pytest.mark.parametrize("role", [OPERATORS, SUPPORT])
def test_operators_and_support_may_acknowledge_an_alert(member: Callable[[str], Desk], role: str) -> None:
    desk, alert = member(role), Alert.objects.get()
    assert "Acknowledge or silence…" in desk.open(reverse("admin:limits_alert_change", args=[alert.pk])).text
    desk.client.post(reverse("admin:limits_alert_handle", args=[alert.pk]), {"action": "acknowledge"})
    alert.refresh_from_db()
    assert (alert.state, alert.acknowledged_by) == (Alert.State.ACKNOWLEDGED, role)


def test_support_may_block_an_unregistered_caller(member: Callable[[str], Desk], shop: Platform) -> None:
    desk, key = member(SUPPORT), "ip:203.0.113.7"
    path = f"{reverse('admin:limits_client_block')}?key={key}"
    alert = reverse("admin:limits_alert_change", args=[Alert.objects.get().pk])
    explained = f"{reverse('admin:limits_client_explain')}?client={key}&request=GET+/"
    for page in (alert, explained):
        assert f'href="{path.replace(":203", "%3A203")}"' in desk.open(page).text
    assert key in desk.open(path).text
    desk.client.post(path, {"key": key, "why": "It tries keys of others."})
    client = Client.objects.get(key=key)
    assert (client.status, shop.client(key).status) == ("blocked", "blocked")  # type: ignore[union-attr]
    record = Client.history.filter(id=client.pk).first()
    assert (record.history_user.username, record.history_change_reason) == (SUPPORT, "It tries keys of others.")


def test_blocking_a_registered_client_redirects_to_its_page(member: Callable[[str], Desk]) -> None:
    answer = member(SUPPORT).client.get(reverse("admin:limits_client_block"), {"key": "acme"})
    assert answer["Location"] == client_page("status", "blocked")


@pytest.mark.parametrize(
    ("page", "lacking", "groups"),
    [
        ("add a token", "add API tokens", "Operators"),
        ("exempt", "block and unblock clients", "Product managers"),
        ("roll back", "roll back to an earlier version of the rules", "Product managers"),
        ("copy a plan", "add plans", "Product managers"),
        ("reset", "reset counters of clients", "Product managers"),
        ("handle an alert", "change alerts", "Operators"),
    ],
)
def test_a_missing_permission_is_shown_with_the_users_to_contact(
    member: Callable[[str], Desk], ada: User, page: str, lacking: str, groups: str
) -> None:
    answer = member(VIEWERS).client.get(PAGES[page]())
    text = answer.content.decode()
    assert answer.status_code == 403
    assert f"does not have permission to <strong>{lacking}</strong>" in text
    assert f"<strong>{groups}</strong>" in text
    assert "To request it, contact <strong>ada</strong>." in text


def test_an_expired_form_is_reported(member: Callable[[str], Desk]) -> None:
    browser = Browser(enforce_csrf_checks=True)
    member(SUPPORT)
    browser.force_login(User.objects.get(username=SUPPORT))
    answer = browser.post(client_page("status", "blocked"), {"why": "It scrapes."})
    assert answer.status_code == 403
    assert "This form has expired" in answer.content.decode()


def test_existing_groups_get_the_permission_for_alerts(transactional_db: None) -> None:
    Group.objects.all().delete()
    for name in (OPERATORS, VIEWERS):
        Group.objects.create(name=name)
    migration: Any = MigrationExecutor(connection).loader.get_migration(
        "limits", "0016_alerts_of_operators_and_support"
    )
    state = MigrationExecutor(connection).loader.project_state([("limits", "0016_alerts_of_operators_and_support")])
    migration.operations[0].code(state.apps, None)
    may = Group.objects.filter(permissions__codename="change_alert")
    assert list(may.values_list("name", flat=True)) == [OPERATORS]


def test_only_permitted_buttons_are_shown(member: Callable[[str], Desk]) -> None:
    page = reverse("admin:limits_client_change", args=[Client.objects.get().pk])
    text = member(SUPPORT).open(page).text
    assert "Block…" in text
    assert "Exempt from limits…" not in text
    text = member(VIEWERS).open(page).text
    assert [word for word in ("Block…", "Raise limits temporarily…", "Reset counters…", "+50 %") if word in text] == []


# In a transaction, because it creates content types and permissions of models that have been renamed since.
@pytest.mark.django_db
def test_the_migration_creates_missing_groups_and_keeps_existing_ones() -> None:
    Group.objects.all().delete()
    Group.objects.create(name=VIEWERS)
    migration: Any = MigrationExecutor(connection).loader.get_migration("limits", "0012_roles")
    state = MigrationExecutor(connection).loader.project_state([("limits", "0012_roles")])
    migration.operations[0].code(state.apps, None)
    assert set(Group.objects.values_list("name", flat=True)) == set(ROLES)
    assert not Group.objects.get(name=VIEWERS).permissions.exists()
    assert Group.objects.get(name=SUPPORT).permissions.filter(codename="reset_client").exists()


def test_each_change_is_in_the_history_with_its_author(member: Callable[[str], Desk], shop: Platform) -> None:
    member(SUPPORT).client.post(client_page("status", "blocked"), {"why": "It scrapes."})
    assert shop.client("acme").status == "blocked"  # type: ignore[union-attr]
    record = Client.history.first()
    assert (record.history_user.username, record.history_change_reason, record.status) == (
        SUPPORT,
        "It scrapes.",
        "blocked",
    )


def test_a_role_without_permission_cannot_confirm_a_review(member: Callable[[str], Desk], desk: Desk) -> None:
    rows.plan("pro")
    path = reverse("admin:limits_policy_change", args=[Policy.objects.get().pk])
    page = desk.send(path, limits__0__quota="7")
    answer = page.sent_again | {"_confirm": "1", "why": "Mine.", "reviewed_version": page.response.context["version"]}
    assert member(SUPPORT).client.post(path, answer).status_code == 403
    assert Policy.objects.get().limits.get().quota == 100
