"""What Celery runs. Every task can run twice at once, be killed anywhere, and run again."""

from celery import shared_task

from limits.publishing import reconciler


@shared_task(name="limits.tasks.reconcile", ignore_result=True, soft_time_limit=120, time_limit=150)
def reconcile() -> None:
    """Compares the database with the store and repairs, every few seconds."""
    reconciler.reconcile()
