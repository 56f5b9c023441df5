"""``explain_limit``: which policies apply, why, and the current state of the counters."""

import re
from collections.abc import Callable, Iterator

import pytest
from django.core.management import CommandError

from limits.changes.lifecycle import Actor, start
from limits.changes.publication import try_on
from limits.domain.edits import Edit
from limits.publishing import rules
from ratelimit_enforcer.engine import CheckRequest, get_engine
from ratelimit_platform.embedded.redis import RedisServer
from tests.configfile.files import put
from tests.management.running import Outcome, run
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

RULES = """
plans: [{slug: free, default: true}, {slug: pro}]
endpoints:
  - {slug: orders, routes: ["POST /orders/{id}"], cost: 5}
  - {slug: search, routes: ["GET /search"]}
policies:
  - {slug: all, limits: [{quota: 1000, window: 86400}]}
  - {slug: paused, mode: disabled, limits: [{quota: 1, window: 60}]}
  - {slug: pro-search, plan: pro, endpoint: search, limits: [
      {quota: 100, window: 60}, {quota: 10, window: 1, algorithm: token_bucket, burst: 20}]}
  - {slug: trial, endpoint: orders, mode: shadow, limits: [{quota: 20, window: 3600}]}
clients:
  - {key: acme, plan: pro}
  - {key: scraper, status: blocked}
  - {key: partner, plan: pro, status: exempt}
  - {key: deal, plan: pro}
overrides:
  - {client: deal, policy: pro-search, limits: [{quota: 7777, window: 60}]}
"""


def publish() -> None:
    """Publishes the rules, and every client."""
    put(RULES)
    assert run("publish_ruleset").status == 0


@pytest.fixture
def live(platform: Platform) -> Platform:
    publish()
    return platform


@pytest.fixture
def lone_server(platform: Platform, redis_server: Callable[[], RedisServer], redis_url: str) -> Iterator[RedisServer]:
    """The rules on a separate Redis, which the test may kill."""
    server = redis_server()
    platform.use(server.url)
    publish()
    yield server
    platform.redis.close()
    platform.use(redis_url)


def consume(client: str, endpoint: str, cost: int | None = None) -> bool:
    return get_engine().check(CheckRequest(client, endpoint, cost=cost)).allowed


def test_each_policy_is_listed_with_the_reason_why_it_applies_or_not(live: Platform) -> None:
    assert run("explain_limit", "acme", "search") == Outcome(
        0,
        """\
Client acme, plan pro, endpoint search.
Version 1. A request now would be admitted.

applies: all. It applies to every plan and all requests of a client.
  all:86400s: 1,000 per day; 1,000 of 1,000 left.

does not apply: paused. The policy is disabled.

applies: pro-search. It applies to plan pro and endpoint search.
  pro-search:60s: 100 per minute; 100 of 100 left.
  pro-search:1s-bucket: 10 per second, bursts of 20; 20 of 20 left.

does not apply: trial. It applies to endpoint orders.
""",
        "",
    )


def test_an_unregistered_caller_is_on_the_default_plan(live: Platform) -> None:
    lines = run("explain_limit", "stranger", "search").lines
    assert lines[0] == "Client stranger, plan free, endpoint search."
    assert "does not apply: pro-search. It applies to plan pro; the client is on free." in lines


def test_only_policies_for_all_requests_apply_to_an_unknown_endpoint(live: Platform) -> None:
    lines = run("explain_limit", "acme", "nowhere").lines
    assert lines[0] == "Client acme, plan pro, unregistered endpoint."
    assert [line for line in lines if line.startswith("applies")] == [
        "applies: all. It applies to every plan and all requests of a client."
    ]
    assert "does not apply: trial. It applies to endpoint orders; this endpoint is unregistered." in lines


@pytest.mark.parametrize(
    ("route", "endpoint"),
    [
        ("GET /search", "endpoint search"),
        ("get /search", "endpoint search"),
        ("HEAD /search", "endpoint search"),
        ("GET  /search/?q=shoes", "endpoint search"),
        ("POST /orders/7", "endpoint orders"),
        ("GET /orders/7", "unregistered endpoint"),
        ("GET /elsewhere", "unregistered endpoint"),
    ],
)
def test_an_endpoint_is_found_by_method_and_path(route: str, endpoint: str, live: Platform) -> None:
    assert run("explain_limit", "acme", route).lines[0] == f"Client acme, plan pro, {endpoint}."


def test_a_shadow_policy_is_shown_as_such(live: Platform) -> None:
    lines = run("explain_limit", "acme", "orders").lines
    assert "applies: trial. It applies to every plan and endpoint orders. It only reports and never denies." in lines
    assert "  trial:3600s: 20 per hour; 20 of 20 left." in lines


def test_the_emergency_switch_is_shown(live: Platform) -> None:
    run("shadow_all", "on")
    lines = run("explain_limit", "acme", "search").lines
    assert lines[1].startswith("Version 2. ")
    assert (
        "applies: all. It applies to every plan and all requests of a client. It only reports and never denies."
        in lines
    )


def test_the_present_state_of_counters_is_shown(live: Platform) -> None:
    assert consume("acme", "search", 15)
    lines = run("explain_limit", "acme", "search").lines
    standing = next(line for line in lines if line.startswith("  pro-search:60s: "))
    times = r"more in \d+\.\d s, all available in \d+\.\d s"
    assert re.fullmatch(rf"  pro-search:60s: 100 per minute; 85 of 100 left, {times}\.", standing)


def test_the_command_consumes_nothing(live: Platform) -> None:
    assert run("explain_limit", "acme", "orders") == run("explain_limit", "acme", "orders")


def test_a_denying_limit_is_shown(live: Platform) -> None:
    put("policies: [{slug: all, limits: [{quota: 3, window: 86400}, {quota: 50, window: 3600}]}]")
    assert consume("acme", "search", 3)
    lines = run("explain_limit", "acme", "search").lines
    assert lines[1] == "Version 2. A request now would be denied."
    denying = next(line for line in lines if line.startswith("  all:86400s: "))
    assert re.fullmatch(
        r"  all:86400s: 3 per day; 0 of 3 left, more in [\d.]+ s, all available in [\d.]+ s, denies\.", denying
    )
    assert any(re.fullmatch(r"  all:3600s: 50 per hour; 47 of 50 left, .*\d s\.", line) for line in lines)


def test_a_concurrency_limit_shows_the_places_left_and_the_longest_duration(live: Platform) -> None:
    put("policies: [{slug: all, limits: [{quota: 2, window: 600, algorithm: concurrency}]}]")
    limit = "  all:concurrent: at most 2 concurrent requests, each for at most 10 minutes; "
    assert f"{limit}2 of 2 left." in run("explain_limit", "acme", "search").lines
    taken = [get_engine().check(CheckRequest("acme", "search")).reservation or "" for _ in range(2)]
    lines = run("explain_limit", "acme", "search").lines
    assert lines[1] == "Version 2. A request now would be denied."
    (line,) = [line for line in lines if line.startswith(limit)]
    times = r"more as requests end, all available within \d+\.\d s"
    assert re.fullmatch(rf"0 of 2 left, {times}, denies\.", line.removeprefix(limit))
    get_engine().release(taken[0])
    lines = run("explain_limit", "acme", "search").lines
    assert lines[1] == "Version 2. A request now would be admitted."
    assert any(line.startswith(f"{limit}1 of 2 left") for line in lines)


def test_an_overdrawn_limit_is_shown_as_used_up(live: Platform) -> None:
    get_engine().charge(CheckRequest("acme", "search"), 130)
    lines = run("explain_limit", "acme", "search").lines
    assert lines[1] == "Version 1. A request now would be denied."
    denying = next(line for line in lines if line.startswith("  pro-search:60s: "))
    assert denying.startswith("  pro-search:60s: 100 per minute; 0 of 100 left, more in ")
    assert denying.endswith(" s, denies.")


def test_a_cost_above_a_quota_is_shown(live: Platform) -> None:
    put("policies: [{slug: all, limits: [{quota: 3, window: 86400}]}]")
    lines = run("explain_limit", "acme", "orders").lines
    assert lines[1] == "Version 2. A request costs more than a limit can ever admit."
    assert "  all:86400s: 3 per day; 3 of 3 left, denies." in lines


def test_limits_of_an_override_are_shown(live: Platform) -> None:
    lines = run("explain_limit", "deal", "search").lines
    assert "  pro-search:60s: 7,777 per minute; 7,777 of 7,777 left." in lines
    assert not any("100 per minute" in line or "bucket" in line for line in lines)


@pytest.mark.parametrize(
    ("client", "answer"),
    [
        ("scraper", "The client is blocked: every request is denied, regardless of limits."),
        ("partner", "The client is exempt: every request is admitted, regardless of limits."),
    ],
)
def test_blocked_and_exempt_clients_are_shown_without_counters(client: str, answer: str, live: Platform) -> None:
    outcome = run("explain_limit", client, "search")
    assert (outcome.status, outcome.lines[1]) == (0, f"Version 1. {answer}")
    assert not any(line.startswith("  ") for line in outcome.lines)


def test_the_block_that_denies_is_named(live: Platform) -> None:
    put("blocks: [{network: 203.0.113.0/24, reason: scraping, ends_at: 2126-12-24T00:00:00Z}]")
    lines = run("explain_limit", "partner", "search", "--attribute", "ip=203.0.113.7").lines
    assert lines[1] == (
        "Version 2. The client is blocked: the block of addresses in 203.0.113.0/24 until 24 Dec 2126, 00:00 UTC "
        "(reason: scraping)."
    )
    assert "exempt" in run("explain_limit", "partner", "search", "--attribute", "ip=203.0.114.7").lines[1]


def test_new_rules_are_shown_immediately(live: Platform) -> None:
    run("explain_limit", "acme", "search")
    put("policies: [{slug: all, limits: [{quota: 5, window: 86400}]}]")
    lines = run("explain_limit", "acme", "search").lines
    assert lines[1] == "Version 2. A request now would be admitted."
    assert "  all:86400s: 5 per day; 5 of 5 left." in lines


def test_a_missing_publication_is_reported(platform: Platform) -> None:
    assert run("explain_limit", "acme", "search") == Outcome(1, "", "No ruleset has been published yet.\n")


def test_a_store_unavailable_from_the_start_is_reported(live: Platform) -> None:
    live.make_store_unavailable()
    assert run("explain_limit", "acme", "search") == Outcome(
        1, "", "The store is unavailable, and no ruleset has been loaded yet.\n"
    )


def test_a_store_that_becomes_unavailable_is_reported(lone_server: RedisServer) -> None:
    assert run("explain_limit", "acme", "search").status == 0
    lone_server.kill()
    assert run("explain_limit", "acme", "search") == Outcome(
        2, "", "Redis is unavailable, or does not have all rules and clients yet.\n"
    )


@pytest.mark.parametrize("arguments", [(), ("acme",)])
def test_client_and_endpoint_are_required(arguments: tuple[str, ...], platform: Platform) -> None:
    with pytest.raises(CommandError, match="required"):
        run("explain_limit", *arguments)


CONDITIONS = """
policies:
  - {slug: all, limits: [{quota: 1000, window: 86400}]}
  - {slug: by-model, partition: [client, model], limits: [{quota: 10, window: 60}]}
  - {slug: large, match: {model: ["gpt-*", o1], ip: ["2001:db8::*"]}, limits: [{quota: 20, window: 60}]}
  - {slug: trial, match: {client_tags: [trial]}, limits: [{quota: 30, window: 60}]}
"""


def whys(*attributes: str) -> dict[str, str]:
    """Policy → the conditions that do not match."""
    options = [text for pair in attributes for text in ("--attribute", pair)]
    lines = run("explain_limit", "acme", "search", *options).lines
    found = [line.removeprefix("does not apply: ") for line in lines if line.startswith("does not apply: ")]
    reasons = dict(line.split(". ", 1) for line in found)
    return {slug: reason for slug, reason in reasons.items() if "only if" in reason}


def test_conditions_that_do_not_match_are_named(live: Platform) -> None:
    put(CONDITIONS)
    trial = {"trial": "It applies only if the client has the tag trial."}
    assert whys() == {"large": "It applies only if ip is “2001:db8::*” and model is “gpt-*” or “o1”."} | trial
    assert whys("model=gpt-x") == {"large": "It applies only if ip is “2001:db8::*”."} | trial
    assert whys("model=gpt-x", "ip=2001:DB8:0::7") == trial
    assert whys("model=gpt-x=1", "ip=2001:db8::7", "other=a b") == trial


def test_counters_are_those_of_the_attributes(live: Platform) -> None:
    put(CONDITIONS)
    assert get_engine().check(CheckRequest("acme", "search", cost=3, attributes={"model": "a"})).allowed
    for options, left in ((["--attribute", "model=a"], 7), (["--attribute", "model=b"], 10), ([], 10)):
        lines = run("explain_limit", "acme", "search", *options).lines
        assert any(line.startswith(f"  by-model:60s: 10 per minute; {left} of 10 left") for line in lines)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        (["model"], "“model” has no value: write “model=gpt-x”."),
        (["a=1", "ip=here"], "ip must be an IP address."),
        (["Model=a"], "Model must be 1 to 64 lowercase letters, digits and hyphens."),
        (["client=a"], "client is the client, and not an attribute."),
        ([f"model={'x' * 257}"], "model must have at most 256 characters."),
        (["model=a", "model=b"], "“model” has two values."),
        ([f"a{number}=1" for number in range(9)], "Must be at most 8 attributes."),
    ],
)
def test_invalid_attributes_are_rejected(attributes: list[str], message: str, live: Platform) -> None:
    options = [f"--attribute={pair}" for pair in attributes]
    assert run("explain_limit", "acme", "search", *options) == Outcome(1, "", f"{message}\n")


def test_a_client_below_a_parent_is_explained_with_its_ancestors(live: Platform) -> None:
    put("clients: [{key: acme, plan: pro}, {key: acme-mobile, parent: acme}]")
    lines = run("explain_limit", "acme-mobile", "search").lines
    assert lines[:3] == [
        "Client acme-mobile, no plan, endpoint search.",
        "The parent acme is on plan pro.",
        "Version 1. A request now would be admitted.",
    ]
    applies = lines.index("applies: pro-search. It applies to plan pro of the parent acme and endpoint search.")
    assert lines[applies + 1] == "  pro-search:60s~1: 100 per minute; 100 of 100 left."


def test_the_change_set_that_decides_is_named(live: Platform) -> None:
    actor = Actor("ann")
    edits = [Edit(("policies", "all", "limits", "86400s", "quota"), 1_000, 5)]
    try_on(start("Pilot", actor, edits), actor, percent=50)
    assert rules.deliver().live
    found = {client: run("explain_limit", client, "search").out for client in (f"client-{at}" for at in range(40))}
    named = {client for client, text in found.items() if "with change set “Pilot”." in text}
    assert {client for client, text in found.items() if "5 of 5 left" in text} == named
    assert 0 < len(named) < 40
