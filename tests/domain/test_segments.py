"""Overrides of segments: which clients a segment includes, and which override applies where several match."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_enforcer.domain.client import ClientRecord, Override
from ratelimit_enforcer.domain.dates import is_between
from ratelimit_enforcer.domain.enums import Partition
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from ratelimit_enforcer.domain.segments import Segment, SegmentOverride
from ratelimit_enforcer.domain.selection import select
from ratelimit_enforcer.domain.validation import ruleset_problems

PLANS = (Plan("free", "Free"), Plan("pro", "Pro"))
USUAL = Policy("search", (Limit(1, 60),))


def override(quota: int, segment: Segment, **fields: object) -> SegmentOverride:
    return replace(SegmentOverride(segment, "search", (Limit(quota, 60),)), **fields)  # type: ignore[arg-type]


def rules(*overrides: SegmentOverride) -> Ruleset:
    return Ruleset(PLANS, "free", policies=(USUAL,), segment_overrides=overrides)


def quota(ruleset: Ruleset, key: str = "acme-7", now: int = 0, **fields: object) -> int:
    record = replace(ClientRecord(key, 1), **fields)  # type: ignore[arg-type]
    (policy,) = select(ruleset, record, None, now).policies
    return policy.limits[0].quota


TAGGED = override(5, Segment(tags=("vip", "west")))


@pytest.mark.parametrize(
    ("segment", "fields", "includes"),
    [
        (Segment(prefix="acme-"), {}, True),
        (Segment(prefix="acme-7"), {}, True),
        (Segment(prefix="acme-77"), {}, False),
        (Segment(prefix="cme-"), {}, False),
        (Segment(tags=("vip", "west")), {"tags": ("east", "vip", "west")}, True),
        (Segment(tags=("vip", "west")), {"tags": ("vip",)}, False),
        (Segment(tags=("vip", "west")), {"tags": ("west",)}, False),
        (Segment(plan="pro"), {"plan": "pro"}, True),
        (Segment(plan="pro"), {}, False),
        (Segment(plan="free"), {}, True),
        (Segment(plan="free"), {"plan": "gone"}, True),
    ],
)
def test_a_segment_includes_clients(segment: Segment, fields: dict[str, object], includes: bool) -> None:
    assert quota(rules(override(5, segment)), **fields) == (5 if includes else 1)


def test_a_segment_includes_unregistered_clients() -> None:
    found = select(rules(override(5, Segment(prefix="ip:"))), ClientRecord("ip:192.0.2.7"), None, 0)
    assert found.policies[0].limits[0].quota == 5


def test_the_most_specific_override_applies() -> None:
    by_precedence = [
        override(6, Segment(prefix="acme-")),
        override(5, Segment(prefix="acme")),
        override(4, Segment(tags=("vip", "west"))),
        override(3, Segment(tags=("vip",))),
        override(2, Segment(plan="free")),
    ]
    tags = ("vip", "west")
    for at, expected in enumerate(by_precedence):
        assert quota(rules(*reversed(by_precedence[at:])), tags=tags) == expected.limits[0].quota
    own = (Override("search", (Limit(7, 60),)),)
    assert quota(rules(*by_precedence), tags=tags, overrides=own) == 7


def test_the_first_of_two_equally_specific_overrides_applies() -> None:
    assert (
        quota(rules(override(5, Segment(tags=("vip",))), override(6, Segment(tags=("west",)))), tags=("west", "vip"))
        == 5
    )


def test_a_less_specific_override_applies_while_the_more_specific_one_does_not() -> None:
    dated = override(9, Segment(prefix="acme-"), starts_at=10, ends_at=20)
    found = rules(dated, override(5, Segment(plan="free")))
    assert [quota(found, now=now) for now in (9, 10, 19, 20)] == [5, 9, 9, 5]
    chosen = select(found, ClientRecord("acme-7"), None, 10)
    assert (chosen.valid_from, chosen.valid_until) == (10, 20)


def test_a_policy_that_counts_all_clients_together_keeps_its_limits() -> None:
    shared = replace(USUAL, partition=Partition.GLOBAL)
    assert quota(replace(rules(override(5, Segment(plan="free"))), policies=(shared,))) == 1


SEGMENTS = st.one_of(
    st.text("ab", min_size=1, max_size=3).map(lambda prefix: Segment(prefix=prefix)),
    st.sets(st.sampled_from("xyz"), min_size=1).map(lambda tags: Segment(tags=tuple(sorted(tags)))),
    st.sampled_from(["free", "pro"]).map(lambda plan: Segment(plan=plan)),
)
DATES = st.none() | st.integers(0, 5)


@given(
    st.lists(st.tuples(SEGMENTS, DATES, DATES), max_size=8),
    st.text("ab", min_size=1, max_size=4),
    st.sets(st.sampled_from("xyz")),
    st.sampled_from([None, "free", "pro"]),
    st.integers(-1, 6),
)
def test_the_override_that_applies_is_that_of_the_definition(
    drawn: list[tuple[Segment, int | None, int | None]], key: str, tags: set[str], plan: str | None, now: int
) -> None:
    overrides = [
        override(100 + at, segment, starts_at=start, ends_at=end) for at, (segment, start, end) in enumerate(drawn)
    ]

    def includes(segment: Segment) -> bool:
        by_plan = segment.plan is None or segment.plan == (plan or "free")
        return key.startswith(segment.prefix) and set(segment.tags) <= tags and by_plan

    matching = [each for each in overrides if includes(each.segment) and is_between(now, each.starts_at, each.ends_at)]
    best = max((each.segment.precedence for each in matching), default=None)
    expected = next((each.limits[0].quota for each in matching if each.segment.precedence == best), 1)
    assert quota(rules(*overrides), key, now, tags=tuple(tags), plan=plan) == expected


def test_a_ruleset_comes_back_from_its_bytes() -> None:
    ruleset = rules(TAGGED, override(2, Segment(prefix="ä-"), starts_at=1), override(3, Segment(plan="pro"), ends_at=2))
    assert Ruleset.from_bytes(ruleset.to_bytes()) == ruleset
    assert json.loads(ruleset.to_bytes())["format"] == 2


def test_a_record_comes_back_with_its_tags_and_one_without_has_the_text_of_earlier_releases() -> None:
    record = ClientRecord("acme", 3, "pro", tags=("vip", "west"))
    assert ClientRecord.from_text("acme", record.to_text()) == record
    assert ClientRecord("acme", 3, "pro").to_text() == '3 {"plan":"pro","status":"active","overrides":[]}'


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"segment": Segment()}, "needs exactly one of prefix, tags and plan."),
        ({"segment": Segment("a", ("b",))}, "needs exactly one of prefix, tags and plan."),
        ({"segment": Segment("a\nb")}, "prefix: must not contain control characters."),
        ({"segment": Segment(tags=("VIP",))}, "tags: each tag must consist of lowercase letters, digits and hyphens"),
        ({"segment": Segment(tags=("a", "a"))}, "tags: must not contain a tag twice."),
        ({"segment": Segment(tags=tuple(f"t{at}" for at in range(33)))}, "tags: must be at most 32 tags."),
        ({"segment": Segment(plan="gone")}, "plan: there is no plan “gone”."),
        ({"policy": "gone"}, "policy: there is no policy “gone”."),
        ({"policy": "shared"}, "policy: only a policy that counts each client separately can be overridden."),
        ({"starts_at": 2, "ends_at": 2}, "ends_at: must be after the start."),
        ({"limits": ()}, "limits: must have at least one limit."),
    ],
)
def test_a_wrong_override_is_refused_at_its_field(change: dict[str, object], problem: str) -> None:
    found = rules(replace(TAGGED, **change))  # type: ignore[arg-type]
    found = replace(found, policies=(USUAL, Policy("shared", (Limit(1, 60),), partition=Partition.GLOBAL)))
    (message,) = map(str, ruleset_problems(found))
    assert message.removeprefix("segment_overrides.0").removeprefix(".").lstrip(": ").startswith(problem)
