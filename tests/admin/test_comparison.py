"""Comparison of plans, and copying a plan."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from limits.admin.comparison import Row
from limits.models import Endpoint, Plan, Policy, PolicyLimit
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

COMPARE = "admin:limits_plan_compare"


@pytest.fixture
def plans(shop: Platform) -> None:
    """The plans Free, Pro and Team, with policies on search and orders."""
    search, orders = rows.endpoint("search", "GET /search"), rows.endpoint("orders")
    for slug, quota in (("free", 10), ("pro", 100), ("team", 100)):
        plan = Plan.objects.filter(slug=slug).first() or rows.plan(slug)
        rows.policy(f"{slug}-search", quota=quota, plan=plan, endpoint=search)
    pro = Plan.objects.get(slug="pro")
    shadow = rows.policy("pro-orders", quota=5, plan=pro, endpoint=orders, mode="shadow")
    rows.limit(shadow, quota=2, window=1, algorithm="token_bucket", burst=4)


def table(desk: Desk, **query: str) -> dict[str, list[tuple[list[str], str]]]:
    """Row → for each plan its sentences, and the difference from the plan to its left."""
    shown: list[Row] = desk.open(reverse(COMPARE), **query).response.context["rows"]
    return {
        row.name: [
            ([" ".join([each.sentence, *each.badges]) for each in cell.entries], cell.difference) for cell in row.cells
        ]
        for row in shown
    }


def test_cells_show_the_limits_of_a_plan_and_the_differences(desk: Desk, plans: None) -> None:
    everywhere = ["100 per minute all plans"]
    assert table(desk) == {
        "All requests together": [(everywhere, ""), (everywhere, ""), (everywhere, "")],
        "Orders": [
            ([], ""),
            (["5 per minute; and 2 per second, bursts of 4 shadow"], "differs from Free"),
            ([], "differs from Pro"),
        ],
        "Search": [(["10 per minute"], ""), (["100 per minute"], "10 × Free"), (["100 per minute"], "")],
    }


@pytest.mark.parametrize(("window", "difference"), [(60, "10 × Free"), (90, "differs from Free")])
def test_concurrency_limits_are_multiples_only_if_requests_may_take_as_long(
    desk: Desk, plans: None, window: int, difference: str
) -> None:
    limits = PolicyLimit.objects.filter(policy__slug__in=["free-search", "pro-search"])
    limits.update(algorithm="concurrency")
    limits.filter(policy__slug="pro-search").update(window=window)
    free, pro, _ = table(desk)["Search"]
    assert free == (["at most 10 concurrent requests, each for at most one minute"], "")
    assert pro[1] == difference


def test_rows_and_columns_can_be_filtered(desk: Desk, plans: None) -> None:
    assert list(table(desk, q="sea")) == ["Search"]
    assert list(table(desk, differing="on")) == ["Orders", "Search"]
    assert [len(cells) for cells in table(desk, plan="pro").values()] == [1, 1, 1]


def test_a_limit_links_to_its_form_and_a_save_returns(desk: Desk, plans: None, shop: Platform) -> None:
    policy = Policy.objects.get(slug="pro-search")
    path = f"{reverse('admin:limits_policy_change', args=[policy.pk])}?back=comparison"
    assert f'href="{path}"' in desk.open(reverse(COMPARE)).text
    page = desk.confirm(desk.send(path, limits__0__quota="500"))
    assert page.response.wsgi_request.path == reverse(COMPARE)
    assert shop.quotas["pro-search"] == 500


def test_an_empty_cell_links_to_a_form_with_plan_and_endpoint(desk: Desk, plans: None) -> None:
    cell = next(row for row in desk.open(reverse(COMPARE)).response.context["rows"] if row.name == "Orders").cells[0]
    form = desk.client.get(cell.add_url).context["adminform"].form
    assert (str(form.initial["plan"]), str(form["endpoint"].value())) == (
        str(Plan.objects.get(slug="free").pk),
        str(Policy.objects.get(slug="pro-orders").endpoint_id),
    )


def test_the_number_of_queries_does_not_depend_on_the_size(desk: Desk, plans: None) -> None:
    desk.open(reverse(COMPARE))
    with CaptureQueriesContext(connection) as few:
        desk.open(reverse(COMPARE))
    for number in range(10):
        rows.policy(f"more-{number}", plan=rows.plan(f"plan-{number}"), endpoint=rows.endpoint(f"more-{number}"))
    with CaptureQueriesContext(connection) as many:
        desk.open(reverse(COMPARE))
    assert len(many) == len(few)


def test_an_empty_platform_gets_a_hint(desk: Desk, platform: Platform) -> None:
    assert "There are no plans yet." in desk.open(reverse(COMPARE)).text


def copy(desk: Desk, **names: str) -> Page:
    path = reverse("admin:limits_plan_copy", args=[Plan.objects.get(slug="pro").pk])
    return Page(desk.client.post(path, {"name": "Gold", "slug": "gold"} | names, follow=True))


def test_a_plan_is_copied_with_all_of_its_policies_after_a_review(desk: Desk, plans: None, shop: Platform) -> None:
    review = copy(desk)
    assert review.is_review
    assert review.messages == []
    assert not Plan.objects.filter(slug="gold").exists()
    assert "“Gold” was created as a copy of “Pro”." in desk.confirm(review).messages
    assert [plan.slug for plan in shop.ruleset.plans] == ["free", "gold", "pro", "team"]
    copied = {policy.slug: policy for policy in shop.ruleset.policies if policy.plan == "gold"}
    originals = {policy.slug: policy for policy in shop.ruleset.policies if policy.plan == "pro"}
    assert list(copied) == ["gold-orders", "gold-search"]
    for slug, policy in copied.items():
        original = originals[slug.replace("gold", "pro")]
        assert (policy.limits, policy.mode, policy.endpoint) == (original.limits, original.mode, original.endpoint)


@pytest.mark.parametrize(
    ("names", "field", "message"),
    [
        ({"slug": "free"}, "slug", "A plan with this slug already exists."),
        ({"slug": "Gold"}, "slug", "lowercase letters"),
        ({"slug": "taken"}, "slug", "taken-search"),
        ({"name": ""}, "name", "required"),
    ],
)
def test_an_invalid_name_of_a_copy_is_reported_at_its_field(
    desk: Desk, plans: None, names: dict[str, str], field: str, message: str
) -> None:
    rows.policy("taken-search")
    page = copy(desk, **names)
    assert message in page.response.context["form"].errors[field][0]
    assert Plan.objects.count() == 3


def test_many_endpoints_are_paginated(desk: Desk, plans: None) -> None:
    Endpoint.objects.bulk_create(Endpoint(slug=f"e{number:02}", name=f"E {number:02}") for number in range(60))
    assert (len(table(desk)), len(table(desk, p="2"))) == (50, 13)
    assert list(table(desk, differing="on")) == ["Orders", "Search"]
    assert 'href="?p=2"' in desk.open(reverse(COMPARE)).text
