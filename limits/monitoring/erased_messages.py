"""Erasing a client from messages: those that were sent go; those that wait are written again without it."""

import json
import re
from collections.abc import Collection, Iterator
from urllib.parse import quote, quote_plus

from django.db.models import Q, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.html import escape

from limits.domain.words import Channel, MessageKind
from limits.models import Alert, Message
from limits.monitoring.messages import write_digest, write_message

_FIELDS = ("subject", "text", "html", "content")


class Mention:
    """Finds a client's key in text, as mails, pages, JSON and URLs write it: as a whole, and not as a part
    of a longer key."""

    def __init__(self, client: str) -> None:
        self.spellings = set(_spellings(client))
        alternatives = "|".join(map(re.escape, self.spellings))
        self._pattern = re.compile(rf"(?<![\w.@:/+-])(?:{alternatives})(?![\w@:/+-])")

    def is_in(self, *texts: str) -> bool:
        return any(self._pattern.search(text) for text in texts)


def _spellings(client: str) -> Iterator[str]:
    yield client
    yield escape(client)
    yield json.dumps(client)[1:-1]
    yield json.dumps(client, ensure_ascii=False)[1:-1]
    yield quote(client)
    yield quote_plus(client)


def erase_messages(client: str, alerts: Collection[int]) -> None:
    """Removes the messages about these alerts, and those that name the client. What waits to be sent
    and is about other alerts as well is written again, from figures that no longer name the client."""
    for message in list(_naming(client, alerts)):
        if message.next_attempt_at is not None and message.sent_at is None:
            _write_again(message, alerts)
        message.delete()


def _naming(client: str, alerts: Collection[int]) -> Iterator[Message]:
    mention = Mention(client)
    about = set(Message.objects.filter(alerts__in=alerts).values_list("pk", flat=True))
    condition = Q(pk__in=about)
    for spelling in mention.spellings:
        for field in _FIELDS:
            condition |= Q(**{f"{field}__contains": spelling})
    for message in Message.objects.annotate(content=Cast("payload", TextField())).filter(condition):
        if message.pk in about or mention.is_in(*(getattr(message, field) for field in _FIELDS)):
            yield message


def _write_again(message: Message, erased: Collection[int]) -> None:
    others = list(message.alerts.exclude(pk__in=erased).select_related("rule"))
    channel, destination, now = Channel(message.channel), message.destination, timezone.now()
    if len(others) > 1:
        write_digest(channel, destination, others, _what_happened(others), now)
    elif others:
        kind = MessageKind(message.kind)
        kind = _what_happened(others) if kind is MessageKind.DIGEST else kind
        write_message(channel, destination, others[0], kind, now)


def _what_happened(alerts: Collection[Alert]) -> MessageKind:
    """A digest does not say what all of its alerts have in common; their states do."""
    resolved = all(alert.resolved_at is not None for alert in alerts)
    return MessageKind.RESOLVED if resolved else MessageKind.OPENED
