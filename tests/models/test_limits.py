"""Limits of policies and overrides: ranges, and the fields of each algorithm."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from limits.models import OverrideLimit, PolicyLimit, SegmentOverride, SegmentOverrideLimit
from tests.models import rows
from tests.models.conftest import Refused

pytestmark = pytest.mark.django_db

BUCKET = {"algorithm": "token_bucket"}
CALENDAR = {"algorithm": "calendar", "window": None}
CONCURRENCY = {"algorithm": "concurrency", "window": 60}
YEAR = 31_622_400

BAD = {
    "quota below 0": ({"quota": -1}, "check", "quota"),
    "quota above 10^9": ({"quota": 10**9 + 1}, "quota_in_range", "quota"),
    "no window": ({"window": None}, "fields_of_algorithm", "window"),
    "window of 0": ({"window": 0}, "fields_of_algorithm", "window"),
    "window above 366 days": ({"window": YEAR + 1}, "fields_of_algorithm", "window"),
    "period of a window": ({"period": "day"}, "fields_of_algorithm", "period"),
    "zone of a window": ({"timezone": "Europe/Berlin"}, "fields_of_algorithm", "timezone"),
    "unknown algorithm": ({"algorithm": "leaky"}, "fields_of_algorithm", "algorithm"),
    "burst of a sliding window": ({"burst": 5}, "burst_of_bucket", "burst"),
    "burst of a fixed window": ({"algorithm": "fixed_window", "burst": 5}, "burst_of_bucket", "burst"),
    "burst of 0": (BUCKET | {"burst": 0}, "burst_of_bucket", "burst"),
    "burst above 10^9": (BUCKET | {"burst": 10**9 + 1, "quota": 10**9}, "burst_of_bucket", "burst"),
    "refill above 366 days": (BUCKET | {"quota": 1, "burst": 2, "window": YEAR}, "burst_of_bucket", "burst"),
    "calendar without a period": (CALENDAR, "fields_of_algorithm", "period"),
    "calendar with a window": (CALENDAR | {"window": 60, "period": "day"}, "fields_of_algorithm", "window"),
    "calendar with an unknown period": (CALENDAR | {"period": "decade"}, "fields_of_algorithm", "period"),
    "calendar with a burst": (CALENDAR | {"period": "day", "burst": 5}, "burst_of_bucket", "burst"),
    "concurrency below 0": (CONCURRENCY | {"quota": -1}, "check", "quota"),
    "concurrency above 10,000": (CONCURRENCY | {"quota": 10_001}, "quota_in_range", "quota"),
    "concurrency without a window": (CONCURRENCY | {"window": None}, "fields_of_algorithm", "window"),
    "concurrency with a burst": (CONCURRENCY | {"burst": 5}, "burst_of_bucket", "burst"),
    "concurrency with a period": (CONCURRENCY | {"period": "day"}, "fields_of_algorithm", "period"),
    "concurrency in a zone": (CONCURRENCY | {"timezone": "Europe/Berlin"}, "fields_of_algorithm", "timezone"),
}
GOOD = {
    "quota of 0": {"quota": 0},
    "quota of 10^9": {"quota": 10**9},
    "window of 1": {"window": 1},
    "window of 366 days": {"window": YEAR},
    "bucket": BUCKET | {"burst": 5},
    "bucket without a burst": BUCKET,
    "bucket of quota 0": BUCKET | {"quota": 0, "burst": 10**9, "window": YEAR},
    "refill of exactly 366 days": BUCKET | {"quota": 7, "burst": 7 * YEAR, "window": 1},
    "calendar": CALENDAR | {"period": "day", "timezone": "Europe/Berlin"},
    "calendar in UTC": CALENDAR | {"period": "week"},
    "concurrency": CONCURRENCY,
    "concurrency of 0": CONCURRENCY | {"quota": 0},
    "concurrency of 10,000 for 366 days": CONCURRENCY | {"quota": 10_000, "window": YEAR},
}


def policy_limit(**fields: Any) -> PolicyLimit:
    return PolicyLimit(policy=rows.policy(quota=1), **{"quota": 100, "window": 600} | fields)


def override_limit(**fields: Any) -> OverrideLimit:
    override = rows.override(rows.client(), rows.policy())
    return OverrideLimit(override=override, **{"quota": 100, "window": 600} | fields)


def segment_override_limit(**fields: Any) -> SegmentOverrideLimit:
    override = SegmentOverride.objects.create(prefix="acme-", policy=rows.policy(), reason="Sale")
    return SegmentOverrideLimit(override=override, **{"quota": 100, "window": 600} | fields)


MAKERS = [policy_limit, override_limit, segment_override_limit]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("fields", "constraint", "field"), BAD.values(), ids=BAD)
def test_the_database_rejects_invalid_limits(
    make: Any, fields: dict[str, Any], constraint: str, field: str, refused: Refused
) -> None:
    row = make(**fields)
    with refused(constraint):
        type(row).objects.bulk_create([row])


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize(("fields", "constraint", "field"), BAD.values(), ids=BAD)
def test_the_form_reports_invalid_limits_at_their_field(
    make: Any, fields: dict[str, Any], constraint: str, field: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        make(**fields).full_clean()
    assert field in caught.value.message_dict


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("fields", GOOD.values(), ids=GOOD)
def test_form_and_database_accept_valid_limits(make: Any, fields: dict[str, Any]) -> None:
    row = make(**fields)
    row.full_clean()
    type(row).objects.bulk_create([row])


def test_a_refill_time_just_above_366_days_is_rejected(refused: Refused) -> None:
    row = policy_limit(**BUCKET, quota=7, burst=7 * YEAR + 1, window=1)
    with refused("burst_of_bucket"):
        PolicyLimit.objects.bulk_create([row])


def test_a_policy_has_one_limit_of_each_algorithm_and_window(refused: Refused) -> None:
    policy = rows.policy()
    with refused("policylimit_one_per_window"):
        PolicyLimit.objects.bulk_create([PolicyLimit(policy=policy, quota=5, window=60)])


def test_an_override_has_one_limit_of_each_algorithm_and_window(refused: Refused) -> None:
    override = rows.override(rows.client(), rows.policy())
    rows.override_limit(override)
    with refused("overridelimit_one_per_window"):
        OverrideLimit.objects.bulk_create([OverrideLimit(override=override, quota=5, window=60)])


def test_a_policy_has_one_limit_of_each_calendar_period(refused: Refused) -> None:
    policy = rows.policy()
    rows.limit(policy, **CALENDAR, period="day")
    with refused("policylimit_one_per_period"):
        PolicyLimit.objects.bulk_create([PolicyLimit(policy=policy, quota=5, **CALENDAR, period="day", timezone="UTC")])


@pytest.mark.parametrize("make", MAKERS)
def test_there_is_one_concurrency_limit_whatever_the_windows(make: Any, refused: Refused) -> None:
    second = make(**CONCURRENCY)
    fields = {field.name: getattr(second, field.name) for field in second._meta.fields if not field.primary_key}
    type(second).objects.create(**fields | {"window": 90})
    with pytest.raises(ValidationError, match="Only one concurrency limit is allowed in a policy or an override"):
        second.full_clean()
    with refused(f"{type(second).__name__.lower()}_one_concurrency"):
        type(second).objects.bulk_create([second])


def test_limits_may_differ_in_window_or_algorithm() -> None:
    policy = rows.policy()
    rows.limit(policy, window=3600)
    rows.limit(policy, **BUCKET)


def test_the_form_reports_a_duplicate_limit() -> None:
    with pytest.raises(ValidationError) as caught:
        PolicyLimit(policy=rows.policy(), quota=5, window=60).full_clean()
    assert "Only one limit per algorithm and window" in str(caught.value)
