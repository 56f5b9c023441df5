"""Erasing what the database holds of a client beside its usage: alerts, history, imports, registration."""

import csv
from collections.abc import Iterable
from io import StringIO
from typing import Any

from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db.models import Model

from limits.domain.words import GroupBy
from limits.models import Alert, AlertRule, Client, ClientImport, CounterReset, Override, OverrideLimit
from limits.monitoring.erased_messages import Mention, erase_messages

_REFUSED = "The file named a client that was erased. Upload it again without that client."


def erase_alerts(client: str) -> int:
    """Removes the rules that look at this client alone, and the alerts and messages about it. Returns
    how many alerts."""
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
    """Removes the records of resets. Returns how many."""
    resets = CounterReset.objects.filter(client_key=client)
    _erase_log(CounterReset, resets.values_list("pk", flat=True))
    return resets.delete()[0]


def erase_imports(client: str) -> int:
    """Takes the client out of what imports show; a file that still waits and names it is refused.
    Returns how many imports that changed."""
    return sum(_erase_from(row, client) for row in ClientImport.objects.iterator(chunk_size=1))


def erase_registration(client: str) -> bool:
    """Removes the client with its overrides, their history and the admin's log of them. Returns
    whether it was registered."""
    registered = Client.objects.filter(key=client).delete()[0] > 0
    clients = _ids(Client.history.filter(key=client))
    overrides = _ids(Override.history.filter(client_id__in=clients))
    _erase_log(Client, clients)
    _erase_log(Override, overrides)
    OverrideLimit.history.filter(override_id__in=overrides).delete()
    Override.history.filter(id__in=overrides).delete()
    Client.history.filter(id__in=clients).delete()
    return registered


def _ids(history: Any) -> list[int]:
    return list(history.order_by().values_list("id", flat=True).distinct())


def _erase_log(model: type[Model], keys: Iterable[object]) -> None:
    """The admin's own log repeats names."""
    content_type = ContentType.objects.get_for_model(model)
    LogEntry.objects.filter(content_type=content_type, object_id__in=map(str, keys)).delete()


def _erase_from(row: ClientImport, client: str) -> bool:
    mention = Mention(client)
    examples = [example for example in row.examples if example["key"] != client]
    problems = [problem for problem in row.problems if not mention.is_in(problem["message"])]
    named = _names(row.content, client)
    if named:
        row.content, row.state = "", ClientImport.State.REFUSED
        problems = [{"line": 1, "message": _REFUSED}]
    if (examples, problems) == (row.examples, row.problems) and not named:
        return False
    row.examples, row.problems = examples, problems
    row.save(update_fields=["content", "state", "examples", "problems"])
    return True


def _names(content: str, client: str) -> bool:
    """Whether a field of the file is this key."""
    files = ((StringIO(content, newline=""), delimiter) for delimiter in ",;")
    return any(client in row for file, delimiter in files for row in csv.reader(file, delimiter=delimiter))
