"""Emails and webhooks about change sets, over real SMTP and HTTP."""

import json
from email.message import EmailMessage

import pytest
from django.contrib.auth.models import Group, Permission, User
from pytest_django import Settings
from standardwebhooks.webhooks import Webhook

from limits.changes.conflicts import report_conflicts
from limits.changes.lifecycle import Actor, approve, rebase, resolve, send_back, start, submit
from limits.changes.publication import publish
from limits.domain.edits import Edit
from limits.models import ChangeSet, Message
from limits.models.roles import create_roles
from limits.monitoring.delivery import send_due
from ratelimit_enforcer.domain.enums import Channel
from tests.configfile.files import put
from tests.publishing.platforms import Platform
from tests.support.hooks import HookServer, hooks
from tests.support.smtp import Mailbox, mailbox

__all__ = ["hooks", "mailbox"]

pytestmark = pytest.mark.django_db

LIVE = """
plans: [{slug: free, default: true}]
endpoints: [{slug: search}]
policies:
  - {slug: search, endpoint: search, limits: [{quota: 10, window: 3600}]}
  - {slug: total, limits: [{quota: 1000, window: 86400}]}
"""
SECRET = "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVowMTIzNDU="
QUOTA = ("policies", "search", "limits", "3600s", "quota")


@pytest.fixture(autouse=True)
def published(platform: Platform, settings: Settings, mailbox: Mailbox) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", mailbox.port
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"PUBLIC_URL": "https://limits.example.com/"}
    put(LIVE)


@pytest.fixture
def ann() -> User:
    return User.objects.create_user("ann", "ann@example.com", is_staff=True)


@pytest.fixture
def bob() -> User:
    """May approve changes, as a product manager."""
    bob = User.objects.create_user("bob", "bob@example.com", is_staff=True)
    create_roles(Group.objects, Permission.objects)
    bob.groups.add(Group.objects.get(name="Product managers"))
    return bob


def draft(author: User, quota: int = 20, name: str = "Sale") -> ChangeSet:
    return start(name, Actor.of(author), [Edit(QUOTA, 10, quota)], "Spring <2027>")


def send(expected: int, mailbox: Mailbox) -> dict[str, EmailMessage]:
    """Sends what is due. Returns address → email."""
    assert send_due(Channel.MAIL) == expected
    return {mail["To"]: mail for mail in (mailbox.next() for _ in range(expected))}


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    part = mail.get_body((kind,))
    assert part
    return str(part.get_content()).replace("\r\n", "\n")


def test_everybody_who_may_approve_is_asked_by_email(ann: User, bob: User, mailbox: Mailbox) -> None:
    permission = Permission.objects.get(codename="approve_change")
    cora = User.objects.create_user("cora", "cora@example.com", is_staff=True)
    cora.user_permissions.add(permission)
    ann.user_permissions.add(permission)
    for name, fields in {
        "left": {"email": "left@example.com", "is_active": False, "is_staff": True},
        "silent": {"email": "", "is_staff": True},
        "outside": {"email": "outside@example.com", "is_staff": False},
    }.items():
        User.objects.create_user(name, **fields).user_permissions.add(permission)
    User.objects.create_user("dan", "dan@example.com", is_staff=True)
    change = draft(User.objects.get(pk=ann.pk))
    submit(change)
    mails = send(2, mailbox)
    assert set(mails) == {"bob@example.com", "cora@example.com"}
    mail = mails["bob@example.com"]
    assert mail["Subject"] == "Approval requested: Sale"
    url = f"https://limits.example.com/admin/limits/changeset/{change.pk}/change/"
    for line in (
        "ann asks for the approval of this change set.",
        "Author: ann\nReason: Spring <2027>",
        "- Policy search, limits: 10 per hour → 20 per hour.",
        f"Change set: {url}",
    ):
        assert line in text_of(mail)
    assert f'<a href="{url}"' in text_of(mail, "html")
    assert "Spring &lt;2027&gt;" in text_of(mail, "html")


def test_an_email_names_many_differences_only_in_part(ann: User, bob: User, mailbox: Mailbox) -> None:
    edits = [Edit(("plans", f"p{number}"), None, {"slug": f"p{number}"}) for number in range(60)]
    submit(start("Sale", Actor.of(ann), edits))
    assert "\nand 10 more.\n" in text_of(send(1, mailbox)["bob@example.com"])


def test_webhooks_are_called_too(ann: User, settings: Settings, hooks: HookServer) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {
        "APPROVAL_WEBHOOKS": [hooks.url],
        "WEBHOOK_SECRET": SECRET,
        "WEBHOOK_ALLOWED_NETWORKS": ["127.0.0.0/8"],
    }
    change = draft(ann)
    submit(change)
    assert send_due(Channel.WEBHOOK) == 1
    received = hooks.next()
    Webhook(SECRET).verify(received.body, received.headers)
    body = json.loads(received.body)
    assert body.pop("id")
    assert body.pop("timestamp")
    assert body == {
        "type": "change.requested",
        "subject": "Approval requested: Sale",
        "change": {
            "id": change.pk,
            "name": "Sale",
            "author": "ann",
            "reason": "Spring <2027>",
            "state": "awaiting",
            "url": f"https://limits.example.com/admin/limits/changeset/{change.pk}/change/",
        },
        "differences": ["Policy search, limits: 10 per hour → 20 per hour."],
    }


def test_the_author_is_told_of_the_decision(ann: User, bob: User, mailbox: Mailbox) -> None:
    change = draft(ann)
    submit(change)
    send(1, mailbox)
    approve(change, bob)
    mail = send(1, mailbox)["ann@example.com"]
    assert mail["Subject"] == "Approved: Sale"
    assert "bob approved this change set." in text_of(mail)
    send_back(change, bob)
    mail = send(1, mailbox)["ann@example.com"]
    assert mail["Subject"] == "Sent back: Sale"
    assert "bob made this change set a draft again." in text_of(mail)
    submit(change)
    send(1, mailbox)
    send_back(change, ann)
    assert send_due(Channel.MAIL) == 0


def test_a_change_set_without_a_user_has_nobody_to_tell(bob: User) -> None:
    change = start("Sale", Actor("deploy"), [Edit(QUOTA, 10, 20)])
    submit(change)
    approve(change, bob)
    assert list(Message.objects.values_list("kind", flat=True)) == ["requested"]


def test_the_author_of_the_second_draft_of_one_limit_is_notified(ann: User, bob: User, mailbox: Mailbox) -> None:
    first, second = draft(bob, 15, "First"), draft(ann, 20, "Second")
    assert report_conflicts() == 0
    publish(first, Actor.of(bob))
    assert report_conflicts() == 1
    mail = send(1, mailbox)["ann@example.com"]
    assert mail["Subject"] == "Conflict: Second"
    assert "The newest version is 2, by bob." in text_of(mail)
    assert "- Policy search, limit 15 per hour, quota: your draft from 10 to 20, now 15." in text_of(mail)
    second.refresh_from_db()
    assert second.list_of_edits == [Edit(QUOTA, 10, 20)]
    assert report_conflicts() == 0


def test_a_conflict_is_reported_once_and_another_one_again(ann: User) -> None:
    change = draft(ann)
    put(LIVE.replace("quota: 10,", "quota: 15,"))
    assert report_conflicts() == 1
    put(LIVE.replace("quota: 10,", "quota: 15,").replace("1000", "2000"))
    assert report_conflicts() == 0
    put(LIVE.replace("quota: 10,", "quota: 16,"))
    assert report_conflicts() == 1
    (conflict,) = rebase(ChangeSet.objects.get())
    resolve(change, conflict, keep=True)
    put(LIVE.replace("quota: 10,", "quota: 17,"))
    assert report_conflicts() == 1
    assert set(Message.objects.values_list("kind", "destination")) == {("conflict", "ann@example.com")}


def test_a_publication_elsewhere_is_no_conflict(ann: User) -> None:
    draft(ann)
    put(LIVE.replace("1000", "2000"))
    assert report_conflicts() == 0
    assert not Message.objects.exists()
