"""Messages about change sets: to those who may approve them, and to their authors.

They are written to the outbox in the transaction that changes the change set, and sent within seconds.
"""

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.contrib.auth.models import User
from django.db.models import QuerySet
from django.utils import timezone

from limits.models import ChangeSet, NotificationChannel
from limits.monitoring.outbox import MAX_SUBJECT, Draft, put, url_of
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.enums import Channel, MessageKind

MAX_LINES = 50
"""Maximum number of differences in an email."""

_SUBJECTS = {
    MessageKind.REQUESTED: "Approval requested",
    MessageKind.APPROVED: "Approved",
    MessageKind.SENT_BACK: "Sent back",
    MessageKind.CONFLICT: "Conflict",
    MessageKind.WITHDRAWN: "Withdrawn",
}


def approvers(excluded: Collection[int | None] = ()) -> QuerySet[User]:
    """The users who may approve changes, and have an email address. ``excluded``: primary keys of users whose own
    change it is."""
    found = User.objects.with_perm("limits.approve_change", backend="django.contrib.auth.backends.ModelBackend")
    return found.filter(is_staff=True).exclude(email="").exclude(pk__in=[pk for pk in excluded if pk]).order_by("pk")


def request_approval(change: ChangeSet, differences: Iterable[object], editors: Collection[int | None]) -> int:
    """Asks everybody who may approve the change set, and calls the webhooks and channels. ``differences``: in
    words; ``editors``: primary keys of users who may not approve it. Returns the number of messages."""
    what = f"{change.author} asks for the approval of this change set."
    draft = _draft(change, MessageKind.REQUESTED, what, list(map(str, differences)))
    mails = [(Channel.MAIL, user.email) for user in approvers(editors)]
    webhooks = [(Channel.WEBHOOK, url) for url in setting("APPROVAL_WEBHOOKS")]
    channels = NotificationChannel.objects.filter(approvals=True).values_list("slug", flat=True)
    recipients = [*mails, *webhooks, *((Channel.SERVICE, slug) for slug in channels)]
    for channel, destination in recipients:
        put(draft, channel, destination, timezone.now())
    return len(recipients)


def tell_author(
    change: ChangeSet, kind: MessageKind, what: str, lines: Sequence[str] = (), *, actor: User | None = None
) -> bool:
    """Sends an email to the author, unless ``actor`` is the author. ``what``: a sentence. Returns whether there is an
    active author with an email address."""
    author = change.user
    if author is None or author == actor or not author.is_active or not author.email:
        return False
    put(_draft(change, kind, what, lines), Channel.MAIL, author.email, timezone.now())
    return True


def _draft(change: ChangeSet, kind: MessageKind, what: str, lines: Sequence[str]) -> Draft:
    subject = f"{_SUBJECTS[kind]}: {change}"[:MAX_SUBJECT]
    context = {
        "subject": subject,
        "change": change,
        "what": what,
        "lines": lines[:MAX_LINES],
        "more": len(lines) - MAX_LINES,
        "url": url_of("admin:limits_changeset_change", change.pk),
    }
    payload = partial(_payload, change, kind, context, lines, timezone.now())
    return Draft(kind, subject, "change", context, payload, {"url": context["url"]})


def _payload(
    change: ChangeSet,
    kind: MessageKind,
    context: dict[str, Any],
    differences: Sequence[str],
    now: datetime,
    name: uuid.UUID,
) -> dict[str, Any]:
    return {
        "type": f"change.{kind.value}",
        "id": str(name),
        "timestamp": now.isoformat(),
        "subject": context["subject"],
        "change": {
            "id": change.pk,
            "name": change.name,
            "author": change.author,
            "reason": change.reason,
            "state": change.state,
            "url": context["url"],
        },
        "differences": list(differences),
    }
