"""A change of rows by a program: published, tried without effect, or proposed."""

from threading import Event, Thread

import pytest
from django.contrib.auth.models import User
from django.db import connections, transaction
from pytest_django import Settings

from limits.changes.lifecycle import Actor
from limits.changes.writing import write, write_document
from limits.configfile.document import read
from limits.models import Block, ChangeSet, Client, Override, Plan, Policy, Publication
from limits.publishing import rules
from tests.configfile.files import everything
from tests.models import rows
from tests.publishing.platforms import Platform
from tests.support.locks import somebody_waits
from tests.support.waiting import wait_until

pytestmark = pytest.mark.django_db

FEWER = "policies: [{slug: all, limits: [{quota: 5, window: 60}]}]"
SENTENCE = "Policy all, limits: 100 per minute → 5 per minute."
TOKEN = Actor("token deploy")


def quotas() -> list[int]:
    return [limit.quota for limit in Policy.objects.get(slug="all").limits.all()]


def test_a_document_is_published_by_its_author(shop: Platform) -> None:
    ann = User.objects.create_user("ann")
    written = write_document(read(FEWER), Actor("token deploy", ann), "Fewer.")
    assert (written.differences, written.change) == ([SENTENCE], None)
    assert written.publication == Publication.objects.first()
    assert [(row.author, row.user, row.reason) for row in Publication.objects.all()[:1]] == [
        ("token deploy", ann, "Fewer.")
    ]
    record = Policy.objects.get(slug="all").limits.get().history.get()
    assert (record.history_user, record.history_change_reason) == (ann, "token deploy")


def test_a_dry_run_and_a_failed_precondition_change_nothing(shop: Platform) -> None:
    before = everything(shop)
    written = write_document(read(f"{FEWER}\nplans: []"), TOKEN, "", prune=False, dry_run=True)
    assert (written.differences, written.publication) == ([SENTENCE], None)
    with pytest.raises(RuntimeError):
        write_document(read(FEWER), TOKEN, "", precondition=_fail)
    assert everything(shop) == before


def _fail() -> None:
    raise RuntimeError


def test_rules_are_proposed_once_and_blocks_need_no_approval(shop: Platform, settings: Settings) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"APPROVAL_REQUIRED": True}
    found = [write_document(read(FEWER), TOKEN, "Fewer.").change for _ in range(2)]
    assert found == [ChangeSet.objects.get()] * 2
    assert (quotas(), Publication.objects.count()) == ([100], 1)
    blocked = write(lambda: rows.block(client_key="bad"), TOKEN, "Abuse.")
    assert (blocked.change, blocked.publication is not None, Block.objects.count()) == (None, True, 1)
    alone = write_document(read(FEWER), Actor("token ci", publishes_alone=True), "")
    assert (alone.change, quotas()) == (None, [5])


@pytest.mark.django_db(transaction=True)
def test_locked_tables_are_not_written_meanwhile(shop: Platform) -> None:
    """An override changes no rules, so the lock of publications does not exclude it."""
    row = rows.override(Client.objects.get(key="acme"), Policy.objects.get(slug="all"))
    order: list[str] = []
    done = Event()

    def change() -> None:
        Thread(target=other).start()
        wait_until(somebody_waits)
        order.append("ours")

    def other() -> None:
        Override.objects.filter(pk=row.pk).update(reason="Other")
        order.append("theirs")
        connections.close_all()
        done.set()

    write(change, TOKEN, "", tables=(Override,))
    assert done.wait(30)
    assert order == ["ours", "theirs"]


@pytest.mark.django_db(transaction=True)
def test_a_write_does_not_deadlock_with_a_save(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """A save of the admin writes rows first, and takes the lock of publications last."""
    saved, locked, done = Event(), Event(), Event()
    lock = rules.lock_publications

    def other() -> None:
        with transaction.atomic():
            Policy.objects.filter(slug="all").update(name="Theirs")
            saved.set()
            locked.wait(1)
            lock()
        connections.close_all()
        done.set()

    def ours() -> None:
        row = Policy.objects.get(slug="all")
        row.name += " and ours"
        row.save()

    monkeypatch.setattr(rules, "lock_publications", lambda: (locked.set(), lock())[1])
    Thread(target=other).start()
    assert saved.wait(30)
    write(ours, TOKEN, "")
    assert done.wait(30)
    assert Policy.objects.get(slug="all").name == "Theirs and ours"


def test_what_is_remembered_is_part_of_the_transaction(shop: Platform) -> None:
    with pytest.raises(RuntimeError):
        write(lambda: rows.plan("new"), TOKEN, "", remember=lambda written: _fail())
    assert not Plan.objects.filter(slug="new").exists()
    with transaction.atomic():
        write(lambda: rows.plan("new"), TOKEN, "", dry_run=True, remember=lambda written: _fail())
    assert not Plan.objects.filter(slug="new").exists()
