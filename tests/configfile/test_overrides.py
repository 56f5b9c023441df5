"""Overrides in a file, identified by client, policy and start."""

import pytest

from limits.models import Override
from ratelimit_enforcer.domain.limit import Limit
from tests.configfile.files import everything, put, refused
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

JANUARY, FEBRUARY, MARCH = (f"2126-0{month}-01T00:00:00Z" for month in (1, 2, 3))
OVERLAPS = "overlaps another override of the same client and policy."


def override(
    starts: str = "null", ends: str = "null", *, quota: int = 500, client: str = "acme", policy: str = "all"
) -> str:
    return (
        f"{{client: {client}, policy: {policy}, limits: [{{quota: {quota}, window: 60}}], "
        f"starts_at: {starts}, ends_at: {ends}}}"
    )


def overrides(*items: str) -> str:
    return f"overrides: [{', '.join(items)}]"


def quotas(platform: Platform, client: str = "acme") -> list[int]:
    return [override.limits[0].quota for override in platform.client(client).overrides]


def test_an_override_is_live(shop: Platform) -> None:
    assert put(overrides(override())).changes == ["Client acme changed."]
    (live,) = shop.client("acme").overrides
    assert (live.policy, live.limits, live.starts_at, live.ends_at) == ("all", (Limit(500, 60),), None, None)
    assert shop.sequence == 1, "an override is no new version of the rules"


def test_an_override_with_the_same_start_is_changed(shop: Platform) -> None:
    put(overrides(override(JANUARY, MARCH)))
    row = Override.objects.get()
    put(overrides(override(JANUARY, FEBRUARY, quota=7)))
    assert Override.objects.get() == row
    assert quotas(shop) == [7]
    assert Override.objects.get().ends_at.month == 2


def test_all_limits_of_an_override_are_replaced(shop: Platform) -> None:
    put(overrides(override()))
    put(
        "overrides: [{client: acme, policy: all, limits: [{quota: 1, window: 1}, "
        "{quota: 2, window: 60, algorithm: token_bucket}]}]"
    )
    assert [limit.label for limit in shop.client("acme").overrides[0].limits] == ["1s", "60s-bucket"]


def test_a_reason_can_be_changed(shop: Platform) -> None:
    text = "overrides: [{client: acme, policy: all, limits: [{quota: 1, window: 60}], reason: %s}]"
    put(text % "Sale")
    put(text % "Trial")
    assert Override.objects.get().reason == "Trial"


def test_applying_overrides_again_changes_nothing(shop: Platform) -> None:
    text = overrides(override("null", JANUARY), override(JANUARY, FEBRUARY), override(MARCH))
    put(text)
    before = everything(shop)
    assert put(text).changes == []
    assert everything(shop) == before


def test_an_override_with_another_start_is_added(shop: Platform) -> None:
    put(overrides(override(JANUARY, FEBRUARY, quota=1)))
    put(overrides(override(FEBRUARY, quota=2)))
    assert quotas(shop) == [1, 2]


def test_pruning_replaces_an_override_by_one_with_another_start(shop: Platform) -> None:
    put(overrides(override(JANUARY, MARCH, quota=1)))
    put(overrides(override(FEBRUARY, MARCH, quota=2)), prune=True)
    assert quotas(shop) == [2]


OVERLAPPING = [
    (("null", "null"), (JANUARY, MARCH)),
    (("null", FEBRUARY), (JANUARY, "null")),
    ((JANUARY, MARCH), (FEBRUARY, "null")),
    ((JANUARY, "null"), (FEBRUARY, MARCH)),
    ((FEBRUARY, MARCH), (JANUARY, "2126-02-01T00:00:00.000001Z")),
]


@pytest.mark.parametrize(("first", "second"), OVERLAPPING)
def test_overlapping_overrides_in_one_file_are_rejected(
    first: tuple[str, str], second: tuple[str, str], shop: Platform
) -> None:
    before = everything(shop)
    assert refused(overrides(override(*first), override(*second))) == [
        "overrides[1]: overlaps overrides[0] for the same client and policy."
    ]
    assert everything(shop) == before


@pytest.mark.parametrize(("first", "second"), OVERLAPPING)
def test_overlaps_with_existing_overrides_are_rejected(
    first: tuple[str, str], second: tuple[str, str], shop: Platform
) -> None:
    put(overrides(override(*first)))
    before = everything(shop)
    assert refused(overrides(override(*second))) == [f"overrides[0]: {OVERLAPS}"]
    assert everything(shop) == before


@pytest.mark.parametrize(
    ("first", "second"), [(("null", FEBRUARY), (FEBRUARY, "null")), ((JANUARY, FEBRUARY), (FEBRUARY, MARCH))]
)
def test_an_override_may_start_at_the_end_of_another(
    first: tuple[str, str], second: tuple[str, str], shop: Platform
) -> None:
    put(overrides(override(*first, quota=1), override(*second, quota=2)))
    assert quotas(shop) == [1, 2]


def test_overrides_of_another_client_or_policy_do_not_overlap(shop: Platform) -> None:
    rows.client("other")
    rows.policy("total")
    put(overrides(override(quota=1), override(quota=2, client="other"), override(quota=3, policy="total")))
    assert (quotas(shop), quotas(shop, "other")) == ([1, 3], [2])


@pytest.mark.parametrize(("starts", "ends"), [(FEBRUARY, JANUARY), (JANUARY, JANUARY)])
def test_an_override_ends_after_it_starts(starts: str, ends: str, shop: Platform) -> None:
    assert refused(overrides(override(MARCH), override(starts, ends))) == [
        "overrides[1].ends_at: must be after the start."
    ]


def test_a_global_policy_cannot_be_overridden(shop: Platform) -> None:
    rows.policy("everyone", partition="global")
    assert refused(overrides(override(policy="everyone"))) == [
        "overrides[0].policy: only a policy that counts each client separately can be overridden."
    ]
