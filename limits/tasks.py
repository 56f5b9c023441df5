"""Background work of a worker: the Celery tasks, and a thread that replaces some of them in an outage.

Every task can run twice at once, be killed anywhere, and run again. Each step starts the next one if it has
work for it, so that an email follows a denial within seconds; beat starts each of them too, so that no work is
left waiting.

Tasks need a broker, which is usually the same Redis as the store: while it is unavailable, no task arrives. So
each worker checks directly whether the store answers. If it does not, the worker evaluates the rules on the
platform's own problems and sends the messages that are due, with the database alone.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from celery import shared_task
from django.db import DatabaseError, InterfaceError, OperationalError, close_old_connections, connection
from kombu.exceptions import OperationalError as BrokerUnavailable

from limits.changes import conflicts, due, trials
from limits.configfile import client_files
from limits.monitoring import alerts, delivery, drain, quotas, retention, rollups
from limits.publishing import reconciler
from limits.simulation import running as simulations
from limits.store.client import control_client
from limits.store.ruleset_writer import RulesetWriter
from ratelimit_enforcer.conf import setting
from ratelimit_enforcer.domain.enums import Channel
from ratelimit_enforcer.store.errors import StoreError
from ratelimit_enforcer.store.keys import Keys

log = structlog.get_logger(__name__)

_LIMITS: dict[str, Any] = {"ignore_result": True, "soft_time_limit": 120, "time_limit": 150}


# It may have to load a million clients into an emptied store.
@shared_task(name="limits.tasks.reconcile", **(_LIMITS | {"soft_time_limit": 900, "time_limit": 930}))
def reconcile() -> None:
    """Compares the store with the database and repairs it, every few seconds."""
    with _outages_logged("reconcile"):
        due.apply_pending()
        reconciler.reconcile()


@shared_task(name="limits.tasks.drain_usage", **_LIMITS)
def drain_usage() -> None:
    """Drains usage counts from the store into the database."""
    with _outages_logged("drain_usage"):
        if drain.drain():
            evaluate_alerts.delay()


@shared_task(name="limits.tasks.tidy_usage", **_LIMITS)
def tidy_usage() -> None:
    """Rolls minutes up into hours and hours into days, and removes expired rows."""
    with _outages_logged("tidy_usage"):
        rollups.roll_up()
        retention.remove_expired()


@shared_task(name="limits.tasks.read_quotas", **_LIMITS)
def read_quotas() -> None:
    """Reads how much of their quotas the active clients use."""
    with _outages_logged("read_quotas"):
        quotas.read_quotas()


@shared_task(name="limits.tasks.evaluate_alerts", **_LIMITS)
def evaluate_alerts() -> None:
    """Evaluates all alert rules: opens, updates and resolves alerts, and writes the messages that are due."""
    with _outages_logged("evaluate_alerts"):
        if alerts.evaluate():
            send_mails.delay()
            send_webhooks.delay()
            send_to_services.delay()


@shared_task(name="limits.tasks.watch_trials", **_LIMITS)
def watch_trials() -> None:
    """Withdraws a change set whose denial rate is above its maximum."""
    with _outages_logged("watch_trials"):
        if trials.withdraw_exceeded():
            send_mails.delay()


@shared_task(name="limits.tasks.report_conflicts", **_LIMITS)
def report_conflicts() -> None:
    """Notifies the authors of drafts that others published over."""
    with _outages_logged("report_conflicts"):
        if conflicts.report_conflicts():
            send_mails.delay()


@shared_task(name="limits.tasks.send_mails", **_LIMITS)
def send_mails() -> None:
    """Sends the emails that are due."""
    with _outages_logged("send_mails"):
        delivery.send_due(Channel.MAIL)


@shared_task(name="limits.tasks.send_webhooks", **_LIMITS)
def send_webhooks() -> None:
    """Calls the webhooks that are due."""
    with _outages_logged("send_webhooks"):
        delivery.send_due(Channel.WEBHOOK)


@shared_task(name="limits.tasks.send_to_services", **_LIMITS)
def send_to_services() -> None:
    """Sends the messages to services such as Slack that are due."""
    with _outages_logged("send_to_services"):
        delivery.send_due(Channel.SERVICE)


IMPORT_STEP_SECONDS = 60.0
"""Seconds that one run of a client import may take before it makes way for other tasks."""


@shared_task(name="limits.tasks.import_clients", **_LIMITS)
def import_clients(pk: int) -> None:
    """Checks or imports a large file of clients, for a limited time per run."""
    with _outages_logged("import_clients"):
        if not client_files.continue_import(pk, IMPORT_STEP_SECONDS):
            import_clients.delay(pk)


@shared_task(name="limits.tasks.continue_imports", **_LIMITS)
def continue_imports() -> None:
    """Continues imports that wait for a worker, or whose worker crashed."""
    with _outages_logged("continue_imports"):
        for pk in client_files.unclaimed_imports():
            import_clients.delay(pk)


# It may have to read millions of rows of usage.
@shared_task(name=simulations.TASK, **(_LIMITS | {"soft_time_limit": 1_800, "time_limit": 1_830}))
def simulate(pk: int) -> None:
    """Simulates a change set."""
    with _outages_logged("simulate"):
        simulations.run(pk)


@shared_task(name="limits.tasks.continue_simulations", **_LIMITS)
def continue_simulations() -> None:
    """Starts simulations that wait for a worker, or whose worker crashed."""
    with _outages_logged("continue_simulations"):
        for pk in simulations.unclaimed_simulations():
            simulate.delay(pk)


@contextmanager
def _outages_logged(task: str) -> Iterator[None]:
    """An unavailable store, broker or database is expected: the next run catches up."""
    try:
        yield
    except (StoreError, BrokerUnavailable, OperationalError) as error:
        log.warning("task_put_off", task=task, error=f"{type(error).__name__}: {error}")


class StoreWatch:
    """A thread in the main process of a worker that checks the store periodically (:func:`check_store`)."""

    def __init__(self, interval: float) -> None:
        """``interval``: seconds between two checks."""
        self._interval = interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="store-watch", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end after its present work."""
        self._stop.set()

    def join(self) -> None:
        """Waits until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._interval):
            _run_logged(check_store)
        connection.close()


def check_store() -> bool:
    """Checks the store once, and does the work of tasks if it is unavailable. Returns whether the store was
    available."""
    try:
        RulesetWriter(control_client(), Keys(setting("NAMESPACE"))).pointer()
    except StoreError:
        alerts.evaluate_platform()
        for channel in Channel:
            delivery.send_due(channel)
        return False
    return True


def _run_logged(work: Callable[[], object]) -> None:
    """Keeps the thread alive after any error: without it, no alert reports an outage. An unavailable database
    is expected; other errors are logged with their traceback."""
    try:
        close_old_connections()
        work()
    except (DatabaseError, InterfaceError) as error:
        log.warning("store_watch_failed", error=type(error).__name__)
    except Exception:
        log.exception("store_watch_failed")
