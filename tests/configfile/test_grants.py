"""Grants in a config file."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone

from limits.configfile.export import export
from limits.models import Grant, GrantTotal
from tests.configfile.files import empty_tables, everything, put, refusal, refused
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

DATES = "from: 2026-11-01T00:00:00Z, until: 2126-01-01T00:00:00Z"
GRANT = f"{{client: acme, policy: monthly, amount: 10000, {DATES}, priority: 5, reason: order 7}}"
SMALL = f"{{client: acme, policy: monthly, amount: 50, {DATES.replace('11-01', '11-02')}}}"


def grants(*items: str) -> str:
    return f"grants: [{', '.join(items)}]"


@pytest.fixture
def sold(shop: Platform) -> Platform:
    """A platform with a policy with a monthly quota."""
    rows.monthly_policy()
    return shop


def test_grants_are_part_of_the_record_of_their_client(sold: Platform) -> None:
    assert put(grants(GRANT, SMALL)).changes == ["Client acme changed."]
    record = sold.client("acme")
    assert record is not None
    assert [(grant.policy, grant.amount, grant.priority) for grant in record.grants] == [
        ("monthly", 10_000, 5),
        ("monthly", 50, 0),
    ]
    assert {row.author for row in Grant.objects.all()} == {"config file"}
    assert Grant.history.count() == 2


def test_client_policy_and_start_identify_a_grant(sold: Platform) -> None:
    put(grants(GRANT))
    row = Grant.objects.get()
    before = everything(sold)
    assert put(grants(GRANT)).changes == []
    assert everything(sold) == before
    assert put(grants(GRANT.replace("10000", "20000"))).changes == ["Client acme changed."]
    assert Grant.objects.get().amount == 20_000
    assert Grant.objects.get().pk == row.pk


def test_an_export_brings_grants_back(sold: Platform) -> None:
    put(grants(GRANT, SMALL))
    text = export()
    assert (
        "- client: acme\n  policy: monthly\n  amount: 10000\n  from: '2026-11-01T00:00:00Z'\n"
        "  until: '2126-01-01T00:00:00Z'\n  priority: 5\n  reason: order 7\n"
    ) in text
    empty_tables()
    put(text)
    assert export() == text


def test_pruning_removes_unused_grants_and_ends_used_ones(sold: Platform) -> None:
    put(grants(GRANT, SMALL))
    used = Grant.objects.get(amount=10_000)
    GrantTotal.objects.create(grant=used, consumed=1, returned=1)
    put("alert_rules: []", prune=True)
    assert Grant.objects.count() == 2
    put("grants: []", prune=True)
    assert Grant.objects.get() == used
    assert Grant.objects.get().ends_at <= timezone.now()


def test_an_amount_below_what_was_used_is_refused(sold: Platform) -> None:
    put(grants(GRANT))
    GrantTotal.objects.create(grant=Grant.objects.get(), consumed=700, returned=100)
    assert refused(grants(SMALL, GRANT.replace("10000", "599"))) == [
        "grants[1].amount: 600 units are used already. To stop the grant, end it."
    ]
    assert Grant.objects.get().amount == 10_000
    put(grants(GRANT.replace("10000", "600")))


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("{client: acme, policy: monthly, amount: 1}", ["grants[0].from: is missing.", "grants[0].until: is missing."]),
        (GRANT.replace("10000", "0"), ["grants[0].amount: must be a whole number from 1 to 1,000,000,000."]),
        (GRANT.replace("10000", "1.5"), ["grants[0].amount: must be a whole number."]),
        (GRANT.replace("priority: 5", "priority: 101"), ["grants[0].priority: must be a whole number from 0 to 100."]),
        (GRANT.replace("2126", "2025"), ["grants[0].until: must be after from."]),
        (
            GRANT.replace("from: 2026-11-01T00:00:00Z", "from: soon"),
            ["grants[0].from: must be a date and time with a time zone, such as 2026-12-01T00:00:00Z."],
        ),
        (f"{GRANT}, {GRANT}", ["grants[1]: is a duplicate of grants[0]: the same client, policy and from."]),
    ],
)
def test_a_wrong_grant_is_refused_at_its_field(item: str, message: list[str]) -> None:
    assert refusal(grants(item)) == message


def test_references_are_checked(sold: Platform) -> None:
    rows.monthly_policy("shared", partition="global")
    text = grants(
        GRANT.replace("acme", "nobody"),
        GRANT.replace("monthly", "nothing"),
        GRANT.replace("monthly", "all"),
        GRANT.replace("monthly", "shared"),
    )
    assert refused(text) == [
        "grants[0].client: there is no client “nobody”.",
        "grants[1].policy: there is no policy “nothing”.",
        "grants[2].policy: this policy has no calendar limit, such as a number per month, which a grant could extend.",
        "grants[3].policy: this policy does not count each client separately (partition client, without attributes).",
    ]


def test_a_file_may_create_client_policy_and_grant_together(sold: Platform) -> None:
    put(
        "policies: [{slug: yearly, limits: [{quota: 10, algorithm: calendar, period: year}]}]\n"
        "clients: [{key: new}]\n" + grants(f"{{client: new, policy: yearly, amount: 5, {DATES}}}")
    )
    assert Grant.objects.get().starts_at == datetime(2026, 11, 1, tzinfo=UTC)
