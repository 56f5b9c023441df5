"""Publishing of rules: recorded in the transaction of the change, delivered after it."""

from collections.abc import Callable

import pytest
from django.db import transaction
from django.utils import timezone

from limits.models import (
    ApiToken,
    Endpoint,
    Plan,
    PolicyLimit,
    Publication,
    Route,
    RuleChange,
    tokens,
)
from limits.publishing import rules
from ratelimit_enforcer.domain.validation import InvalidRuleset
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def publish() -> Publication | None:
    """Records and delivers. Returns the publication; None if nothing changed."""
    publication = rules.record("test")
    assert rules.deliver().live
    if publication:
        publication.refresh_from_db()
    return publication


def test_the_first_version_is_1(shop: Platform) -> None:
    assert Publication.objects.get().sequence == 1
    assert shop.sequence == 1
    assert shop.quotas == {"all": 100}


def test_versions_increase_by_one(shop: Platform) -> None:
    for number in range(2, 6):
        PolicyLimit.objects.update(quota=number)
        assert publish().sequence == number
        assert shop.sequence == number
        assert shop.quotas == {"all": number}


def test_unchanged_rules_create_no_version(shop: Platform) -> None:
    assert publish() is None
    assert shop.sequence == 1


def test_reverted_rules_are_a_new_version(shop: Platform) -> None:
    PolicyLimit.objects.update(quota=5)
    publish()
    PolicyLimit.objects.update(quota=100)
    assert publish().sequence == 3


def test_a_publication_records_author_reason_changes_and_times(shop: Platform) -> None:
    PolicyLimit.objects.update(quota=5)
    publication = rules.record("Ada", reason="Too many.")
    assert (publication.state, publication.live_at) == ("pending", None)
    assert rules.deliver().version == 2
    publication.refresh_from_db()
    assert (publication.author, publication.reason) == ("Ada", "Too many.")
    assert publication.changes == ["Policy all, limits: 100 per minute → 5 per minute."]
    assert publication.state == "live"
    assert publication.live_at >= publication.created_at


def test_skipped_versions_are_marked_live_with_the_newest(shop: Platform) -> None:
    for quota in (2, 3):
        PolicyLimit.objects.update(quota=quota)
        rules.record("test")
    assert rules.deliver().version == 3
    assert set(Publication.objects.values_list("state", flat=True)) == {"live"}


def test_a_rolled_back_change_is_not_recorded(shop: Platform) -> None:
    with transaction.atomic():
        PolicyLimit.objects.update(quota=5)
        rules.record("test")
        transaction.set_rollback(True)
    assert publish() is None
    assert shop.quotas == {"all": 100}


def test_delivery_without_a_publication_reports_that(platform: Platform) -> None:
    delivery = rules.deliver()
    assert (delivery.live, delivery.problem) == (False, "Nothing has been published yet.")


def test_the_ruleset_contains_a_token_until_it_is_revoked(shop: Platform) -> None:
    secret = tokens.issue(name="checkout", scopes=["check"])
    publish()
    assert [(token.name, token.digest) for token in shop.ruleset.tokens] == [
        ("checkout", tokens.digest_of_secret(secret))
    ]
    ApiToken.objects.update(revoked_at=timezone.now())
    publish()
    assert shop.ruleset.tokens == ()


def test_publishing_removes_the_marks_of_its_changes(shop: Platform) -> None:
    PolicyLimit.objects.update(quota=5)
    assert RuleChange.objects.exists()
    publish()
    assert not RuleChange.objects.exists()


def test_an_old_ruleset_stays_readable_for_a_while(shop: Platform) -> None:
    old = shop.version
    PolicyLimit.objects.update(quota=5)
    publish()
    assert 0 < shop.redis.ttl(shop.keys.ruleset(str(old))) <= 3600
    assert shop.redis.ttl(shop.keys.ruleset(str(shop.version))) == -1


def no_default() -> None:
    Plan.objects.update(is_default=False)


def equal_routes() -> None:
    """Bypasses the model, which would also have updated the shape of the pattern."""
    rows.endpoint("orders", "GET /a", "GET /b")
    Route.objects.update(path="/a")


def equal_routes_of_two() -> None:
    rows.endpoint("orders", "GET /a")
    rows.endpoint("search", "GET /b")
    Route.objects.update(path="/a")


def no_such_zone() -> None:
    PolicyLimit.objects.update(algorithm="calendar", window=None, period="day", timezone="Mars")


def no_limits() -> None:
    PolicyLimit.objects.all().delete()


REFUSED = {
    no_default: ["plans: one plan must be the default."],
    equal_routes: ["endpoints.orders.routes.1: “GET /a” already belongs to this endpoint."],
    equal_routes_of_two: [
        "endpoints.search.routes.0: “GET /a” already belongs to endpoint “orders” (“GET /a”).",
    ],
    no_such_zone: ["policies.all.limits.0.timezone: “Mars” is not a time zone; an example is “Europe/Berlin”."],
    no_limits: ["policies.all.limits: must have at least one limit."],
}


@transaction.atomic
def change_and_record(*changes: Callable[[], object]) -> None:
    for change in changes:
        change()
    rules.record("test")


@pytest.mark.parametrize(("spoil", "problems"), REFUSED.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_invalid_rules_are_rejected(spoil: Callable[[], object], problems: list[str], shop: Platform) -> None:
    with pytest.raises(InvalidRuleset) as caught:
        change_and_record(spoil)
    assert [str(problem) for problem in caught.value.problems] == problems


def test_a_rejection_names_all_problems(shop: Platform) -> None:
    with pytest.raises(InvalidRuleset) as caught:
        change_and_record(no_default, no_limits)
    assert len(caught.value.problems) == 2


def test_a_rejection_rolls_back_every_change(shop: Platform) -> None:
    before = shop.content()
    with pytest.raises(InvalidRuleset):
        change_and_record(no_default, lambda: rows.endpoint("orders"))
    assert Plan.objects.get().is_default
    assert not Endpoint.objects.exists()
    assert publish() is None
    assert Publication.objects.count() == 1
    assert shop.content() == before
