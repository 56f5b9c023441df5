"""Erasing a client: counts stay in the totals, without the client's name.

Besides usage, this covers unsettled reservations, alerts, history, imports and the registration. Messages that were
sent are removed; pending ones are rewritten without the client.
"""

import csv
import json
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from io import StringIO
from typing import Any
from urllib.parse import quote, quote_plus

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model, Q, TextField
from django.db.models.functions import Cast
from django.utils import timezone
from django.utils.html import escape

from limits.domain.client_csv import DELIMITERS, unescape_formula
from limits.domain.descriptions import quantity
from limits.models import (
    Alert,
    AlertRule,
    Block,
    Client,
    ClientImport,
    CounterReset,
    Grant,
    LateCount,
    Message,
    Override,
    OverrideLimit,
    Publication,
    QuotaPeak,
    QuotaReading,
    RecordedClient,
    SimulatedClient,
)
from limits.models.trees import keys_of_ancestors
from limits.monitoring.drain import drain
from limits.monitoring.grants import grant_writer
from limits.monitoring.messages import write_digest, write_message
from limits.monitoring.statements import Statements
from limits.store.client import control_client
from limits.store.open_reservations import ClientReservations
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.enums import Channel, GroupBy, MessageKind
from ratelimit_enforcer.store.keys import Keys, shard_of

_REJECTED = "The file named a client that was erased. Upload it again without that client."


def erase_alerts(client: str) -> int:
    """Removes the rules for this client only, and the alerts and messages about it. Returns the number of
    alerts."""
    rules = AlertRule.objects.filter(client_key=client)
    about = Alert.objects.filter(rule__in=rules) | Alert.objects.filter(
        group=client, rule__group_by=GroupBy.CLIENT.value
    )
    alerts = list(about.distinct().values_list("pk", flat=True))
    erase_messages(client, alerts)
    _erase_log(Alert, alerts)
    Alert.objects.filter(pk__in=alerts).delete()
    _erase_log(AlertRule, rules.values_list("pk", flat=True))
    rules.delete()
    AlertRule.history.filter(client_key=client).delete()
    return len(alerts)


def erase_resets(client: str) -> int:
    """Removes the records of counter resets. Returns their number."""
    resets = CounterReset.objects.filter(client_key=client)
    _erase_log(CounterReset, resets.values_list("pk", flat=True))
    return resets.delete()[0]


def erase_imports(client: str) -> int:
    """Removes the client from the details that imports show; a pending file that names the client is rejected.
    Returns the number of imports changed."""
    return sum(_erase_from(row, client) for row in ClientImport.objects.iterator(chunk_size=1))


def erase_simulations(client: str) -> None:
    """Removes the client from the results of simulations. The sums of all clients stay."""
    SimulatedClient.objects.filter(client_key=client).delete()


def erase_quotas(client: str) -> None:
    """Removes the readings and the monthly peaks of the client's limits."""
    QuotaReading.objects.filter(client_key=client).delete()
    QuotaPeak.objects.filter(client_key=client).delete()


def erase_registration(client: str) -> bool:
    """Removes the client with its overrides and grants, their history and their entries in the admin log. Returns
    whether the client was registered."""
    registered = Client.objects.filter(key=client).delete()[0] > 0
    clients = _ids(Client.history.filter(key=client))
    overrides = _ids(Override.history.filter(client_id__in=clients))
    _erase_log(Client, clients)
    _erase_log(Override, overrides)
    OverrideLimit.history.filter(override_id__in=overrides).delete()
    Override.history.filter(id__in=overrides).delete()
    grants = _ids(Grant.history.filter(client_id__in=clients))
    _erase_log(Grant, grants)
    Grant.history.filter(id__in=grants).delete()
    Client.history.filter(id__in=clients).delete()
    return registered


def erase_stored_grants(client: str) -> None:
    """Removes what is stored of the client's grants from the store. Raises
    :class:`~ratelimit_enforcer.store.errors.StoreUnavailable`."""
    ancestors = keys_of_ancestors(Client.objects.filter(key=client)).values()
    roots = {client, *(keys[-1] for keys in ancestors if keys)}
    grant_writer().erase(client, map(shard_of, roots))


def erase_recorded_plans(client: str) -> None:
    """Removes the recorded plans, tags and trees of the client, and its name where it was the root of others."""
    RecordedClient.objects.filter(client_key=client).delete()
    RecordedClient.objects.filter(root=client).update(root="")


def erase_block(client: str) -> bool:
    """Removes the block of the client's key with its history and its entries in the admin log. Returns whether there
    was one: then the rules have changed."""
    found = Block.objects.filter(client_key=client).delete()[0] > 0
    blocks = _ids(Block.history.filter(client_key=client))
    _erase_log(Block, blocks)
    Block.history.filter(id__in=blocks).delete()
    return found


def erase_from_publications(client: str) -> None:
    """Removes the block of the client's key from the content, the changes and the reasons of publications, which keep
    the digest of what was published. Call it once the newest publication has no such block any more: servers verify
    its digest."""
    item, sentence = f'"client":{_json(client)}', _json(f"Block of client {client}")[1:-1]
    publications = Publication.objects.annotate(sentences=Cast("changes", TextField()))
    mentions = Q(content__contains=item) | Q(sentences__contains=sentence) | Q(reason__contains=_named(client))
    for publication in publications.filter(mentions):
        _erase_from_publication(publication, client)


def _erase_from_publication(publication: Publication, client: str) -> None:
    content = json.loads(publication.content)
    if "blocks" in content:
        content["blocks"] = [block for block in content["blocks"] if block.get("client") != client]
    sentence = re.compile(rf"Block of client {re.escape(client)}( added|, end:|, reason:| removed)")
    publication.content = _json(content)
    publication.changes = [each for each in publication.changes if not sentence.match(each)]
    publication.reason = "" if _named(client) in publication.reason else publication.reason
    publication.save(update_fields=["content", "changes", "reason"])


def _json(value: Any) -> str:
    """Returns JSON as rulesets are serialized."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _named(client: str) -> str:
    return f"block “client {client}”"


def _ids(history: Any) -> list[int]:
    return list(history.order_by().values_list("id", flat=True).distinct())


def _erase_log(model: type[Model], keys: Iterable[object]) -> None:
    """Django's admin log contains the names of rows."""
    content_type = ContentType.objects.get_for_model(model)
    LogEntry.objects.filter(content_type=content_type, object_id__in=map(str, keys)).delete()


def _erase_from(row: ClientImport, client: str) -> bool:
    mention = KeyPattern(client)
    examples = [example for example in row.examples if example["key"] != client]
    problems = [problem for problem in row.problems if not mention.is_in(problem["message"])]
    named = _file_names(row.content, client)
    if named:
        row.content, row.state = "", ClientImport.State.REFUSED
        problems = [{"line": 1, "message": _REJECTED}]
    if (examples, problems) == (row.examples, row.problems) and not named:
        return False
    row.examples, row.problems = examples, problems
    row.save(update_fields=["content", "state", "examples", "problems"])
    return True


def _file_names(content: str, client: str) -> bool:
    """Whether a cell of the file is this key, as it is written or as an import reads it."""
    files = (csv.reader(StringIO(content, newline=""), delimiter=each) for each in DELIMITERS)
    return any(client in map(unescape_formula, row) for file in files for row in file)


_FIELDS = ("subject", "text", "html", "content")


class KeyPattern:
    """Finds a client's key in text as written in emails, pages, JSON and URLs: as a whole word, not as part
    of a longer key."""

    def __init__(self, client: str) -> None:
        self.spellings = set(_spellings(client))
        alternatives = "|".join(map(re.escape, self.spellings))
        self._pattern = re.compile(rf"(?<![\w.@:/+-])(?:{alternatives})(?![\w@:/+-])")

    def is_in(self, *texts: str) -> bool:
        """Whether one of the texts contains the key."""
        return any(self._pattern.search(text) for text in texts)


def _spellings(client: str) -> Iterator[str]:
    yield client
    yield escape(client)
    yield json.dumps(client)[1:-1]
    yield json.dumps(client, ensure_ascii=False)[1:-1]
    yield quote(client)
    yield quote_plus(client)


def erase_messages(client: str, alerts: Collection[int]) -> None:
    """Removes the messages about these alerts, and those that name the client. A pending message that is also
    about other alerts is rewritten, from figures that no longer name the client."""
    for message in list(_messages_naming(client, alerts)):
        if message.next_attempt_at is not None and message.sent_at is None:
            _rewrite(message, alerts)
        message.delete()


def _messages_naming(client: str, alerts: Collection[int]) -> Iterator[Message]:
    mention = KeyPattern(client)
    about = set(Message.objects.filter(alerts__in=alerts).values_list("pk", flat=True))
    condition = Q(pk__in=about)
    for spelling in mention.spellings:
        for field in _FIELDS:
            condition |= Q(**{f"{field}__contains": spelling})
    for message in Message.objects.annotate(content=Cast("payload", TextField())).filter(condition):
        if message.pk in about or mention.is_in(*(getattr(message, field) for field in _FIELDS)):
            yield message


def _rewrite(message: Message, erased: Collection[int]) -> None:
    others = list(message.alerts.exclude(pk__in=erased).select_related("rule"))
    channel, destination, now = Channel(message.channel), message.destination, timezone.now()
    if len(others) > 1:
        write_digest(channel, destination, others, _common_kind(others), now)
    elif others:
        kind = MessageKind(message.kind)
        kind = _common_kind(others) if kind is MessageKind.DIGEST else kind
        write_message(channel, destination, others[0], kind, now)


def _common_kind(alerts: Collection[Alert]) -> MessageKind:
    """A digest does not record what its alerts have in common; this is derived from their states."""
    resolved = all(alert.resolved_at is not None for alert in alerts)
    return MessageKind.RESOLVED if resolved else MessageKind.OPENED


ROWS_PER_STATEMENT = 5_000

_SQL = Statements("erasure")


@dataclass(frozen=True, slots=True)
class Erased:
    """The result: rows of usage that became part of “(other)”, alerts, resets, imports that named the client,
    whether the client was registered, whether a block named its key, and unsettled reservations."""

    rows: int
    alerts: int
    resets: int
    imports: int
    registered: bool
    blocked: bool = False
    reservations: int = 0


def erase(client: str, *, keep_registration: bool = False) -> Erased:
    """Removes all data that name a client from the database, and the client's unsettled reservations from the store.
    The counted requests stay in the totals, as part of “(other)”. Later requests of the client are counted again.

    ``keep_registration``: the client's row, the overrides, the block and their history stay. Otherwise the rules are to
    be published afterwards, if there was a block, and then :func:`erase_from_publications` called. Reasons that people
    typed are not searched. Raises :class:`~ratelimit_enforcer.store.errors.StoreUnavailable` before anything in the
    database is changed: reservations are removed and counts are drained first.
    """
    if not client:
        raise ValueError("The callers that were counted together have no name to erase.")
    children = Client.objects.filter(parent__key=client).count()
    if children and not keep_registration:
        number = quantity(children, "client")
        raise ValueError(f"“{client}” is the parent of {number}. Remove them first, or change their parent.")
    reservations = ClientReservations(control_client(), Keys(setting("NAMESPACE"))).erase(client)
    drain()
    if not keep_registration:
        erase_stored_grants(client)
    rows = sum(_erase_usage(statement, client) for statement in _SQL.by_name)
    with transaction.atomic():
        alerts, resets, imports = erase_alerts(client), erase_resets(client), erase_imports(client)
        erase_simulations(client)
        LateCount.objects.filter(client_key=client).update(client_key="")
        erase_quotas(client)
        registered = not keep_registration and erase_registration(client)
        if not keep_registration:
            erase_recorded_plans(client)
        blocked = not keep_registration and erase_block(client)
    return Erased(rows, alerts, resets, imports, registered, blocked, reservations)


def _erase_usage(statement: str, client: str) -> int:
    """Runs a statement until it changes no more rows. Returns the number of rows that it changed."""
    total = 0
    while changed := _SQL.number(statement, client=client, count=ROWS_PER_STATEMENT):
        total += changed
    return total
