"""Plans, endpoints, routes, policies, tokens, publications: what the database refuses itself."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError

from limits.models import ApiToken, Client, Endpoint, Plan, Platform, Policy, Publication, Route
from tests.models import rows
from tests.models.conftest import Refused

pytestmark = pytest.mark.django_db


def messages(row: Any) -> dict[str, list[str]]:
    """What the form says of this row, by field."""
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    return caught.value.message_dict


def test_at_most_one_plan_is_the_default(refused: Refused) -> None:
    rows.default_plan("free")
    rows.plan("pro")
    with refused("plan_one_default"):
        Plan.objects.filter(slug="pro").update(is_default=True)


def test_the_form_says_that_there_is_a_default_already() -> None:
    rows.default_plan("free")
    said = messages(Plan(slug="pro", name="Pro", is_default=True))
    assert [text for texts in said.values() for text in texts] == ["Another plan is already the default."]


def test_two_plans_may_both_not_be_the_default() -> None:
    rows.plan("free")
    rows.plan("pro")


@pytest.mark.parametrize("cost", [0, 1_000_001])
def test_the_cost_of_an_endpoint_stays_in_its_range(cost: int, refused: Refused) -> None:
    rows.endpoint()
    with refused("endpoint_cost_in_range"):
        Endpoint.objects.update(cost=cost)
    assert list(messages(Endpoint(slug="other", name="Other", cost=cost))) == ["cost"]


@pytest.mark.parametrize("cost", [1, 1_000_000])
def test_the_smallest_and_the_largest_cost_fit(cost: int) -> None:
    rows.endpoint(cost=cost)


def test_equal_patterns_have_one_owner(refused: Refused) -> None:
    rows.endpoint("search", "GET /items/{id}")
    other = rows.endpoint("other")
    with refused("shape"):
        rows.route(other, "GET /items/{key}")


def test_the_form_says_whose_pattern_it_is() -> None:
    rows.endpoint("search", "GET /items/{id}")
    route = Route(endpoint=rows.endpoint("other"), method="GET", path="/items/{key}")
    assert messages(route)["path"] == ["“GET /items/{id}” of endpoint “Search” is the same pattern."]


@pytest.mark.parametrize(("method", "path"), [("get", "/a"), ("GET", "a"), ("GET", "/a?b=c"), ("GET", "/*/a")])
def test_the_form_refuses_what_is_no_route(method: str, path: str) -> None:
    assert "path" in messages(Route(endpoint=rows.endpoint(), method=method, path=path))


def test_a_head_route_is_a_get_route() -> None:
    assert str(rows.route(rows.endpoint(), "HEAD /a")) == "GET /a"


@pytest.mark.parametrize("field", ["partition", "mode", "on_store_failure"])
def test_the_words_of_a_policy_are_known_words(field: str, refused: Refused) -> None:
    rows.policy()
    with refused(f"policy_{field}_known"):
        Policy.objects.update(**{field: "unknown"})


def test_the_status_of_a_client_is_a_known_word(refused: Refused) -> None:
    rows.client()
    with refused("client_status_known"):
        Client.objects.update(status="unknown")


def test_a_plan_that_clients_are_on_stays() -> None:
    rows.client(plan=rows.plan())
    with pytest.raises(ProtectedError):
        Plan.objects.all().delete()


def test_an_endpoint_that_policies_are_on_stays() -> None:
    rows.policy(endpoint=rows.endpoint())
    with pytest.raises(ProtectedError):
        Endpoint.objects.all().delete()


@pytest.mark.parametrize("scopes", [[], ["unknown"], ["check", "unknown"], [None]])
def test_a_token_has_known_scopes_and_at_least_one(scopes: list[Any], refused: Refused) -> None:
    rows.token()
    with refused("apitoken_scopes_known"):
        ApiToken.objects.update(scopes=scopes)


def test_the_form_asks_for_a_scope() -> None:
    assert "scopes" in messages(ApiToken(name="shop", digest="0" * 64, hint="1234", scopes=[]))


@pytest.mark.parametrize("digest", ["", "secret", "A" * 64, "0" * 63])
def test_a_token_is_kept_as_a_digest_only(digest: str, refused: Refused) -> None:
    rows.token()
    with refused("apitoken_digest_shape"):
        ApiToken.objects.update(digest=digest)


@pytest.mark.parametrize("same", ["name", "digest"])
def test_a_token_is_there_once(same: str, refused: Refused) -> None:
    first = rows.token("shop")
    with refused(same):
        rows.token(**{"name": "other", same: getattr(first, same)})


def test_there_is_one_platform(refused: Refused) -> None:
    Platform.load()
    with refused("platform_is_one_row"):
        Platform.objects.bulk_create([Platform(id=2)])


def publication(sequence: int, **fields: Any) -> Publication:
    return Publication(sequence=sequence, epoch="epoch", digest="0" * 64, content="{}", author="test", **fields)


def test_a_version_is_published_once(refused: Refused) -> None:
    publication(1).save()
    with refused("sequence"):
        Publication.objects.bulk_create([publication(1)])


def test_versions_begin_with_one(refused: Refused) -> None:
    with refused("publication_sequence_positive"):
        Publication.objects.bulk_create([publication(0)])


@pytest.mark.parametrize("state", ["live", "unknown"])
def test_a_live_publication_says_since_when(state: str, refused: Refused) -> None:
    with refused("publication_live_since"):
        Publication.objects.bulk_create([publication(1, state=state)])
