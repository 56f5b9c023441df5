"""Plans, endpoints, routes, policies, tokens, publications: constraints of the database."""

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.models import ProtectedError

from limits.models import ApiToken, Client, Endpoint, Plan, Platform, Policy, Publication, Route
from tests.models import rows
from tests.models.conftest import Refused

pytestmark = pytest.mark.django_db


def messages(row: Any) -> dict[str, list[str]]:
    """The validation errors of this row by field."""
    with pytest.raises(ValidationError) as caught:
        row.full_clean()
    return caught.value.message_dict


def test_at_most_one_plan_is_the_default(refused: Refused) -> None:
    rows.default_plan("free")
    rows.plan("pro")
    with refused("plan_one_default"):
        Plan.objects.filter(slug="pro").update(is_default=True)


def test_the_form_reports_a_second_default_plan() -> None:
    rows.default_plan("free")
    said = messages(Plan(slug="pro", name="Pro", is_default=True))
    assert [text for texts in said.values() for text in texts] == ["Another plan is already the default."]


def test_several_plans_may_be_no_default() -> None:
    rows.plan("free")
    rows.plan("pro")


@pytest.mark.parametrize("cost", [0, 1_000_001])
def test_the_cost_of_an_endpoint_has_a_range(cost: int, refused: Refused) -> None:
    rows.endpoint()
    with refused("endpoint_cost_in_range"):
        Endpoint.objects.update(cost=cost)
    assert list(messages(Endpoint(slug="other", name="Other", cost=cost))) == ["cost"]


@pytest.mark.parametrize("cost", [1, 1_000_000])
def test_the_minimum_and_the_maximum_cost_are_accepted(cost: int) -> None:
    rows.endpoint(cost=cost)


def test_equivalent_patterns_belong_to_one_endpoint(refused: Refused) -> None:
    rows.endpoint("search", "GET /items/{id}")
    other = rows.endpoint("other")
    with refused("shape"):
        rows.route(other, "GET /items/{key}")


def test_the_form_names_the_endpoint_of_an_equivalent_pattern() -> None:
    rows.endpoint("search", "GET /items/{id}")
    route = Route(endpoint=rows.endpoint("other"), method="GET", path="/items/{key}")
    assert messages(route)["path"] == ["“GET /items/{id}” of endpoint “Search” is the same pattern."]


@pytest.mark.parametrize(("method", "path"), [("get", "/a"), ("GET", "a"), ("GET", "/a?b=c"), ("GET", "/*/a")])
def test_the_form_rejects_invalid_routes(method: str, path: str) -> None:
    assert "path" in messages(Route(endpoint=rows.endpoint(), method=method, path=path))


def test_a_head_route_is_a_get_route() -> None:
    assert str(rows.route(rows.endpoint(), "HEAD /a")) == "GET /a"


@pytest.mark.parametrize("field", ["partition", "mode", "on_store_failure", "over_quota"])
def test_choices_of_a_policy_are_constrained(field: str, refused: Refused) -> None:
    rows.policy()
    with refused(f"policy_{field}_known"):
        Policy.objects.update(**{field: "unknown"})


def test_the_status_of_a_client_is_constrained(refused: Refused) -> None:
    rows.client()
    with refused("client_status_known"):
        Client.objects.update(status="unknown")


def test_a_plan_with_clients_cannot_be_deleted() -> None:
    rows.client(plan=rows.plan())
    with pytest.raises(ProtectedError):
        Plan.objects.all().delete()


def test_an_endpoint_with_policies_cannot_be_deleted() -> None:
    rows.policy(endpoint=rows.endpoint())
    with pytest.raises(ProtectedError):
        Endpoint.objects.all().delete()


@pytest.mark.parametrize("scopes", [[], ["unknown"], ["check", "unknown"], [None]])
def test_a_token_has_known_scopes_and_at_least_one(scopes: list[Any], refused: Refused) -> None:
    rows.token()
    with refused("apitoken_scopes_known"):
        ApiToken.objects.update(scopes=scopes)


def test_the_form_requires_a_scope() -> None:
    assert "scopes" in messages(ApiToken(name="shop", digest="0" * 64, hint="1234", scopes=[]))


@pytest.mark.parametrize("digest", ["", "secret", "A" * 64, "0" * 63])
def test_a_token_is_stored_as_a_digest_only(digest: str, refused: Refused) -> None:
    rows.token()
    with refused("apitoken_digest_shape"):
        ApiToken.objects.update(digest=digest)


@pytest.mark.parametrize("same", ["name", "digest"])
def test_name_and_digest_of_a_token_are_unique(same: str, refused: Refused) -> None:
    first = rows.token("shop")
    with refused(same):
        rows.token(**{"name": "other", same: getattr(first, same)})


def test_there_is_only_one_platform_row(refused: Refused) -> None:
    Platform.load()
    with refused("platform_is_one_row"):
        Platform.objects.bulk_create([Platform(id=2)])


def publication(sequence: int, **fields: Any) -> Publication:
    return Publication(sequence=sequence, epoch="epoch", digest="0" * 64, content="{}", author="test", **fields)


def test_the_sequence_of_a_publication_is_unique(refused: Refused) -> None:
    publication(1).save()
    with refused("sequence"):
        Publication.objects.bulk_create([publication(1)])


def test_versions_begin_at_one(refused: Refused) -> None:
    with refused("publication_sequence_positive"):
        Publication.objects.bulk_create([publication(0)])


@pytest.mark.parametrize("state", ["live", "unknown"])
def test_a_live_publication_has_a_time(state: str, refused: Refused) -> None:
    with refused("publication_live_since"):
        Publication.objects.bulk_create([publication(1, state=state)])
