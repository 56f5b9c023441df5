"""Which rules of a published ruleset apply to whom, and when."""

from dataclasses import replace
from itertools import pairwise

import pytest

from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Plan, Policy, Rules
from ratelimit_enforcer.domain.ruleset import Ruleset, UnknownFormat, UnknownTimezone
from ratelimit_enforcer.domain.variants import Share, Variant

KEYS = [f"client-{number}" for number in range(100_000)]


def root(key: str, *tags: str) -> ClientRecord:
    return ClientRecord(key, 1, tags=tags)


def in_share(percent: int, salt: str = "salt") -> set[str]:
    share = Share("change", salt, percent)
    return {key for key in KEYS if share.includes(root(key))}


def test_ten_percent_of_many_clients_are_ten_percent() -> None:
    assert 9_700 <= len(in_share(10)) <= 10_300


def test_a_share_is_known_without_asking_anyone() -> None:
    """On each server and after each start, the same clients are in it."""
    share = Share("change", "salt", 10)
    assert [key for key in KEYS[:40] if share.includes(root(key))] == ["client-32", "client-39"]


def test_a_larger_share_keeps_those_of_a_smaller_one() -> None:
    shares = [in_share(percent) for percent in (1, 10, 50, 99)]
    assert all(smaller < larger for smaller, larger in pairwise(shares))


def test_the_first_clients_of_one_change_set_are_not_those_of_another() -> None:
    both = in_share(10) & in_share(10, "other")
    assert 800 <= len(both) <= 1_200


def test_a_share_by_tag_is_that_of_the_root() -> None:
    share = Share("change", "salt", tag="pilot")
    assert share.includes(root("acme", "pilot", "west"))
    assert not share.includes(root("acme", "west"))


def rules(quota: int) -> Rules:
    return Rules((Plan("free", "Free"),), "free", policies=(Policy("search", (Limit(quota, 60),)),))


BASE = Ruleset((Plan("free", "Free"),), "free", policies=rules(1).policies)
SHARE = Share("pilot", "salt", tag="pilot")


def applying(ruleset: Ruleset, record: ClientRecord, now: int) -> tuple[int, str]:
    """The quota, and the change set it comes from."""
    variant = ruleset.variant_for(record, now)
    found = ruleset if variant is None else ruleset.with_rules(variant.rules)
    return found.policies[0].limits[0].quota, variant.change if variant else ""


def test_variants_apply_in_order_of_time_to_each_group() -> None:
    ruleset = replace(
        BASE,
        share=SHARE,
        variants=(
            Variant(rules(6), "later", 200, shared=True),
            Variant(rules(3), "later", 200),
            Variant(rules(5), "pilot", shared=True),
            Variant(rules(2), "monday", 100),
        ),
    )
    others, pilots = root("acme"), root("pilot", "pilot")
    assert [applying(ruleset, others, now) for now in (0, 99, 100, 199, 200)] == [
        (1, ""),
        (1, ""),
        (2, "monday"),
        (2, "monday"),
        (3, "later"),
    ]
    assert [applying(ruleset, pilots, now) for now in (0, 199, 200)] == [(5, "pilot"), (5, "pilot"), (6, "later")]


def test_variants_are_restored_from_their_bytes_in_a_format_of_their_own() -> None:
    ruleset = replace(BASE, share=SHARE, variants=(Variant(rules(5), "pilot", 100, shared=True),))
    data = ruleset.to_bytes()
    assert Ruleset.from_bytes(data) == ruleset
    assert b'"format":5' in data
    assert b'"format":1' in BASE.to_bytes()
    with pytest.raises(UnknownFormat):
        Ruleset.from_bytes(data.replace(b'"format":5', b'"format":7'))


def test_time_zones_of_variants_are_examined_too() -> None:
    unknown = replace(rules(1).policies[0], limits=(Limit(1, timezone="Mars/Olympus"),))
    ruleset = replace(BASE, variants=(Variant(replace(rules(1), policies=(unknown,)), "monday", 100),))
    with pytest.raises(UnknownTimezone):
        ruleset.require_known_timezones()
