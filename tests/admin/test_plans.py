"""Plans in the order that people set, and the page of a plan."""

import re

import pytest
from django.urls import reverse

from limits.configfile.export import export
from limits.configfile.objects import PLANS
from limits.models import Plan, Policy, Publication
from tests.admin.desk import Desk, Page
from tests.configfile.files import put
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = ["Free", "Basic", "Pro"]


@pytest.fixture
def plans(shop: Platform) -> list[Plan]:
    """Free, the default plan, and two others whose names are in the order of the alphabet."""
    return [*Plan.objects.all(), rows.plan("basic"), rows.plan("pro")]


def named(page: Page) -> list[str]:
    """The plans that a page names, in its order, each once."""
    return list(dict.fromkeys(re.findall(r">\s*(Free|Basic|Pro)\s*<", page.text)))


def move(desk: Desk, plan: Plan, way: str) -> Page:
    return Page(desk.client.post(f"/admin/limits/plan/{plan.pk}/move/{way}/", follow=True))


def test_plans_are_listed_in_the_order_that_was_set(desk: Desk, plans: list[Plan]) -> None:
    assert named(desk.list(Plan)) == NAMES
    page = move(desk, plans[2], "up")
    assert page.messages == ["“Pro” is now number 2 of 3 plans."]
    assert named(page) == named(desk.open(reverse("admin:limits_plan_compare"))) == ["Free", "Pro", "Basic"]
    assert named(desk.open("/admin/limits/policy/add/")) == ["Free", "Pro", "Basic"]
    move(desk, plans[2], "up")
    move(desk, plans[2], "up")
    assert list(Plan.objects.values_list("name", flat=True)) == ["Pro", "Free", "Basic"]
    assert Publication.objects.count() == 1


def test_a_new_plan_is_the_last_one(desk: Desk, plans: list[Plan]) -> None:
    move(desk, plans[0], "down")
    rows.plan("a-new-one")
    assert list(Plan.objects.values_list("slug", flat=True)) == ["basic", "free", "pro", "a-new-one"]


def test_order_and_price_notes_are_in_the_config_file(desk: Desk, plans: list[Plan]) -> None:
    move(desk, plans[2], "up")
    desk.change(plans[2], price_note="€ 49 a month")
    text = export()
    assert "- slug: pro\n  name: Pro\n  position: 2\n  price_note: € 49 a month\n" in text
    changes = put(text.replace("position: 2", "position: 9").replace("€ 49", "€ 59")).changes
    assert changes == ["Plan pro, position: 2 → 9.", "Plan pro, price note: € 49 a month → € 59 a month."]
    assert list(Plan.objects.values_list("slug", "price_note")) == [
        ("free", ""),
        ("basic", ""),
        ("pro", "€ 59 a month"),
    ]
    assert put(export(), prune=True).changes == []


def test_a_file_without_order_and_price_notes_leaves_them(desk: Desk, plans: list[Plan]) -> None:
    desk.change(plans[2], price_note="€ 49 a month")
    put("plans: [{slug: pro, name: Professional}]")
    assert Plan.objects.get(slug="pro").price_note == "€ 49 a month"


def test_the_page_of_a_plan_shows_limits_clients_overrides_and_the_price(desk: Desk, plans: list[Plan]) -> None:
    pro = plans[2]
    desk.change(pro, price_note="€ 49 a month")
    policy = rows.policy("pro-search", quota=500, plan=pro, endpoint=rows.endpoint("search"))
    client = rows.client("globex", plan=pro)
    rows.override_limit(rows.override(client, policy))
    rows.segment_override(policy, tags=["wholesale"])
    page = desk.open(f"/admin/limits/plan/{pro.pk}/change/")
    shown = page.text.split('id="plan-limits"', 1)[1].split("</section>", 1)[0]
    for text in ("€ 49 a month", "1 client on this plan", "500 per minute", "100 per minute", "all plans", "Search"):
        assert text in shown
    links = re.findall(r'<a href="([^"]*)">(1 [^<]*)</a>', shown)
    assert [text for _, text in links] == ["1 client on this plan", "1 override", "1 segment override"]
    for address, _ in links:
        assert "1 " in desk.open(address).text
        assert desk.open(address).response.context["cl"].result_count == 1


def test_a_plan_without_limits_names_the_next_step(desk: Desk, plans: list[Plan]) -> None:
    Policy.objects.all().delete()
    page = desk.open(f"/admin/limits/plan/{plans[1].pk}/change/")
    assert f'This plan has no limits yet. <a href="/admin/limits/policy/add/?plan={plans[1].pk}">' in page.text


def test_a_single_plan_has_its_order_and_price_note(plans: list[Plan]) -> None:
    Plan.objects.filter(slug="pro").update(position=2, price_note="€ 49 a month")
    item = PLANS.item_of(Plan.objects.get(slug="pro"))
    assert item == {"slug": "pro", "name": "Pro", "position": 2, "price_note": "€ 49 a month"}
