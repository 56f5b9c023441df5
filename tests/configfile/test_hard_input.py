"""Input that once caused errors: rejected with a reason, or read as intended."""

import json

import pytest

from limits.models import Client, Override, Plan
from limits.publishing.reconciler import reconcile
from tests.configfile.files import LIMITS, everything, put, refusal, refused
from tests.configfile.test_overrides import FEBRUARY, JANUARY, MARCH, override, overrides, quotas
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_outside_the_calendar_is_rejected(moment: str, shop: Platform) -> None:
    (line,) = refused(overrides(override(f"'{moment}'")))
    assert line.startswith("overrides[0].starts_at: must be a date and time")
    assert reconcile().problem == ""


def test_a_duplicate_override_is_rejected(shop: Platform) -> None:
    assert refused(overrides(override(), override(quota=2))) == [
        "overrides[1]: overlaps overrides[0] for the same client and policy."
    ]


@pytest.mark.parametrize("turned", [False, True])
def test_overrides_may_be_written_in_any_order(shop: Platform, turned: bool) -> None:
    put(overrides(override(JANUARY)))
    items = [override(JANUARY, FEBRUARY, quota=1), override(FEBRUARY, MARCH, quota=2)]
    put(overrides(*(reversed(items) if turned else items)))
    assert sorted(quotas(shop)) == [1, 2]
    items = [override(JANUARY, MARCH, quota=3), override(MARCH, quota=4)]
    Override.objects.filter(limits__quota=2).delete()
    put(overrides(*(reversed(items) if turned else items)))
    assert sorted(quotas(shop)) == [3, 4]


def test_the_first_file_is_live_for_unregistered_callers_too(platform: Platform) -> None:
    applied = put(f"plans: [{{slug: free, default: true}}]\npolicies: [{{slug: all, {LIMITS}}}]")
    assert applied.delivery
    assert applied.delivery.live
    assert platform.is_complete


@pytest.mark.parametrize("cost", [0, -1, 1_000_001, 10**20])
def test_a_cost_out_of_range_is_rejected(cost: int) -> None:
    assert refusal(f"endpoints: [{{slug: a, cost: {cost}}}]") == ["endpoints[0].cost: must be between 1 and 1,000,000."]


@pytest.mark.parametrize(
    ("item", "path", "most"),
    [
        ({"plans": [{"slug": "a", "name": "x" * 201}]}, "plans[0].name", 200),
        ({"endpoints": [{"slug": "a", "name": "x" * 201}]}, "endpoints[0].name", 200),
        ({"endpoints": [{"slug": "a", "routes": ["GET /" + "x" * 500]}]}, "endpoints[0].routes[0]", 500),
        ({"clients": [{"key": "a", "name": "x" * 201}]}, "clients[0].name", 200),
        (
            {"overrides": [{"client": "a", "policy": "b", "limits": [], "reason": "x" * 501}]},
            "overrides[0].reason",
            500,
        ),
    ],
)
def test_a_text_that_is_too_long_is_rejected(item: object, path: str, most: int) -> None:
    assert refusal(json.dumps(item)) == [f"{path}: must have at most {most} characters."]


@pytest.mark.parametrize("character", ["\0", "\n", "\t", "\x7f", "\x85", "\ud83d"], ids=ascii)
def test_a_name_with_a_control_character_is_rejected(character: str) -> None:
    text = json.dumps({"clients": [{"key": "a", "name": f"a{character}b"}]})
    assert refusal(text) == ["clients[0].name: must not contain control characters."]


def test_json_with_tabs_and_surrogate_pairs_is_read(shop: Platform) -> None:
    put(json.dumps({"clients": [{"key": "a 😀", "name": "😀"}]}, indent="\t"))
    assert Client.objects.get(key="a 😀").name == "😀"


def test_a_duplicate_name_in_json_is_rejected() -> None:
    assert "is a duplicate" in refusal('{"plans": [{"slug": "a", "slug": "b"}]}')[0]


@pytest.mark.parametrize("value", ["0b_", "!!int abc", "!!timestamp foo", "!!python/object:os.system x", "1" * 5_000])
def test_values_that_make_the_yaml_parser_fail_are_rejected(value: str) -> None:
    assert refusal(f"plans: [{{slug: {value}}}]") != []


def test_a_merge_key_is_read(shop: Platform) -> None:
    put("clients:\n  - &a {key: one, name: Same}\n  - {<<: *a, key: two}")
    assert set(Client.objects.filter(name="Same").values_list("key", flat=True)) == {"one", "two"}


def test_missing_and_unknown_fields_are_reported_once_and_in_order() -> None:
    assert refusal("overrides: [{z: 1, y: 2}]") == [
        "overrides[0].client: is missing.",
        "overrides[0].policy: is missing.",
        "overrides[0].limits: is missing.",
        "overrides[0].z: is unknown; allowed here: client, clients, policy, limits, starts_at, ends_at, reason.",
        "overrides[0].y: is unknown; allowed here: client, clients, policy, limits, starts_at, ends_at, reason.",
    ]


def test_positions_are_sorted_as_numbers() -> None:
    items = ", ".join(f"{{key: k{number}, name: 1}}" for number in range(11))
    assert [line.partition("]")[0] for line in refusal(f"clients: [{items}]")] == [f"clients[{n}" for n in range(11)]


def test_problems_of_shape_content_and_references_are_reported_together(shop: Platform) -> None:
    before = everything(shop)
    assert refused(
        f"policies: [{{slug: all, plan: nope, endpoint: nada, {LIMITS}}}]\n"
        f"clients: [{{key: a, plan: nix}}]\n{overrides(override(client='who', policy='what'))}"
    ) == [
        "policies[0].plan: there is no plan “nope”.",
        "policies[0].endpoint: there is no endpoint “nada”.",
        "clients[0].plan: there is no plan “nix”.",
        "overrides[0].client: there is no client “who”.",
        "overrides[0].policy: there is no policy “what”.",
    ]
    assert everything(shop) == before
    assert [line.partition(":")[0] for line in refusal("plans: [{slug: 1}]\nclients: [{key: ''}]")] == [
        "plans[0].slug",
        "clients[0].key",
    ]


def test_default_false_is_rejected_for_the_default_plan(shop: Platform) -> None:
    assert refused("plans: [{slug: free, default: false}]") == ["plans: one plan must be the default."]
    assert Plan.objects.get().is_default


def test_a_changed_name_is_reported(shop: Platform) -> None:
    assert put("policies: [{slug: all, name: All, limits: [{quota: 100, window: 60}]}]").changes == [
        "Policy all, name: none → All."
    ]


def test_a_file_can_move_the_default_plan(shop: Platform) -> None:
    rows.plan("pro")
    put("plans: [{slug: free, default: false}, {slug: pro, default: true}]")
    assert shop.ruleset.default_plan == "pro"
