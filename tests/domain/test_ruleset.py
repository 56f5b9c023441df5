"""Published data: serialization of rulesets, versions and client records, and validation."""

import hashlib
import json
from dataclasses import replace

import pytest

from limits.domain.alert_rules import AlertRule, alert_rule_problems, alert_rule_sentence
from limits.domain.descriptions import limit_sentence, limits_sentence
from limits.domain.differences import differences
from ratelimit_enforcer.domain.client import ClientRecord, Override, key_problem
from ratelimit_enforcer.domain.enums import (
    AlertMetric,
    Algorithm,
    ClientStatus,
    GroupBy,
    Mode,
    OnStoreFailure,
    OverQuota,
    Period,
    Scope,
)
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.routes import Route
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import ApiToken, Ruleset, UnknownFormat, Version
from ratelimit_enforcer.domain.segments import Segment, SegmentOverride
from ratelimit_enforcer.domain.validation import overlaps, ruleset_problems
from ratelimit_enforcer.domain.variants import Variant

FULL = Ruleset(
    plans=(Plan("free", "Gratis – für alle"), Plan("pro", "Pro")),
    default_plan="free",
    endpoints=(Endpoint("search", "Search", (Route.parse("GET /a/{id}"), Route.parse("* /b/*")), cost=5),),
    policies=(
        Policy("all", (Limit(1, 60), Limit(2, 1, Algorithm.TOKEN_BUCKET, 20)), mode=Mode.SHADOW),
        Policy("one", (Limit(3, 60),), "pro", "search", on_store_failure=OnStoreFailure.DENY),
    ),
    tokens=(ApiToken("shop", "ab" * 32, frozenset({Scope.CHECK, Scope.CLIENTS})),),
    shadow_all=True,
)


DATED = replace(FULL, policies=(replace(FULL.policies[0], starts_at=0, ends_at=2**52), FULL.policies[1]))
YEARLY = Ruleset(policies=(Policy("all", (Limit(1, None, Algorithm.CALENDAR, period=Period.YEAR),)),))
COUNTING_OVER_QUOTA = replace(YEARLY, policies=(replace(YEARLY.policies[0], over_quota=OverQuota.COUNT),))
ADJUSTING = replace(FULL, tokens=(ApiToken("envoy", "cd" * 32, frozenset({Scope.ADJUST})),))
WRITING = replace(
    FULL, tokens=(ApiToken("ci", "ef" * 32, frozenset({Scope.CHECK, Scope.RULES, Scope.PUBLISH, Scope.REPORTS})),)
)
FIVE = Limit(5, 60, Algorithm.CONCURRENCY)
CONCURRENT = replace(FULL, policies=(*FULL.policies, Policy("slow", (Limit(3, 60), FIVE))))
CONCURRENT_OVERRIDE = replace(FULL, segment_overrides=(SegmentOverride(Segment(plan="pro"), "all", (FIVE,)),))


@pytest.mark.parametrize(
    "ruleset",
    [FULL, Ruleset(), DATED, YEARLY, CONCURRENT, CONCURRENT_OVERRIDE, ADJUSTING, WRITING, COUNTING_OVER_QUOTA],
    ids=["full", "empty", "dated", "yearly", "concurrent", "concurrent override", "adjusting", "writing", "over quota"],
)
def test_a_ruleset_survives_serialization(ruleset: Ruleset) -> None:
    assert Ruleset.from_bytes(ruleset.to_bytes()) == ruleset
    assert Ruleset.from_bytes(ruleset.to_bytes()).to_bytes() == ruleset.to_bytes()


@pytest.mark.parametrize(
    ("ruleset", "number"),
    [
        *((FULL, 1), (Ruleset(), 1), (DATED, 2), (YEARLY, 2), (CONCURRENT, 3), (CONCURRENT_OVERRIDE, 3)),
        *((COUNTING_OVER_QUOTA, 6), (Ruleset(variants=(Variant(COUNTING_OVER_QUOTA, "c"),)), 6)),
        *((ADJUSTING, 4), (WRITING, 1)),
    ],
)
def test_a_ruleset_has_the_earliest_format_that_can_express_it(ruleset: Ruleset, number: int) -> None:
    assert json.loads(ruleset.to_bytes())["format"] == number


def test_a_ruleset_without_dates_has_the_same_bytes_as_in_earlier_releases() -> None:
    """So an upgrade publishes nothing, and servers of both releases use the same rules."""
    assert b"starts_at" not in FULL.to_bytes()
    assert (
        hashlib.sha256(FULL.to_bytes()).hexdigest()
        == "fe4770f61f21feea31025f95ad36a8a0eddf57efd215cb41da5f6f39ca3dfbf0"
    )


def tokens_as_published(ruleset: Ruleset) -> list[dict[str, object]]:
    published: list[dict[str, object]] = json.loads(ruleset.to_bytes())["tokens"]
    return published


def test_the_scope_clients_is_published_under_the_name_that_earlier_releases_know() -> None:
    assert tokens_as_published(FULL) == [{"name": "shop", "digest": "ab" * 32, "scopes": ["check", "manage"]}]


@pytest.mark.parametrize("name", [b'"manage"', b'"clients"'])
def test_the_scope_clients_is_read_under_both_names(name: bytes) -> None:
    (token,) = Ruleset.from_bytes(FULL.to_bytes().replace(b'"manage"', name)).tokens
    assert token.scopes == {Scope.CHECK, Scope.CLIENTS}


def test_scopes_that_earlier_releases_do_not_know_are_published_where_these_do_not_look() -> None:
    assert tokens_as_published(WRITING) == [
        {"name": "ci", "digest": "ef" * 32, "scopes": ["check"], "more_scopes": ["publish", "reports", "rules"]}
    ]


def test_a_further_scope_of_a_later_release_is_ignored() -> None:
    later = WRITING.to_bytes().replace(b'"reports"', b'"unknown"')
    assert Ruleset.from_bytes(later).tokens[0].scopes == {Scope.CHECK, Scope.PUBLISH, Scope.RULES}


def test_an_unknown_format_is_rejected() -> None:
    with pytest.raises(UnknownFormat, match="format 99; this release reads formats up to 6"):
        Ruleset.from_bytes(FULL.to_bytes().replace(b'"format":1', b'"format":99'))


def test_a_version_survives_serialization() -> None:
    version = Version("epoch", 17, "ab" * 32)
    assert Version.parse(str(version)) == version
    with pytest.raises(ValueError, match="unpack"):
        Version.parse("epoch:17")


@pytest.mark.parametrize(
    "record",
    [
        ClientRecord("ä key: 1", 7),
        ClientRecord("acme", 8, "pro", ClientStatus.BLOCKED, (Override("all", (Limit(5, 60),), None, 9),)),
        ClientRecord("acme", 9, deleted=True),
        ClientRecord("acme", 10, overrides=(Override("all", (FIVE,)),)),
    ],
)
def test_a_client_record_survives_serialization(record: ClientRecord) -> None:
    text = record.to_text()
    assert ClientRecord.from_text(record.key, text) == record
    assert text.startswith(f"{record.revision} ")


@pytest.mark.parametrize("key", ["a", "x" * 256, "a b", "ä", "日本", "a:b", "😀", "\xa0"])
def test_valid_client_keys(key: str) -> None:
    assert key_problem(key) is None


@pytest.mark.parametrize("key", ["", "x" * 257, "a\nb", "\0", "\x7f", "\x85", "\ud83d"])
def test_invalid_client_keys(key: str) -> None:
    assert key_problem(key)


def problems(**fields: object) -> list[str]:
    ruleset = Ruleset(**{"plans": (Plan("free", "Free"),), "default_plan": "free"} | fields)  # type: ignore[arg-type]
    return [str(problem) for problem in ruleset_problems(ruleset)]


ONE = (Limit(1, 60),)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"default_plan": None}, "plans: one plan must be the default."),
        ({"default_plan": "x"}, "plans: the default plan “x” does not exist."),
        ({"plans": (Plan("A", "A"),), "default_plan": "A"}, "plans.A.slug: must consist of lowercase letters"),
        ({"endpoints": (Endpoint("e", "E", cost=0),)}, "endpoints.e.cost: must be between 1 and 1,000,000."),
        ({"policies": (Policy("p", ()),)}, "policies.p.limits: must have at least one limit."),
        ({"policies": (Policy("p", ONE, plan="x"),)}, "policies.p.plan: there is no plan “x”."),
        ({"policies": (Policy("p", ONE, endpoint="x"),)}, "policies.p.endpoint: there is no endpoint “x”."),
        ({"policies": (Policy("p", (Limit(-1, 60),)),)}, "policies.p.limits.0.quota: must be between 0"),
        ({"policies": (Policy("p", ONE * 2),)}, "policies.p.limits.1: another limit is already named “60s”"),
        ({"policies": (Policy("p", ONE), Policy("p", ONE))}, "policies.p.slug: is a duplicate."),
        (
            {"policies": (Policy("p", (Limit(1, None, Algorithm.CALENDAR, period=Period.DAY, timezone="Mars"),)),)},
            "policies.p.limits.0.timezone: “Mars” is not a time zone",
        ),
        (
            {"policies": (Policy("p", (FIVE, Limit(9, 3_600, Algorithm.CONCURRENCY))),)},
            "policies.p.limits.1.algorithm: only one concurrency limit is allowed in a policy or an override.",
        ),
    ],
)
def test_validation_names_the_problem(fields: dict[str, object], problem: str) -> None:
    (found,) = problems(**fields)
    assert found.startswith(problem)


def test_equivalent_patterns_are_rejected_regardless_of_parameter_names() -> None:
    first, second = Endpoint("a", "A", (Route.parse("GET /x/{id}"),)), Endpoint("b", "B", (Route.parse("HEAD /x/{n}"),))
    assert problems(endpoints=(first, second)) == [
        "endpoints.b.routes.0: “GET /x/{n}” already belongs to endpoint “a” (“GET /x/{id}”)."
    ]
    assert problems(endpoints=(Endpoint("a", "A", first.routes * 2),)) == [
        "endpoints.a.routes.1: “GET /x/{id}” already belongs to this endpoint."
    ]


@pytest.mark.parametrize(
    ("first", "second", "together"),
    [((1, 5), (5, 9), False), ((1, 5), (4, 9), True), ((None, None), (7, 8), True), ((None, 3), (3, None), False)],
)
def test_overrides_overlap_if_both_are_valid_at_the_same_time(
    first: tuple[int | None, int | None], second: tuple[int | None, int | None], together: bool
) -> None:
    one, other = Override("p", ONE, *first), Override("p", ONE, *second)
    assert overlaps(one, other) == overlaps(other, one) == together
    assert not overlaps(one, Override("other", ONE, *second))


def test_differences_are_sentences() -> None:
    after = Ruleset(
        plans=(Plan("free", "Free"), Plan("team", "Team")),
        default_plan="team",
        endpoints=FULL.endpoints,
        policies=(Policy("all", (Limit(7, 60),), mode=Mode.SHADOW), FULL.policies[1]),
        tokens=(ApiToken("other", "cd" * 32, frozenset({Scope.CHECK})),),
    )
    assert differences(FULL, after) == [
        "Plan team added (name: Team).",
        "Plan pro removed.",
        "Plan free, name: Gratis – für alle → Free.",
        "Default plan: free → team.",
        "Policy all, limits: 1 per minute; and 2 per second, bursts of 20 → 7 per minute.",
        "Token “other” added (check).",
        "Token “shop” revoked.",
        "Emergency switch: on → off (policies enforce limits again).",
    ]
    assert differences(FULL, FULL) == []


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        (Limit(100, 60), "100 per minute"),
        (Limit(1_000, 86_400), "1,000 per day"),
        (Limit(5, 90), "5 per 90 seconds"),
        (Limit(5, 7_200), "5 per 2 hours"),
        (Limit(5, 604_800), "5 per week"),
        (Limit(10, 1, Algorithm.TOKEN_BUCKET, 20), "10 per second, bursts of 20"),
        (Limit(10, 1, Algorithm.TOKEN_BUCKET), "10 per second, bursts of 10"),
        (FIVE, "at most 5 concurrent requests, each for at most one minute"),
        (Limit(1, 90, Algorithm.CONCURRENCY), "at most 1 concurrent request, for at most 90 seconds"),
        (Limit(0, 60), "nothing admitted"),
        (Limit(0, 60, Algorithm.CONCURRENCY), "nothing admitted"),
    ],
)
def test_limits_are_sentences(limit: Limit, sentence: str) -> None:
    assert limit_sentence(limit) == sentence
    assert limits_sentence([limit, Limit(1, 1)]) == f"{sentence}; and 1 per second"


def test_alert_rules_are_sentences_and_have_bounds() -> None:
    rule = AlertRule(
        "abuse", AlertMetric.THROTTLED, 50, 300, "acme", "pro", "search", "all", GroupBy.CLIENT, 60, ("a@example.com",)
    )
    assert alert_rule_sentence(rule) == (
        "50 requests denied in 5 minutes, for each client, of client acme, of plan pro, "
        "on endpoint search, by policy all"
    )
    assert list(alert_rule_problems(rule)) == []
    wrong = AlertRule("abuse", AlertMetric.USAGE_RATIO, 0.7, 61, cooldown=-1, min_requests=0)
    assert [field for field, _ in alert_rule_problems(wrong)] == [
        *("threshold", "window", "cooldown", "min_requests", "emails")
    ]


@pytest.mark.parametrize(
    ("metric", "right", "wrong"),
    [
        (AlertMetric.THROTTLED, [1, 50, 10**12], [0, 0.5, 1.5, -1, 10**13]),
        (AlertMetric.THROTTLED_RATIO, [0.001, 0.5, 1], [0, 1.01, -0.5]),
        (AlertMetric.USAGE_RATIO, [0.5, 0.8, 0.9, 1], [0, 0.79, 0.81, 1.1]),
        (AlertMetric.OVERDRAWN, [1, 50, 10**12], [0, 0.5, 1.5, -1, 10**13]),
        (AlertMetric.PLATFORM, [1], [0, 2, 0.5]),
    ],
)
def test_each_metric_has_its_own_valid_thresholds(metric: AlertMetric, right: list[float], wrong: list[float]) -> None:
    def problems(threshold: float) -> list[str]:
        rule = AlertRule("rule", metric, threshold, webhooks=("https://example.com/",))
        return [field for field, _ in alert_rule_problems(rule)]

    assert [problems(threshold) for threshold in right] == [[]] * len(right)
    assert [problems(threshold) for threshold in wrong] == [["threshold"]] * len(wrong)


def test_rules_for_platform_problems_have_neither_filters_nor_groups() -> None:
    rule = AlertRule(
        "p", AlertMetric.PLATFORM, 1, 60, "acme", "pro", "search", "all", GroupBy.CLIENT, emails=("a@example.com",)
    )
    assert [field for field, _ in alert_rule_problems(rule)] == ["client", "plan", "endpoint", "policy", "group_by"]


def test_rules_for_overdrawn_cost_are_not_about_policies() -> None:
    rule = AlertRule("r", AlertMetric.OVERDRAWN, 1, 60, "acme", "pro", "search", emails=("a@example.com",))
    for group_by in (GroupBy.CLIENT, GroupBy.ENDPOINT, None):
        assert list(alert_rule_problems(replace(rule, group_by=group_by))) == []
    assert list(alert_rule_problems(replace(rule, policy="all", group_by=GroupBy.POLICY))) == [
        ("policy", "must be empty: overdrawn cost is not counted by policy."),
        ("group_by", "must be client, endpoint or none: overdrawn cost is not counted by policy."),
    ]


@pytest.mark.parametrize(
    ("rule", "sentence"),
    [
        (AlertRule("r", AlertMetric.THROTTLED, 1, 60), "1 request denied in 1 minute"),
        (AlertRule("r", AlertMetric.THROTTLED_RATIO, 0.125, 60), "12.5 % of all requests denied in 1 minute"),
        (
            AlertRule("r", AlertMetric.THROTTLED_RATIO, 0.2, 300, min_requests=1_000),
            "20 % of at least 1,000 requests denied in 5 minutes",
        ),
        (
            AlertRule("r", AlertMetric.USAGE_RATIO, 0.8, 3_600, plan="free"),
            "80 % of a quota reached in 60 minutes, of plan free",
        ),
        (
            AlertRule("r", AlertMetric.OVERDRAWN, 2_000, 300, endpoint="chat", group_by=GroupBy.CLIENT),
            "2,000 units of cost overdrawn in 5 minutes, for each client, on endpoint chat",
        ),
        (AlertRule("r", AlertMetric.OVERDRAWN, 1), "1 unit of cost overdrawn in 1 minute"),
        (AlertRule("r", AlertMetric.PLATFORM, 1), "a platform problem"),
    ],
)
def test_each_metric_is_a_sentence(rule: AlertRule, sentence: str) -> None:
    assert alert_rule_sentence(rule) == sentence
