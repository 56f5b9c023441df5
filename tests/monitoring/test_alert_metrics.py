"""The metrics of alert rules, over minutes and hours, with filters and groups."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from limits.models import Alert, Message, Plan, PolicyDenial, Progress, Publication, QuotaThreshold, Usage, Work
from limits.monitoring import problems
from limits.monitoring.alerts import evaluate
from limits.monitoring.metrics import firing_values, largest_contributions
from limits.monitoring.rollups import roll_up
from tests.models import rows
from tests.monitoring.counting import AT, MINUTE, count
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

A_MINUTE = timedelta(minutes=1)
NOW = AT + timedelta(seconds=30)


def requests(
    outcome: str, amount: int, client: str = "acme", *, endpoint: str = "search", minute: datetime = AT
) -> None:
    Usage.objects.create(
        client_key=client, endpoint=endpoint, minute=minute, outcome=outcome, requests=amount, cost=amount
    )


def crossing(mark: int, client: str = "acme", policy: str = "tight", *, minute: datetime = AT) -> None:
    QuotaThreshold.objects.create(
        client_key=client, endpoint="search", policy=policy, mark=mark, minute=minute, requests=1
    )


class Explaining:
    """Collects the plans of the queries on denied requests, with the number of times that each node was run."""

    def __init__(self) -> None:
        self.plans: list[dict[str, Any]] = []

    def __call__(self, execute: Any, sql: str, parameters: Any, many: bool, context: Any) -> Any:
        if "limits_usage" in sql:
            with context["connection"].connection.cursor() as cursor:
                cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", parameters)
                self.plans.append(cursor.fetchone()[0][0]["Plan"])
        return execute(sql, parameters, many, context)

    def nodes(self, alias: str) -> list[dict[str, Any]]:
        """The nodes that read the table with this alias."""
        found, waiting = [], list(self.plans)
        while waiting:
            node = waiting.pop()
            waiting += node.get("Plans", ())
            found += [node] if node.get("Alias") == alias else []
        return found


def fired() -> dict[str, float]:
    return {alert.group: alert.value for alert in Alert.objects.all()}


# -- throttled_ratio


@pytest.mark.parametrize(("denied", "fires"), [(19, False), (20, True), (21, True)])
def test_the_ratio_is_denied_to_all_requests(denied: int, fires: bool) -> None:
    rows.alert_rule(metric="throttled_ratio", threshold=0.2)
    requests("denied", denied)
    requests("admitted", 60 - denied)
    requests("blocked", 20)
    requests("exempt", 20)
    evaluate(NOW)
    assert bool(fired()) == fires


def test_rows_without_requests_have_no_ratio() -> None:
    """Damaged counts can result in rows with a cost but no requests."""
    rows.alert_rule(metric="throttled_ratio", threshold=0.2, group_by="client")
    requests("denied", 0, "damaged")
    requests("denied", 5, "acme")
    evaluate(NOW)
    assert fired() == {"acme": 1.0}


@pytest.mark.parametrize(("plan", "clients"), [("free", {"of-free", "unregistered"}), ("pro", {"of-pro"})])
@pytest.mark.parametrize("rule", [{"threshold": 1}, {"metric": "throttled_ratio", "threshold": 0.5}])
def test_a_filter_on_a_plan_uses_the_plan_of_the_client(plan: str, clients: set[str], rule: dict[str, Any]) -> None:
    plans = {"free": rows.plan("free", is_default=True), "pro": rows.plan("pro")}
    rows.client("of-free", plan=plans["free"])
    rows.client("of-pro", plan=plans["pro"])
    rows.alert_rule(group_by="client", plan=plans[plan], **rule)
    for client in ("of-free", "of-pro", "unregistered"):
        requests("denied", 2, client)
    evaluate(NOW)
    assert set(fired()) == clients


@pytest.fixture
def trees() -> None:
    """A tree of four levels whose second level is on the plan pro, and one whose root is on the default plan."""
    plans = {"free": rows.default_plan("free"), "pro": rows.plan("pro"), "other": rows.plan("other")}
    team = rows.client("team", plan=plans["pro"], parent=rows.client("org", plan=plans["other"]))
    rows.client("key", parent=rows.client("group", parent=team))
    rows.client("own", plan=plans["free"], parent=team)
    rows.client("below-default", parent=rows.client("root-without-plan"))
    for client in ("org", "team", "group", "key", "own", "root-without-plan", "below-default", "stranger"):
        requests("denied", 2, client)
        crossing(90, client)
        PolicyDenial.objects.create(
            client_key=client, endpoint="search", policy="tight", mode="enforce", minute=AT, requests=2
        )


BY_PLAN = {
    "pro": {"team", "group", "key", "own"},
    "other": {"org", "team", "group", "key", "own"},
    "free": {"own", "root-without-plan", "below-default", "stranger"},
}
RULES = [
    {"threshold": 1},
    {"metric": "throttled_ratio", "threshold": 0.5},
    {"metric": "usage_ratio", "threshold": 0.8},
]


@pytest.mark.parametrize("plan", BY_PLAN)
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("metric", "throttled"))
def test_a_client_below_a_parent_is_on_the_plans_of_its_ancestors(trees: None, plan: str, rule: dict[str, Any]) -> None:
    row = rows.alert_rule(group_by="client", plan=Plan.objects.get(slug=plan), **rule)
    evaluate(NOW)
    assert set(fired()) == BY_PLAN[plan]
    ungrouped = rows.alert_rule("ungrouped", plan=row.plan, **rule)
    evaluate(NOW)
    assert {figure.client for figure in largest_contributions(ungrouped, "", AT, 20)} == BY_PLAN[plan]


@pytest.mark.parametrize("plan", BY_PLAN)
def test_the_denials_by_a_policy_are_filtered_by_the_plans_of_ancestors(trees: None, plan: str) -> None:
    policy = rows.policy("tight")
    rule = rows.alert_rule(group_by="client", plan=Plan.objects.get(slug=plan), policy=policy, threshold=1)
    evaluate(NOW)
    assert set(fired()) == BY_PLAN[plan]
    rule.group_by = ""
    assert {figure.client for figure in largest_contributions(rule, "", AT, 20)} == BY_PLAN[plan]


@pytest.mark.parametrize(("plan", "requests_of_plan"), [("pro", 8), ("other", 10), ("free", 8)])
def test_a_policy_of_a_plan_applied_to_the_requests_of_clients_below(
    trees: None, plan: str, requests_of_plan: int
) -> None:
    """All of the policy's denials are those of one client, so that the ratio tells the number of requests."""
    policy = rows.policy("narrow", plan=Plan.objects.get(slug=plan))
    rows.alert_rule(metric="throttled_ratio", threshold=0.01, policy=policy)
    PolicyDenial.objects.create(
        client_key="own", endpoint="search", policy="narrow", mode="enforce", minute=AT, requests=1
    )
    evaluate(NOW)
    assert fired() == {"": 1 / requests_of_plan}


def test_ancestors_are_looked_up_only_for_clients_that_have_any(trees: None) -> None:
    rule = rows.alert_rule(plan=Plan.objects.get(slug="pro"), client_key="org", threshold=1)
    with connection.execute_wrapper(explaining := Explaining()):
        firing_values(rule, AT)
    assert [node["Actual Loops"] for node in explaining.nodes("one")] == [0]
    rule.client_key = "key"
    with connection.execute_wrapper(explaining := Explaining()):
        firing_values(rule, AT)
    assert [node["Actual Loops"] > 0 for node in explaining.nodes("one")] == [True]


def test_a_ratio_of_too_few_requests_does_not_fire() -> None:
    rows.alert_rule(metric="throttled_ratio", threshold=0.2, min_requests=10, group_by="client")
    requests("denied", 9, "few")
    requests("denied", 5, "enough")
    requests("admitted", 5, "enough")
    requests("admitted", 90, "good")
    evaluate(NOW)
    assert fired() == {"enough": 0.5}


def test_a_ratio_by_endpoint_filtered_by_plan() -> None:
    rows.default_plan("free")
    pro = rows.plan("pro")
    rows.client("acme", plan=pro)
    rows.alert_rule("endpoints", metric="throttled_ratio", threshold=0.5, group_by="endpoint", plan=pro)
    requests("denied", 5)
    requests("admitted", 5)
    requests("admitted", 1_000, "stranger")
    requests("denied", 1, endpoint="orders")
    requests("admitted", 9, endpoint="orders")
    evaluate(NOW)
    assert fired() == {"search": 0.5}


def test_the_ratio_of_a_policy_is_over_the_requests_it_applied_to() -> None:
    search = rows.endpoint("search")
    rows.policy("tight", endpoint=search)
    rows.policy("wide")
    rows.alert_rule(metric="throttled_ratio", threshold=0.25, group_by="policy")
    requests("denied", 30)
    requests("admitted", 70)
    requests("admitted", 900, endpoint="orders")
    for policy in ("tight", "wide"):
        PolicyDenial.objects.create(
            client_key="acme", endpoint="search", policy=policy, mode="enforce", minute=AT, requests=30
        )
    evaluate(NOW)
    assert fired() == {"tight": 0.3}


# -- usage_ratio


@pytest.mark.parametrize(("mark", "fires"), [(50, False), (80, True), (90, True), (100, True)])
def test_a_rule_fires_when_a_quota_threshold_is_reached(mark: int, fires: bool) -> None:
    rows.alert_rule(metric="usage_ratio", threshold=0.8, group_by="client")
    crossing(mark)
    evaluate(NOW)
    assert fired() == ({"acme": mark / 100} if fires else {})


def test_an_email_at_80_percent_and_none_below(platform: Platform) -> None:
    """From the count in the store to the email."""
    rows.alert_rule("quota", metric="usage_ratio", threshold=0.8, group_by="client")
    minute = MINUTE
    count(platform, "early", kind="50", policy="free-search", minute=minute)
    count(platform, "acme", kind="80", policy="free-search", minute=minute)
    from limits.monitoring.drain import drain

    drain()
    assert (evaluate(NOW), evaluate(NOW + timedelta(seconds=5))) == (1, 0)
    mail = Message.objects.get()
    assert mail.subject == "quota: acme reached 80 % of a quota"
    assert "   80 %  acme, free-search" in mail.text


def test_groups_and_filters_of_quota_thresholds() -> None:
    tight = rows.policy("tight")
    rows.alert_rule("by policy", metric="usage_ratio", threshold=0.9, group_by="policy")
    rows.alert_rule("of tight", metric="usage_ratio", threshold=0.5, policy=tight)
    rows.alert_rule("of globex", metric="usage_ratio", threshold=0.5, client_key="globex")
    crossing(90)
    crossing(100, policy="wide")
    crossing(50, "globex", policy="wide")
    evaluate(NOW)
    found = {(alert.rule.name, alert.group): alert.value for alert in Alert.objects.all()}
    assert found == {
        ("by policy", "tight"): 0.9,
        ("by policy", "wide"): 1.0,
        ("of tight", ""): 0.9,
        ("of globex", ""): 0.5,
    }


def test_a_global_policy_has_no_client_that_reached_the_threshold() -> None:
    rows.alert_rule("clients", metric="usage_ratio", threshold=0.5, group_by="client")
    rows.alert_rule("policies", metric="usage_ratio", threshold=0.5, group_by="policy")
    crossing(80, "", policy="everybody")
    evaluate(NOW)
    assert fired() == {"everybody": 0.8}


# -- long windows


@pytest.mark.parametrize("added_up", [False, True])
def test_a_window_of_a_day_gives_the_same_from_hours_and_minutes(added_up: bool) -> None:
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, AT - timedelta(days=3))
    rows.alert_rule(window=86_400, threshold=6, group_by="client")
    day_ago = AT - timedelta(days=1)
    for minute in (day_ago + A_MINUTE, AT - timedelta(hours=7), AT - timedelta(hours=2), AT):
        requests("denied", 2, minute=minute)
    requests("denied", 100, minute=day_ago)
    requests("denied", 5, "globex")
    if added_up:
        roll_up(NOW)
    evaluate(NOW)
    assert fired() == {"acme": 8}


# -- the platform itself


def platform_rule() -> None:
    rows.alert_rule("platform", metric="platform", threshold=1)


def found() -> set[str]:
    return {problem.name for problem in problems.current_problems(AT + A_MINUTE)}


@pytest.fixture
def healthy(platform: Platform) -> Platform:
    Progress.note(Work.DRAIN, NOW)
    return platform


def test_a_healthy_platform_has_no_problem(healthy: Platform) -> None:
    platform_rule()
    requests("denied", 5)
    evaluate(NOW)
    assert fired() == {}


def test_an_unavailable_store_is_a_problem(healthy: Platform) -> None:
    platform_rule()
    healthy.make_store_unavailable()
    evaluate(NOW)
    assert set(fired()) == {"store unreachable"}
    mail = Message.objects.get()
    assert mail.subject == "platform: store unreachable"
    assert "Redis is unavailable" in mail.text
    healthy.make_store_available()
    evaluate(NOW + timedelta(seconds=30))
    assert Alert.objects.get().resolved_at is None
    evaluate(NOW + timedelta(seconds=61))
    assert Alert.objects.get().resolved_at


@pytest.mark.parametrize(("state", "age", "wrong"), [("pending", 3, True), ("partial", 3, True), ("pending", 0, False)])
def test_a_publication_that_is_not_live_is_a_problem(healthy: Platform, state: str, age: int, wrong: bool) -> None:
    publication = Publication.objects.create(sequence=7, epoch="e", digest="d", content="{}", state=state, author="ann")
    Publication.objects.filter(pk=publication.pk).update(created_at=NOW - age * A_MINUTE)
    assert found() == ({"publish not live"} if wrong else set())


def test_a_publication_replaced_by_a_later_one_is_no_problem(healthy: Platform) -> None:
    Publication.objects.create(sequence=7, epoch="e", digest="d", content="{}", author="ann")
    Publication.objects.create(sequence=8, epoch="e", digest="d", content="{}", author="ann", state="live", live_at=NOW)
    Publication.objects.update(created_at=NOW - timedelta(hours=1))
    assert found() == set()


@pytest.mark.parametrize(("minutes", "wrong"), [(4, False), (6, True)])
def test_counts_that_are_not_drained_are_a_problem(healthy: Platform, minutes: int, wrong: bool) -> None:
    Progress.note(Work.DRAIN, AT - minutes * A_MINUTE)
    assert found() == ({"counts not drained"} if wrong else set())


def test_callers_counted_together_and_unknown_endpoints_are_problems(healthy: Platform) -> None:
    requests("admitted", 7, "")
    requests("admitted", 9, endpoint="")
    assert found() == {"callers counted together", "unknown endpoints"}
    sentences = [problem.sentence for problem in problems.current_problems(AT + A_MINUTE)]
    assert sentences[0].startswith("7 requests")
    assert sentences[1].startswith("9 requests")


def test_each_problem_is_a_separate_alert(healthy: Platform) -> None:
    platform_rule()
    requests("admitted", 7, "")
    requests("admitted", 9, endpoint="")
    assert evaluate(NOW) == 2
    assert {str(alert) for alert in Alert.objects.all()} == {
        "platform: callers counted together",
        "platform: unknown endpoints",
    }
