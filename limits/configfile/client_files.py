"""Clients as a CSV file: checked as a whole, imported in steps, exported line by line.

The first line names the columns, in any order: ``key``, and any of ``name``, ``plan``, ``status``, ``tags``
(separated by spaces) and ``parent`` (a key). A missing column leaves the present value; an empty plan is the default
plan, an empty status is active, and an empty cell of tags or parent removes them. A step that is killed is repeated:
rows that it imported already are then unchanged.
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice

import structlog
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from limits.configfile.client_file_parents import FileParents, place_new_clients
from limits.domain.client_csv import InvalidClientFile, Line, format_lines, parse_lines
from limits.models import Client, ClientImport, Plan
from limits.models.history import change_reason, create_with_history, update_with_history
from limits.models.tags import typed_tags
from limits.publishing import clients
from ratelimit_enforcer.domain.client import key_problem
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.domain.validation import MAX_NAME_LENGTH, NOT_PRINTABLE, PRINTABLE, tags_problem

log = structlog.get_logger(__name__)

CHUNK_SIZE = 2_000
"""Number of lines that are processed in one transaction."""
MAX_LISTED_PROBLEMS = 100
"""Invalid lines that are stored with their problems; further ones are only counted."""
LEASE = timedelta(minutes=2)
"""Maximum duration of one chunk; after that, another process continues the import."""
MAX_INTERRUPTIONS = 3
"""Number of times that an import is continued at the same chunk before it counts as failed."""
PROGRESS_FIELDS = (
    *("line", "added", "changed", "unchanged", "examples", "problems", "problem_count"),
    *("leased_until", "interruptions"),
)
"""The fields that each completed chunk updates."""
KEY_WITH_SPACES = "new, with spaces around the key: not the same client as the key without spaces"
_FIELDS = ("name", "plan", "status", "tags")
"""The fields of a client that a file can change, except for the parent."""
_STATES = ClientImport.State


def continue_import(pk: int, seconds: float) -> bool:
    """Continues an import for about ``seconds`` seconds. Returns whether the present step is finished or left
    to another process.

    An unexpected error ends the import as failed and is logged. An error of an unavailable database is
    raised; the import is then continued later (:func:`unclaimed_imports`).
    """
    row = _claimed(pk)
    if row is None:
        return True
    try:
        return _check(row, seconds) if row.state == _STATES.CHECKING else _import(row, seconds)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("client_import_failed", client_import=pk, line=row.line)
        _fail(row, "The import stopped because of an unexpected error. The server's log has the details.")
        return True
    finally:
        _release(row)


def begin_import(row: ClientImport) -> bool:
    """Starts to import a checked file. Returns False if it was started already."""
    waiting = ClientImport.objects.filter(pk=row.pk, state=_STATES.CHECKED)
    return bool(waiting.update(state=_STATES.IMPORTING, line=0))


def restart_import(row: ClientImport) -> bool:
    """Restarts a failed import, beginning with the check. Returns False if it was restarted already."""
    failed = ClientImport.objects.filter(pk=row.pk, state=_STATES.FAILED)
    counts = dict.fromkeys(("line", "added", "changed", "unchanged", "problem_count", "interruptions"), 0)
    return bool(failed.update(state=_STATES.CHECKING, examples=[], problems=[], finished_at=None, **counts))


def unclaimed_imports() -> list[int]:
    """Returns the imports under way without an active process: waiting for a worker, or abandoned by a
    crashed one."""
    return list(_unclaimed(timezone.now()).order_by("id").values_list("pk", flat=True))


def _unclaimed(now: datetime) -> QuerySet[ClientImport]:
    under_way = ClientImport.objects.filter(state__in=[_STATES.CHECKING, _STATES.IMPORTING])
    return under_way.filter(Q(leased_until=None) | Q(leased_until__lt=now))


@transaction.atomic
def _claimed(pk: int) -> ClientImport | None:
    """Returns the import, leased to this process; None if there is no work for this process."""
    row = _unclaimed(timezone.now()).select_for_update(skip_locked=True).filter(pk=pk).first()
    if row is None:
        return None
    row.interruptions += row.leased_until is not None
    if row.interruptions > MAX_INTERRUPTIONS:
        _fail(row, f"The import was interrupted {row.interruptions} times at the same line.")
        return None
    row.leased_until = timezone.now() + LEASE
    row.save(update_fields=["leased_until", "interruptions"])
    return row


def _release(row: ClientImport) -> None:
    ClientImport.objects.filter(pk=row.pk).update(leased_until=None)


def _fail(row: ClientImport, message: str) -> None:
    """Marks the import as failed but keeps the file, so that the import can be retried."""
    row.state, row.finished_at, row.leased_until = _STATES.FAILED, timezone.now(), None
    row.problems = [{"line": row.line + 1, "message": message}]
    row.save(update_fields=["state", "finished_at", "leased_until", "problems"])


def _fail_at(row: ClientImport, line: int, message: str) -> bool:
    _fail(row, f"{message} Clients were changed since the check. All other values of the file were imported.")
    row.problems[0]["line"] = line
    row.save(update_fields=["problems"])
    return True


def _check(row: ClientImport, seconds: float) -> bool:
    end = time.monotonic() + seconds
    seen, parents = set[str](), FileParents()
    plans = dict.fromkeys(Plan.objects.order_by("slug").values_list("slug", flat=True))
    try:
        for at, chunk in _chunks(row.content):
            parents.add(chunk)
            if at >= row.line:
                _check_chunk(row, chunk, seen, plans)
                _save_progress(row)
                if time.monotonic() > end:
                    return False
            seen.update(line.key for line in chunk)
        _check_parents(row, parents)
    except InvalidClientFile as error:
        row.problem_count += 1
        row.problems = [*row.problems[: MAX_LISTED_PROBLEMS - 1], {"line": error.line, "message": str(error)}]
    _finish_check(row)
    return True


def _check_parents(row: ClientImport, parents: FileParents) -> None:
    """Adds the problems of lines that have no other problem."""
    listed = {problem["line"] for problem in row.problems}
    found = [{"line": line, "message": message} for line, message in parents.problems() if line not in listed]
    row.problem_count += len(found)
    row.problems = sorted([*row.problems, *found], key=lambda problem: problem["line"])[:MAX_LISTED_PROBLEMS]


def _save_progress(row: ClientImport) -> None:
    """Saves the progress, and renews the lease. The content is left out: writing it again for each chunk would
    take longer than the check."""
    row.leased_until, row.interruptions = timezone.now() + LEASE, 0
    row.save(update_fields=PROGRESS_FIELDS)


def _finish_check(row: ClientImport) -> None:
    row.lines = row.line
    row.state = _STATES.REFUSED if row.problem_count else _STATES.CHECKED
    fields = [*PROGRESS_FIELDS, "lines", "state"]
    if row.problem_count:
        row.content, row.finished_at = "", timezone.now()
        fields += ["content", "finished_at"]
    row.save(update_fields=fields)


def _check_chunk(row: ClientImport, chunk: list[Line], seen: set[str], plans: Mapping[str, None]) -> None:
    known = _registered_clients(chunk)
    for line in chunk:
        if message := _problem(line, seen, plans):
            row.problem_count += 1
            row.problems += (
                [{"line": line.number, "message": message}] if len(row.problems) < MAX_LISTED_PROBLEMS else []
            )
        else:
            _count(row, line, known.get(line.key))
        seen.add(line.key)
    row.line += len(chunk)


def _problem(line: Line, seen: set[str], plans: Mapping[str, None]) -> str:
    if line.problem:
        return line.problem
    if message := key_problem(line.key):
        return f"key: {message}"
    if line.key in seen:
        return f"key: “{line.key}” is a duplicate in the file."
    return next((f"{field}: {message}" for field, message in _field_problems(line.fields, plans)), "")


def _field_problems(fields: Mapping[str, str], plans: Mapping[str, None]) -> Iterator[tuple[str, str]]:
    """Yields (field, message) for each invalid cell other than the key."""
    if len(fields.get("name", "")) > MAX_NAME_LENGTH:
        yield "name", f"must have at most {MAX_NAME_LENGTH} characters."
    if not PRINTABLE.match(fields.get("name", "")):
        yield "name", NOT_PRINTABLE
    if fields.get("plan") and fields["plan"] not in plans:
        yield "plan", f"there is no plan “{fields['plan']}”; there are {', '.join(islice(plans, 10))}."
    if fields.get("status") and fields["status"] not in list(ClientStatus):
        yield "status", f"“{fields['status']}” is not a status; use active, exempt or blocked."
    if message := tags_problem(typed_tags(fields.get("tags", ""))):
        yield "tags", message
    if fields.get("parent") and (message := key_problem(fields["parent"]) or ""):
        yield "parent", message


def _count(row: ClientImport, line: Line, client: Client | None) -> None:
    if client is None:
        row.added += 1
        _add_example(row, line, KEY_WITH_SPACES if line.key != line.key.strip() else "new", [])
        return
    changes = [
        {"field": field, "before": before, "after": after}
        for field, before, after in _changes(client, line, client.plan.slug if client.plan else "")
    ]
    row.changed += bool(changes)
    row.unchanged += not changes
    if changes:
        _add_example(row, line, "changed", changes)


def _add_example(row: ClientImport, line: Line, what: str, changes: list[dict[str, str]]) -> None:
    """Stores the first lines of each kind, which are shown before anything is imported."""
    if sum(example["what"] == what for example in row.examples) < 5:
        row.examples += [{"line": line.number, "key": line.key, "what": what, "changes": changes}]


def _changes(client: Client, line: Line, plan: str) -> Iterator[tuple[str, str, str]]:
    """Yields (field, before, after) for the changes of the line to an existing client."""
    now = {"name": client.name, "plan": plan, "status": client.status, "tags": " ".join(client.tags)}
    now["parent"] = client.parent.key if client.parent else ""
    for field, before in now.items():
        after = _value(field, line.fields[field]) if field in line.fields else before
        if before != after:
            yield field, before, after


def _value(field: str, cell: str) -> str:
    """Returns the value that a cell stands for, as it is shown."""
    if field == "tags":
        return " ".join(typed_tags(cell))
    return cell or (ClientStatus.ACTIVE.value if field == "status" else "")


def _import(row: ClientImport, seconds: float) -> bool:
    end = time.monotonic() + seconds
    parents = FileParents()
    for at, chunk in _chunks(row.content):
        parents.add(chunk)
        if at >= row.line:
            _import_chunk(row, chunk)
            if time.monotonic() > end:
                return False
    if problem := next(parents.problems(), None):
        return _fail_at(row, *problem)
    with change_reason(row.reason):
        parents.write(row.user)
    row.state, row.content, row.finished_at = _STATES.DONE, "", timezone.now()
    row.save(update_fields=["state", "content", "finished_at"])
    clients.deliver()
    return True


@transaction.atomic
def _import_chunk(row: ClientImport, chunk: list[Line]) -> None:
    """Imports one chunk and records the progress, in one transaction."""
    # Without the file itself, which would be read for every chunk.
    ClientImport.objects.select_for_update().only("pk").get(pk=row.pk)
    plans = {plan.slug: plan for plan in Plan.objects.all()}
    known = _registered_clients(chunk)
    new = [_fill(Client(key=line.key), line, plans) for line in chunk if line.key not in known]
    changed = [known[line.key] for line in chunk if line.key in known and _differs(known[line.key], line)]
    for line in chunk:
        if line.key in known:
            _fill(known[line.key], line, plans)
    with change_reason(row.reason):
        create_with_history(Client, new, row.user)
        place_new_clients([line for line in chunk if line.key not in known], row.user)
        update_with_history(Client, changed, _FIELDS, row.user)
    row.line += len(chunk)
    _save_progress(row)


def _differs(client: Client, line: Line) -> bool:
    return any(_changes(client, line, client.plan.slug if client.plan else ""))


def _fill(client: Client, line: Line, plans: Mapping[str, Plan]) -> Client:
    """Sets the fields of the line. A plan that was deleted meanwhile leaves the default plan."""
    fields = line.fields
    client.name = fields.get("name", client.name)
    if "status" in fields:
        client.status = _value("status", fields["status"])
    if "plan" in fields:
        client.plan = plans.get(fields["plan"])
    if "tags" in fields:
        client.tags = typed_tags(fields["tags"])
    return client


def _registered_clients(chunk: Iterable[Line]) -> dict[str, Client]:
    rows = Client.objects.filter(key__in=[line.key for line in chunk]).select_related("plan", "parent")
    return {row.key: row for row in rows}


def _chunks(content: str) -> Iterator[tuple[int, list[Line]]]:
    """Yields (number of lines before the chunk, lines)."""
    lines, at = parse_lines(content), 0
    while chunk := list(islice(lines, CHUNK_SIZE)):
        yield at, chunk
        at += len(chunk)


def export_lines(rows: QuerySet[Client]) -> Iterator[str]:
    """Yields the lines of the CSV file for these clients."""
    fields = rows.order_by("key").values_list("key", "name", "plan__slug", "status", "tags", "parent__key")
    return format_lines(
        (*cells, " ".join(tags), parent) for *cells, tags, parent in fields.iterator(chunk_size=CHUNK_SIZE)
    )
