"""Rejected files with values of the right type that are invalid, regardless of the database."""

import json

import pytest

from limits.configfile.document import read
from ratelimit_enforcer.domain.enums import OverQuota
from tests.configfile.files import LIMITS, refusal

SLUG = "must consist of lowercase letters, digits and hyphens, such as “free-search”."
SECTIONS = {
    "plans": {},
    "endpoints": {},
    "policies": {"limits": [{"quota": 1, "window": 60}]},
}


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("slug", ["", "Free", "free search", "free_search", "fré", "a/b", "free\n", "٣"])
def test_invalid_slugs_are_rejected(section: str, slug: str) -> None:
    assert refusal(json.dumps({section: [{"slug": slug} | SECTIONS[section]]})) == [f"{section}[0].slug: {SLUG}"]


@pytest.mark.parametrize("section", SECTIONS)
def test_slugs_have_at_most_64_characters(section: str) -> None:
    items = [{"slug": letter * length} | SECTIONS[section] for letter, length in (("a", 64), ("b", 65))]
    assert refusal(json.dumps({section: items})) == [f"{section}[1].slug: must have at most 64 characters."]


@pytest.mark.parametrize("section", SECTIONS)
def test_duplicate_slugs_are_rejected(section: str) -> None:
    items = [{"slug": slug} | SECTIONS[section] for slug in ("a", "b", "a")]
    assert refusal(json.dumps({section: items})) == [f"{section}[2].slug: “a” is a duplicate of {section}[0]."]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("", "must have 1 to 256 characters."),
        ("x" * 257, "must have 1 to 256 characters."),
        ("a\nb", "must not contain control characters."),
        ("a\0b", "must not contain control characters."),
        ("a\x85b", "must not contain control characters."),
        ("a\ud800b", "must not contain control characters."),
    ],
)
def test_invalid_client_keys_are_rejected(key: str, message: str) -> None:
    assert refusal(json.dumps({"clients": [{"key": key}]})) == [f"clients[0].key: {message}"]


def test_duplicate_client_keys_are_rejected() -> None:
    assert refusal("clients: [{key: acme}, {key: Acme}, {key: acme}]") == [
        "clients[2].key: “acme” is a duplicate of clients[0]."
    ]


def test_two_default_plans_are_rejected() -> None:
    text = "plans: [{slug: a}, {slug: b, default: true}, {slug: c, default: true}, {slug: d, default: true}]"
    assert refusal(text) == [
        "plans[2].default: plans[1] is already the default.",
        "plans[3].default: plans[1] is already the default.",
    ]


@pytest.mark.parametrize(
    ("route", "message"),
    [
        ("", "must be a method and a path, such as “GET /api/products/{id}”."),
        ("/api", "must be a method and a path, such as “GET /api/products/{id}”."),
        ("get /api", "must begin with a method in uppercase letters, or with * for every method."),
        ("GET api", "must have a path that begins with “/”."),
        ("GET /a b", "must not contain spaces or control characters."),
        ("GET /a?q=1", "must be a path only, without a query string or fragment."),
        ("GET /a{id}", "has “a{id}”; a parameter must be a whole segment, such as “{id}”."),
        ("GET /*/a", "may have “*” only as the last segment, for every path below."),
        ("GET /a/../b", "must not have a segment “.” or “..”."),
    ],
)
def test_invalid_routes_are_rejected(route: str, message: str) -> None:
    text = json.dumps({"endpoints": [{"slug": "search", "routes": ["GET /good", route]}]})
    assert refusal(text) == [f"endpoints[0].routes[1]: {message}"]


def limits(text: str) -> str:
    return f"policies: [{{slug: all, limits: [{text}]}}]"


QUOTA = "quota: must be between 0 and 1,000,000,000."
WINDOW = "window: must be between 1 and 31,622,400 seconds (366 days)."
BURST = "burst: must be between 1 and 1,000,000,000."
REFILL = "burst: would take more than 366 days to refill at this quota."
CONCURRENCY = "quota: must be between 0 and 10,000 concurrent requests."
CALENDAR_ONLY = "is allowed for calendar limits only."
BAD_LIMITS = [
    ("{quota: -1, window: 60}", QUOTA),
    ("{quota: 1000000001, window: 60}", QUOTA),
    ("{quota: 1}", "window: is required: the length of the window in seconds."),
    ("{quota: 1, window: 0}", WINDOW),
    ("{quota: 1, window: -60}", WINDOW),
    ("{quota: 1, window: 31622401}", WINDOW),
    ("{quota: 1, window: 60, algorithm: token_bucket, burst: 0}", BURST),
    ("{quota: 1, window: 60, algorithm: token_bucket, burst: -1}", BURST),
    ("{quota: 1000000000, window: 60, algorithm: token_bucket, burst: 1000000001}", BURST),
    ("{quota: 1, window: 60, algorithm: token_bucket, burst: 527041}", REFILL),
    ("{quota: 1, window: 31622400, algorithm: token_bucket, burst: 2}", REFILL),
    ("{quota: 1, window: 60, burst: 5}", "burst: is allowed for token buckets only."),
    ("{quota: 1, window: 60, period: day}", f"period: {CALENDAR_ONLY}"),
    ("{quota: 1, window: 60, timezone: Europe/Berlin}", f"timezone: {CALENDAR_ONLY}"),
    (
        "{quota: 1, period: day, algorithm: calendar, timezone: localtime}",
        "timezone: “localtime” depends on the machine; use a place, such as “Europe/Berlin”.",
    ),
    (
        "{quota: 1, period: day, algorithm: calendar, timezone: Factory}",
        "timezone: “Factory” depends on the machine; use a place, such as “Europe/Berlin”.",
    ),
    (
        "{quota: 1, period: day, algorithm: calendar, timezone: posixrules}",
        "timezone: “posixrules” depends on the machine; use a place, such as “Europe/Berlin”.",
    ),
    (
        "{quota: 1, period: day, algorithm: calendar, timezone: Mars}",
        "timezone: “Mars” is not a time zone; an example is “Europe/Berlin”.",
    ),
    ("{quota: -1, window: 60, algorithm: concurrency}", CONCURRENCY),
    ("{quota: 10001, window: 60, algorithm: concurrency}", CONCURRENCY),
    (
        "{quota: 1, algorithm: concurrency}",
        "window: is required: the longest duration of a request in seconds.",
    ),
    ("{quota: 1, window: 31622401, algorithm: concurrency}", WINDOW),
    ("{quota: 1, window: 60, algorithm: concurrency, burst: 5}", "burst: is allowed for token buckets only."),
    ("{quota: 1, window: 60, algorithm: concurrency, period: day}", f"period: {CALENDAR_ONLY}"),
    ("{quota: 1, window: 60, algorithm: concurrency, timezone: UTC}", f"timezone: {CALENDAR_ONLY}"),
    ("{quota: 1, algorithm: calendar}", "period: is required for a calendar limit: hour, day, week, month or year."),
]


@pytest.mark.parametrize(("limit", "message"), BAD_LIMITS)
def test_limits_out_of_range_are_rejected(limit: str, message: str) -> None:
    assert refusal(limits(limit)) == [f"policies[0].limits[0].{message}"]


@pytest.mark.parametrize(("limit", "message"), BAD_LIMITS)
def test_limits_of_overrides_have_the_same_ranges(limit: str, message: str) -> None:
    text = f"overrides: [{{client: acme, policy: all, limits: [{limit}]}}]"
    assert refusal(text) == [f"overrides[0].limits[0].{message}"]


@pytest.mark.parametrize(
    "limit",
    [
        "{quota: 0, window: 1}",
        "{quota: 1000000000, window: 31622400}",
        "{quota: 1, window: 60, algorithm: token_bucket, burst: 1}",
        "{quota: 1, window: 60, algorithm: token_bucket, burst: 527040}",
        "{quota: 0, window: 60, algorithm: token_bucket, burst: 1000000000}",
        "{quota: 1000000000, window: 31622400, algorithm: token_bucket, burst: 1000000000}",
        "{quota: 0, window: 1, algorithm: concurrency}",
        "{quota: 10000, window: 31622400, algorithm: concurrency}",
    ],
)
def test_limits_at_the_ends_of_their_ranges_are_accepted(limit: str) -> None:
    assert len(read(limits(limit)).policies[0].limits) == 1


def test_a_policy_without_limits_is_rejected() -> None:
    assert refusal(limits("")) == ["policies[0].limits: must have at least one limit."]


def test_a_policy_that_counts_over_quota_needs_a_calendar_limit() -> None:
    policy = "policies: [{{slug: a, over_quota: count, limits: [{}]}}]"
    assert refusal(policy.format("{quota: 1, window: 60}")) == [
        "policies[0].over_quota: needs a calendar limit: only a quota of a calendar period can be exceeded."
    ]
    (accepted,) = read(policy.format("{quota: 1, algorithm: calendar, period: month}")).policies
    assert accepted.over_quota is OverQuota.COUNT


@pytest.mark.parametrize(
    ("algorithm", "name"), [("sliding_window", "60s"), ("token_bucket", "60s-bucket")], ids=["window", "bucket"]
)
def test_two_limits_with_one_name_are_rejected(algorithm: str, name: str) -> None:
    one = f"quota: 1, window: 60, algorithm: {algorithm}"
    text = limits(f"{{{one}}}, {{quota: 5, window: 61}}, {{{one.replace('1', '2')}}}")
    assert refusal(text) == [
        f"policies[0].limits[2]: another limit is already named “{name}”: use one limit per algorithm and window."
    ]


def test_a_second_concurrency_limit_is_rejected_whatever_the_windows() -> None:
    one, other = "{quota: 1, window: 60, algorithm: concurrency}", "{quota: 1, window: 90, algorithm: concurrency}"
    problem = "algorithm: only one concurrency limit is allowed in a policy or an override."
    assert refusal(limits(f"{one}, {{quota: 1, window: 90}}, {other}")) == [f"policies[0].limits[2].{problem}"]
    override = f"overrides: [{{clients: {{plan: pro}}, policy: all, limits: [{one}, {other}]}}]"
    assert refusal(override) == [f"overrides[0].limits[1].{problem}"]


def test_one_window_may_have_two_algorithms() -> None:
    text = limits("{quota: 1, window: 60}, {quota: 1, window: 60, algorithm: token_bucket}")
    assert len(read(text).policies[0].limits) == 2


@pytest.mark.parametrize("field", ["starts_at", "ends_at"])
@pytest.mark.parametrize(
    "moment",
    [
        "2126-12-01",
        "2126-12-01T00:00:00",
        "2126-13-01T00:00:00Z",
        "2126-02-30T00:00:00Z",
        "2126-12-01T24:30:00Z",
        "soon",
        '""',
    ],
)
def test_dates_without_a_zone_and_nonexistent_dates_are_rejected(field: str, moment: str) -> None:
    text = f"overrides: [{{client: acme, policy: all, {field}: {moment}, {LIMITS}}}]"
    assert refusal(text) == [
        f"overrides[0].{field}: must be a date and time with a time zone, such as 2026-12-01T00:00:00Z."
    ]


def test_all_problems_of_content_are_reported_together() -> None:
    text = """
        plans: [{slug: A}, {slug: b, default: true}, {slug: b, default: true}]
        endpoints: [{slug: search, routes: [search]}]
        policies:
          - {slug: a, limits: [{quota: 1, window: 60}]}
          - {slug: b, limits: []}
          - {slug: c, limits: [{quota: -1, window: 0}, {quota: 1, window: 0}]}
        clients: [{key: ""}]
        overrides: [{client: acme, policy: all, starts_at: now, ends_at: later, limits: [{quota: 1}]}]
    """
    assert [line.partition(": ")[0] for line in refusal(text)] == [
        "plans[0].slug",
        "plans[2].slug",
        "clients[0].key",
        "plans[2].default",
        "endpoints[0].routes[0]",
        "policies[1].limits",
        "policies[2].limits[0].quota",
        "policies[2].limits[0].window",
        "policies[2].limits[1].window",
        "overrides[0].limits[0].window",
        "overrides[0].starts_at",
        "overrides[0].ends_at",
    ]
