"""The outbox: messages are written to it in the transaction that they report on, and sent from there."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse

from limits.models import Message
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.enums import Channel, MessageKind

MAX_SUBJECT = 200


@dataclass(frozen=True, slots=True)
class Draft:
    """A message before it has a recipient. ``template``: in ``limits/mail`` and ``limits/service``, without its ending;
    ``payload`` returns the JSON of a webhook for the id of the message; ``event`` has the fields of
    :class:`limits.monitoring.services.Event`."""

    kind: MessageKind
    subject: str
    template: str
    context: dict[str, Any]
    payload: Callable[[uuid.UUID], dict[str, Any]]
    event: dict[str, Any]


def put(draft: Draft, channel: Channel, destination: str, now: datetime) -> Message:
    """Writes a message to the outbox, and returns it. ``destination`` is an email address, a URL or
    the slug of a notification channel."""
    name = uuid.uuid4()
    message = Message(
        channel=channel.value,
        kind=draft.kind.value,
        destination=destination,
        message_id=f"<{name}@{_domain()}>",
        subject=draft.subject,
        created_at=now,
        next_attempt_at=now,
    )
    if channel is Channel.MAIL:
        message.text = render_to_string(f"limits/mail/{draft.template}.txt", draft.context)
        message.html = render_to_string(f"limits/mail/{draft.template}.html", draft.context)
    elif channel is Channel.SERVICE:
        message.text = render_to_string(f"limits/service/{draft.template}.txt", draft.context).strip()
        message.payload = draft.event
    else:
        message.payload = draft.payload(name)
    message.save()
    return message


def url_of(name: str, *arguments: object) -> str:
    """The address of a page of the admin, for people who are not there."""
    return str(setting("PUBLIC_URL")).rstrip("/") + reverse(name, args=arguments)


def _domain() -> str:
    return parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2] or "localhost"
