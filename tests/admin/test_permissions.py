"""Permissions are enforced by the server."""

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser
from django.urls import reverse

from limits.models import ApiToken, ChangeSet, Client, Endpoint, Override, Plan, Policy, Publication
from limits.models import Platform as PlatformRow
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

MODELS = [ApiToken, ChangeSet, Client, Endpoint, Override, Plan, Policy, PlatformRow, Publication]


def staff(*permissions: str) -> Desk:
    user = User.objects.create_user("grace", password="a password of Grace", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    return desk_of(user)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_pages_require_a_login(shop: Platform, model: type[Plan]) -> None:
    path = reverse(f"admin:limits_{model._meta.model_name}_changelist")
    answer = Browser().get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_staff_without_a_permission_gets_403(shop: Platform, model: type[Plan]) -> None:
    path = reverse(f"admin:limits_{model._meta.model_name}_changelist")
    assert staff().client.get(path, follow=True).status_code == 403


def test_the_menu_shows_only_permitted_pages(shop: Platform) -> None:
    text = staff("view_plan").open(reverse("admin:index")).text
    assert reverse("admin:limits_plan_changelist") in text
    assert reverse("admin:limits_policy_changelist") not in text


@pytest.mark.parametrize(
    ("path", "titles"),
    [
        ("", []),
        ("limits/plan/", ["Plans"]),
        ("limits/plan/add/", ["Plans"]),
        ("limits/plan/compare/", ["Compare plans"]),
        ("limits/client/explain/", ["Why was this denied?"]),
        ("auth/user/", ["Users"]),
    ],
)
def test_the_menu_marks_the_current_page(desk: Desk, shop: Platform, path: str, titles: list[str]) -> None:
    groups = desk.open(f"/admin/{path}").response.context["sidebar_navigation"]
    lines = [line for group in groups for line in group["items"] if line["title"] != "Home"]
    assert [line["title"] for line in lines if line["active"]] == titles


def test_users_with_view_permission_cannot_change_rows(shop: Platform) -> None:
    viewer, policy = staff("view_policy"), Policy.objects.get()
    path = reverse("admin:limits_policy_change", args=[policy.pk])
    assert viewer.client.get(path).status_code == 200
    assert viewer.client.post(path, {"name": "Mine"}).status_code == 403
    assert (
        viewer.client.post(reverse("admin:limits_policy_delete", args=[policy.pk]), {"post": "yes"}).status_code == 403
    )
    assert viewer.client.get(reverse("admin:limits_policy_add")).status_code == 403
    assert shop.sequence == 1


def test_users_with_view_permission_see_whom_an_override_is_for(shop: Platform) -> None:
    row = rows.segment_override(Policy.objects.get(), tags=["eu", "wholesale"])
    page = staff("view_segmentoverride").open(reverse("admin:limits_segmentoverride_change", args=[row.pk]))
    assert "Clients with the tags eu and wholesale" in page.text
    assert 'x-show="whom' not in page.text


def test_users_with_view_permission_cannot_use_the_emergency_switch(shop: Platform) -> None:
    viewer, switch = staff("view_platform"), PlatformRow.load()
    path = reverse("admin:limits_platform_change", args=[switch.pk])
    assert viewer.client.post(path, {"shadow_all": "on"}).status_code == 403
    assert not PlatformRow.load().shadow_all


def test_users_with_view_permission_cannot_revoke_tokens(shop: Platform) -> None:
    token = rows.token()
    staff("view_apitoken").act("revoke", token)
    assert ApiToken.objects.get().revoked_at is None


@pytest.mark.parametrize("verb", ["add", "change", "delete"])
def test_publications_are_read_only(desk: Desk, shop: Platform, verb: str) -> None:
    publication = Publication.objects.get()
    path = reverse(f"admin:limits_publication_{verb}", args=[] if verb == "add" else [publication.pk])
    assert desk.client.post(path, {"author": "somebody", "post": "yes"}).status_code == 403
    assert Publication.objects.get().author == "test"


def test_a_post_without_a_csrf_token_is_rejected(ada: User, shop: Platform) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(ada)
    path = reverse("admin:limits_policy_delete", args=[Policy.objects.get().pk])
    assert browser.post(path, {"post": "yes"}).status_code == 403
    assert shop.sequence == 1
