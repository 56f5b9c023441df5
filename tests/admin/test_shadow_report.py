"""The report of a policy in shadow mode, and “Enforce now…”."""

import csv
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.urls import reverse
from django.utils import timezone

from limits.admin.shadow_report import in_words
from limits.changes.lifecycle import Actor, start
from limits.models import Client, Policy, PolicyDenial, Progress, Publication, Usage, Work
from limits.models import Platform as PlatformRow
from limits.models.roles import create_roles
from limits.monitoring.drain import drain
from limits.monitoring.shadow import Between
from limits.publishing import rules
from ratelimit_enforcer.domain.enums import Mode
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.admin.conftest import desk_of
from tests.admin.desk import Desk, Page
from tests.models import rows
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db(transaction=True)

DAY = timedelta(days=1)


@pytest.fixture
def policy(shop: Platform) -> Policy:
    """A live policy in shadow mode: two requests per minute on search, beside the 100 per minute of “all”. No minute is
    rolled up yet: the migration of an empty database sets the marks of the rollups to its own time."""
    for work in (Work.HOURS, Work.DAYS):
        Progress.note(work, timezone.now() - 400 * DAY)
    row = rows.policy("search-trial", quota=2, endpoint=rows.endpoint("search"), mode="shadow")
    publish()
    return row


def publish() -> None:
    rules.record("test")
    assert rules.deliver().live


def ask(client: str, times: int, endpoint: str = "search") -> int:
    """Sends real checks, and drains their counts; returns how many were admitted."""
    engine = get_engine()
    admitted = sum(engine.check(CheckRequest(client, endpoint=endpoint)).allowed for _ in range(times))
    drain()
    return admitted


def would_deny(moment: datetime, client: str = "acme", requests: int = 1, policy: str = "search-trial") -> None:
    minute = moment.replace(second=0, microsecond=0)
    counted = {"minute": minute, "client_key": client, "endpoint": "search", "requests": requests}
    PolicyDenial.objects.create(**counted, policy=policy, mode="shadow")
    Usage.objects.create(**counted | {"requests": 10 * requests}, outcome="admitted", cost=requests)


def url(policy: Policy, page: str = "shadow_report") -> str:
    return reverse(f"admin:limits_policy_{page}", args=[policy.pk])


def report(desk: Desk, policy: Policy, **query: str) -> Any:
    """The context of the page."""
    page = desk.open(url(policy), **query)
    assert page.status == 200
    return page.response.context


def listed(context: Any) -> list[tuple[str, int, int]]:
    """Client, requests that would have been denied, requests; in the order of the table."""
    return [(each.found.client_name, each.found.would_deny, each.found.requests) for each in context["clients"].rows]


def test_checks_over_the_limit_are_admitted_and_reported(desk: Desk, policy: Policy) -> None:
    before = timezone.now()
    assert (ask("acme", 5), ask("globex", 3), ask("initech", 2)) == (5, 3, 2)
    after = timezone.now()
    found = report(desk, policy)
    assert listed(found) == [("acme", 3, 5), ("globex", 1, 3)]
    assert (found["total"], found["clients"].total) == (4, 2)
    for row in found["clients"].rows:
        assert row.found.first.begin <= after
        assert row.found.last.end > before
        assert row.found.last.end - row.found.first.begin <= timedelta(hours=1)
    assert sum(day.requests for day in found["days"][-2:]) == 4
    assert "4 requests would have been denied." in found["chart"]
    assert report(desk, Policy.objects.get(slug="all"))["total"] == 0


def test_the_report_is_of_the_last_seven_days_unless_others_are_chosen(desk: Desk, policy: Policy) -> None:
    today = timezone.now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for days in (0, 6, 7, 9):
        would_deny(today - days * DAY, f"client-{days}", days + 1)
    found = report(desk, policy)
    assert [day.begin for day in found["days"]] == [today - days * DAY for days in range(6, -1, -1)]
    assert listed(found) == [("client-6", 7, 70), ("client-0", 1, 10)]
    week_before = {"since": f"{today - 9 * DAY:%Y-%m-%d}", "until": f"{today - 7 * DAY:%Y-%m-%d}"}
    found = report(desk, policy, **week_before)
    assert listed(found) == [("client-9", 10, 100), ("client-7", 8, 80)]
    assert [day.requests for day in found["days"]] == [10, 0, 8]
    assert [each[0] for each in listed(report(desk, policy, **week_before, q="client-7"))] == ["client-7"]


@pytest.mark.parametrize(
    ("query", "field", "message"),
    [
        ({"since": "2026-13-45"}, "since", "Enter a valid date."),
        ({"until": ""}, "until", "This field is required."),
        ({"until": "2999-01-01"}, "until", "Enter a day up to today"),
        ({"since": "2026-02-03", "until": "2026-02-02"}, "until", "The last day must not be before the first day."),
        ({"since": "2020-02-03", "until": "2022-02-02"}, "since", "Choose at most 366 days."),
        ({"q": "x" * 257}, "q", "at most 256 characters"),
    ],
)
def test_invalid_input_is_reported_at_its_field(
    desk: Desk, policy: Policy, query: dict[str, str], field: str, message: str
) -> None:
    page = desk.open(url(policy), **query)
    errors = page.response.context["form"].errors
    assert list(errors) == [field]
    assert message in errors[field][0]
    assert message in page.text
    assert f'id="id_{field}_error"' in page.text
    assert "clients" not in page.response.context
    answer = desk.client.get(url(policy, "shadow_file"), query, follow=True)
    assert list(answer.context["form"].errors) == [field]


def test_clients_are_paginated(desk: Desk, policy: Policy) -> None:
    now = timezone.now()
    counted = {"minute": now.replace(second=0, microsecond=0), "endpoint": "search", "mode": "shadow"}
    PolicyDenial.objects.bulk_create(
        PolicyDenial(**counted, client_key=f"client-{number:03}", policy=policy.slug, requests=1_000 - number)
        for number in range(120)
    )
    pages = [[each[0] for each in listed(report(desk, policy, p=page))] for page in ("1", "2", "3")]
    assert [name for page in pages for name in page] == [f"client-{number:03}" for number in range(120)]
    assert [len(page) for page in pages] == [50, 50, 20]
    assert [listed(report(desk, policy, p=page))[0][0] for page in ("4", "0", "abc", "9" * 30)] == ["client-000"] * 4
    text = desk.open(url(policy), q="client-0").text
    assert "100 clients with a key that begins with “client-0”." in text
    assert "Page 1 of 2" in text
    assert 'href="?q=client-0&amp;p=2"' in text
    assert "No client with a key that begins with “x”" in desk.open(url(policy), q="x").text


def lines(desk: Desk, policy: Policy, **query: str) -> list[list[str]]:
    answer = desk.client.get(url(policy, "shadow_file"), query)
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    assert answer["Content-Disposition"].startswith('attachment; filename="shadow-search-trial-')
    content = b"".join(cast("Iterable[bytes]", answer.streaming_content)).decode("utf-8-sig")
    return list(csv.reader(content.splitlines()))


def test_the_file_has_every_client(desk: Desk, policy: Policy) -> None:
    minute = timezone.now().replace(minute=17, second=0, microsecond=0) - timedelta(hours=2)
    for number in range(60):
        would_deny(minute, f"client-{number:02}", 100 - number)
    would_deny(minute, "=1+1", 200)
    would_deny(minute + timedelta(minutes=30), "=1+1")
    header, first, second, *others = lines(desk, policy)
    assert header == [
        "client",
        "would_have_been_denied",
        "requests",
        "first_not_before",
        "first_before",
        "last_not_before",
        "last_before",
    ]
    day = f"{minute:%Y-%m-%dT%H}"
    assert first == ["'=1+1", "201", "2010", f"{day}:17Z", f"{day}:18Z", f"{day}:47Z", f"{day}:48Z"]
    assert second == ["client-00", "100", "1000", f"{day}:17Z", f"{day}:18Z", f"{day}:17Z", f"{day}:18Z"]
    assert [line[0] for line in others] == [f"client-{number:02}" for number in range(1, 60)]
    assert [line[0] for line in lines(desk, policy, q="client-07")[1:]] == ["client-07"]


def test_a_policy_that_is_not_in_shadow_mode_says_so_and_shows_what_was_recorded(desk: Desk, policy: Policy) -> None:
    assert "In shadow mode since" in report(desk, policy)["state"]
    would_deny(timezone.now(), requests=7)
    for mode, words in ((Mode.ENFORCE, "denies requests over its limits"), (Mode.DISABLED, "disabled")):
        Policy.objects.filter(pk=policy.pk).update(mode=mode)
        page = desk.open(url(policy))
        assert f"This policy is not in shadow mode: it {'is ' if mode == Mode.DISABLED else ''}{words}" in page.text
        assert listed(page.response.context) == [("acme", 7, 70)]
        assert "Enforce now" not in page.text


def test_the_page_says_since_when_the_policy_is_in_shadow_mode(desk: Desk, policy: Policy) -> None:
    policy.mode = "enforce"
    policy.save()
    policy.mode = "shadow"
    policy.save()
    policy.save()
    policy.history.filter(history_id=policy.history.order_by("history_id")[2].history_id).update(
        history_date=datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
    )
    assert report(desk, policy)["state"].startswith("In shadow mode since 1 Mar 2026, 12:30 UTC:")
    policy.history.all().delete()
    assert report(desk, policy)["state"].startswith("In shadow mode: requests over the limits")


def test_without_denials_the_page_says_what_is_missing(desk: Desk, policy: Policy) -> None:
    Progress.objects.filter(work=Work.DRAIN).delete()
    assert "No usage has been read from Redis yet." in report(desk, policy)["missing"]
    assert ask("acme", 2, "orders") == 2
    assert "There were no requests on the endpoint “Search” in the last 24 hours." in report(desk, policy)["missing"]
    assert ask("acme", 2) == 2
    assert "There were 2 requests on the endpoint “Search”" in report(desk, policy)["missing"]
    week = {"since": "2026-02-01", "until": "2026-02-07"}
    assert "only: choose later days." in report(desk, policy, **week)["missing"]
    Policy.objects.filter(pk=policy.pk).update(starts_at=datetime(2099, 1, 1, tzinfo=UTC))
    assert "it applies from 1 Jan 2099, 00:00 UTC" in report(desk, policy)["missing"]
    Policy.objects.filter(pk=policy.pk).update(mode="enforce")
    assert "set its mode to shadow" in report(desk, policy)["missing"]
    everything = Policy.objects.get(slug="all")
    Policy.objects.filter(pk=everything.pk).update(mode="shadow")
    assert "There were 4 requests on any endpoint" in report(desk, everything)["missing"]


def test_the_page_is_linked_from_the_policy_and_from_the_list(desk: Desk, policy: Policy) -> None:
    everything = Policy.objects.get(slug="all")
    text = desk.list(Policy).text
    assert (url(policy) in text, url(everything) in text) == (True, False)
    assert url(policy) in desk.open(reverse("admin:limits_policy_change", args=[policy.pk])).text


def enforce(desk: Desk, policy: Policy) -> Page:
    return Page(desk.client.post(url(policy, "enforce"), follow=True))


def test_enforce_now_is_reviewed_and_then_denies(desk: Desk, policy: Policy, shop: Platform) -> None:
    assert ask("acme", 3) == 3
    assert url(policy, "enforce") in desk.open(url(policy)).text
    review = enforce(desk, policy)
    assert review.is_review
    assert "shadow" in review.text
    assert Policy.objects.get(pk=policy.pk).mode == "shadow"
    page = desk.confirm(review, "A week without surprises.")
    publication = Publication.objects.latest("sequence")
    assert f"Version {publication.sequence} is live on every server." in page.messages
    assert (publication.reason, publication.author) == ("A week without surprises.", "ada")
    assert {each.slug: each.mode for each in shop.ruleset.policies}["search-trial"] == Mode.ENFORCE
    latest = policy.history.latest()
    assert (latest.mode, latest.history_change_reason, latest.history_user.username) == (
        "enforce",
        "A week without surprises.",
        "ada",
    )
    assert page.response.wsgi_request.path == url(policy)
    assert listed(page.response.context) == [("acme", 1, 3)]
    assert ask("globex", 5) == 2
    assert "is not in shadow mode." in enforce(desk, policy).messages[0]
    assert Publication.objects.count() == publication.sequence


def test_in_a_draft_the_mode_is_changed_in_the_draft(desk: Desk, policy: Policy, ada: User, shop: Platform) -> None:
    draft = start("Trial", Actor.of(ada))
    session = desk.client.session
    session["draft"] = draft.pk
    session.save()
    would_deny(timezone.now(), requests=7)
    assert listed(report(desk, policy)) == [("acme", 7, 70)]
    page = enforce(desk, policy)
    assert page.messages == ["Saved in the draft “Trial”. Nothing of it is live yet."]
    assert "it denies requests over its limits" in page.text
    draft.refresh_from_db()
    assert [(edit.path, edit.before) for edit in draft.list_of_edits] == [
        (("policies", "search-trial", "mode"), "shadow")
    ]
    assert (shop.sequence, Policy.objects.get(pk=policy.pk).mode) == (2, "shadow")
    assert len(lines(desk, policy)) == 2


def test_a_get_enforces_nothing(desk: Desk, policy: Policy) -> None:
    assert desk.client.get(url(policy, "enforce"))["Location"] == url(policy)
    assert Policy.objects.get(pk=policy.pk).mode == "shadow"


def test_an_unconfirmed_review_changes_nothing(desk: Desk, policy: Policy, shop: Platform) -> None:
    page = Page(desk.client.post(url(policy, "enforce"), {"_confirm": "1", "why": "", "reviewed_version": "3"}))
    assert page.is_review
    assert shop.sequence == 2
    assert Policy.objects.get(pk=policy.pk).mode == "shadow"


def test_the_review_warns_while_the_emergency_switch_is_on(desk: Desk, policy: Policy) -> None:
    words = "While the emergency switch is on, this policy denies nothing."
    assert words not in enforce(desk, policy).text
    PlatformRow.objects.filter(pk=PlatformRow.load().pk).update(shadow_all=True)
    assert words in enforce(desk, policy).text


def member(*permissions: str, role: str = "") -> Desk:
    create_roles(Group.objects, Permission.objects)
    user = User.objects.create_user("grace", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    if role:
        user.groups.add(Group.objects.get(name=role))
    return desk_of(user)


def test_viewers_see_the_report_without_the_button(policy: Policy, shop: Platform) -> None:
    would_deny(timezone.now(), requests=7)
    viewer = member(role="Viewers")
    page = viewer.open(url(policy))
    assert listed(page.response.context) == [("acme", 7, 70)]
    assert "Enforce now" not in page.text
    assert len(lines(viewer, policy)) == 2
    assert url(policy) in viewer.open(reverse("admin:limits_policy_change", args=[policy.pk])).text
    for answer in (viewer.client.get(url(policy, "enforce")), viewer.client.post(url(policy, "enforce"))):
        assert answer.status_code == 403
        assert "change policies" in answer.content.decode()
    assert shop.sequence == 2


def test_product_managers_may_enforce(policy: Policy, shop: Platform) -> None:
    manager = member(role="Product managers")
    assert "Enforce now" in manager.open(url(policy)).text
    manager.confirm(enforce(manager, policy))
    assert Policy.objects.get(pk=policy.pk).mode == "enforce"
    assert shop.sequence == 3


@pytest.mark.parametrize("permission", ["view_policy", "view_policydenial"])
def test_the_report_needs_the_permissions_for_policies_and_for_denials(policy: Policy, permission: str) -> None:
    somebody = member(permission)
    assert somebody.client.get(url(policy)).status_code == 403
    assert somebody.client.get(url(policy, "shadow_file")).status_code == 403


@pytest.mark.parametrize(
    ("time", "length", "words"),
    [
        (timedelta(hours=14, minutes=31), timedelta(minutes=1), "28 Nov 2026, 14:31"),
        (timedelta(hours=23), timedelta(hours=1), "28 Nov 2026, 23:00 to 00:00"),
        (timedelta(0), DAY, "28 Nov 2026"),
    ],
)
def test_times_are_named_with_their_bounds(time: timedelta, length: timedelta, words: str) -> None:
    begin = datetime(2026, 11, 28, tzinfo=UTC) + time
    assert in_words(Between(begin, begin + length)) == words


def test_a_registered_client_is_linked(desk: Desk, policy: Policy) -> None:
    would_deny(timezone.now())
    would_deny(timezone.now(), "globex")
    assert [bool(row.pk) for row in report(desk, policy)["clients"].rows] == [True, False]
    assert reverse("admin:limits_client_change", args=[Client.objects.get().pk]) in desk.open(url(policy)).text
