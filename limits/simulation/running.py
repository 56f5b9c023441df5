"""Running simulations: started, claimed by one process at a time, and repeated if that process crashed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

import structlog
from celery import current_app
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnavailable

from limits.domain.descriptions import quantity
from limits.domain.edits import apply_edits, edit_from_json
from limits.domain.states import rules_of_state
from limits.models import ChangeSet, SimulatedClient, Simulation
from limits.publishing.rules import read_state
from limits.simulation.comparing import ClientFigures, Run
from limits.simulation.subjects import Comparison
from ratelimit_enforcer.domain.dates import microseconds

log = structlog.get_logger(__name__)

TASK = "limits.tasks.simulate"
LEASE = timedelta(minutes=5)
"""Longest time between two reports of progress; after that, another process starts again."""
MAX_INTERRUPTIONS = 2
"""Number of times that a simulation is started again before it counts as failed."""
LANES = 2
"""Connections to PostgreSQL that compute at the same time: it uses one processor for each."""
MAX_CLIENTS = 100_000
"""Clients whose bounds are stored; the sums are those of all clients."""

_STATES = Simulation.State


class LeaseLost(Exception):
    """Another process works on the simulation, or it was removed."""


def start(change_set: ChangeSet, begin: datetime, end: datetime, author: str) -> Simulation:
    """Simulates a change set over the usage from ``begin`` until ``end``, in a worker. Both are rounded down to whole
    minutes. Policies and overrides count as they are in force now, or at the time of publication if that is later."""
    now = timezone.now()
    row = Simulation(
        change_set=change_set,
        begin=begin.replace(second=0, microsecond=0),
        end=end.replace(second=0, microsecond=0),
        edits=change_set.edits,
        in_force_at=max(now, change_set.publish_at or now),
        author=author,
    )
    row.full_clean()
    row.save()
    transaction.on_commit(lambda: _send(row.pk))
    return row


def _send(pk: int) -> None:
    try:
        current_app.send_task(TASK, args=[pk])
    except BrokerUnavailable:
        # Beat sends it again.
        log.warning("simulation_put_off", simulation=pk)


def unclaimed_simulations() -> list[int]:
    """Simulations that wait for a worker, or whose worker crashed."""
    return list(_unclaimed(timezone.now()).order_by("pk").values_list("pk", flat=True))


def _unclaimed(now: datetime) -> QuerySet[Simulation]:
    unfinished = Simulation.objects.filter(state__in=Simulation.UNFINISHED)
    return unfinished.filter(Q(leased_until=None) | Q(leased_until__lt=now))


def run(pk: int) -> None:
    """Runs a simulation from its beginning, unless another process does. An unexpected error ends it as failed and is
    logged; an error of an unavailable database is raised, and the simulation is started again later."""
    row = _claimed(pk)
    if row is None:
        return
    try:
        _simulate(row)
    except LeaseLost:
        log.warning("simulation_taken_over", simulation=pk)
    except (OperationalError, InterfaceError):
        raise
    except Exception:
        log.exception("simulation_failed", simulation=pk)
        _fail(row, "The simulation stopped because of an unexpected error. The server's log has the details.")


@transaction.atomic
def _claimed(pk: int) -> Simulation | None:
    """The simulation, leased to this process and without earlier results; None if there is no work for this process."""
    row = _unclaimed(timezone.now()).select_for_update(skip_locked=True).filter(pk=pk).first()
    if row is None:
        return None
    row.interruptions += row.leased_until is not None
    if row.interruptions > MAX_INTERRUPTIONS:
        _fail(row, f"The simulation was interrupted {quantity(row.interruptions, 'time')}.")
        return None
    row.clients.all().delete()
    row.state, row.progress, row.leased_until = _STATES.RUNNING, 0, timezone.now() + LEASE
    row.save(update_fields=["state", "progress", "leased_until", "interruptions"])
    return row


def _fail(row: Simulation, message: str) -> None:
    row.state, row.finished_at, row.leased_until = _STATES.FAILED, timezone.now(), None
    row.problems = [message]
    row.save(update_fields=["state", "finished_at", "leased_until", "problems"])


def _renew(row: Simulation, progress: int | None = None) -> None:
    """Renews the lease, and locks the row until the transaction ends. Raises :class:`LeaseLost`."""
    leased_until = timezone.now() + LEASE
    held = Simulation.objects.filter(pk=row.pk, leased_until=row.leased_until)
    if not held.update(leased_until=leased_until, **({} if progress is None else {"progress": progress})):
        raise LeaseLost
    row.leased_until = leased_until


def _simulate(row: Simulation) -> None:
    comparison, conflicts = _comparison(row)
    run = Run(comparison, row.begin, row.end, lambda percent: _renew(row, percent), lanes=LANES)
    stored = 0
    for found in run.clients():
        with transaction.atomic():
            _renew(row)
            kept = list(islice(found, MAX_CLIENTS - stored))
            SimulatedClient.objects.bulk_create(_rows(row, kept), batch_size=2_000)
        stored += len(kept)
    problems = [*conflicts, *run.problems]
    if run.totals.denied_clients > stored:
        problems.append(f"Only the first {MAX_CLIENTS:,} clients are listed. The sums include all of them.")
    _finish(row, run.totals.as_json(), problems)


def _comparison(row: Simulation) -> tuple[Comparison, list[str]]:
    """What is compared, and sentences about edits that do not apply to the live rules."""
    live = read_state()
    applied = apply_edits(live, [edit_from_json(item) for item in row.edits])
    conflicts = [
        f"An edit of {' '.join(each.edit.path)} was left out, because it conflicts with the live rules."
        for each in applied.conflicts
    ]
    rules = rules_of_state(live), rules_of_state(applied.state)
    return Comparison(*rules, microseconds(row.in_force_at)), conflicts


def _rows(row: Simulation, found: list[ClientFigures]) -> Iterator[SimulatedClient]:
    for client, figures in found:
        for each in figures:
            if each.before.most or each.after.most:
                yield SimulatedClient(
                    simulation=row,
                    client_key=client.client_key,
                    plan=client.plan,
                    endpoint=each.endpoint,
                    policy=each.policy,
                    requests=each.requests,
                    before_least=each.before.least,
                    before_most=each.before.most,
                    after_least=each.after.least,
                    after_most=each.after.most,
                )


@transaction.atomic
def _finish(row: Simulation, totals: dict[str, object], problems: list[str]) -> None:
    _renew(row, 100)
    row.state, row.progress, row.finished_at, row.leased_until = _STATES.DONE, 100, timezone.now(), None
    row.totals, row.problems = totals, problems
    row.save(update_fields=["state", "progress", "finished_at", "leased_until", "totals", "problems"])
