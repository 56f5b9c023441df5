"""Forgetting the counters of a client, on record."""

from limits.conf import setting
from limits.domain.client import key_problem
from limits.domain.problems import Problem
from limits.domain.validation import MAX_REASON_LENGTH, NOT_PRINTABLE, PRINTABLE
from limits.models import CounterReset, Policy
from limits.store.connection import patient_client
from limits.store.counters import CounterEraser
from limits.store.keys import Keys


def reset_problems(client: str, reason: str) -> list[Problem]:
    """What is wrong with a request to reset."""
    problems = []
    if message := key_problem(client):
        problems.append(Problem(("client",), message))
    if not 1 <= len(reason.strip()) <= MAX_REASON_LENGTH:
        problems.append(Problem(("reason",), f"must have 1 to {MAX_REASON_LENGTH} characters."))
    elif not PRINTABLE.match(reason):
        problems.append(Problem(("reason",), NOT_PRINTABLE))
    return problems


def reset(client: str, *, reason: str, author: str) -> CounterReset:
    """Forgets the counters that count this client by itself, and records it once that is done.

    Raises :class:`~limits.store.errors.StoreUnavailable`; then nothing is recorded, and whether
    the counters are gone is not known.
    """
    eraser = CounterEraser(patient_client(), Keys(setting("NAMESPACE")))
    eraser.erase(client, Policy.objects.values_list("slug", flat=True))
    return CounterReset.objects.create(client_key=client, reason=reason.strip(), author=author)
