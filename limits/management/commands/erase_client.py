"""``erase_client``: removes the data of a client from the database, and its reservations from Redis."""

from argparse import ArgumentParser
from collections.abc import Iterable
from typing import Any

from django.core.management.base import BaseCommand

from limits.domain.descriptions import quantity
from limits.management.output import SAVED_NOT_LIVE, author, reject
from limits.models import Client
from limits.monitoring.erasure import Erased, erase, erase_from_publications
from limits.publishing import clients, rules
from limits.publishing.reconciler import go_live
from limits.publishing.rules import Delivery
from ratelimit_enforcer.store.errors import StoreError


class Command(BaseCommand):
    help = (
        "Erases a client: the registration with overrides, block and history, alerts and messages about the client, "
        "unsettled reservations, and the name in usage figures. The counts become part of “(other)”, so that totals "
        "stay exact."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="the client's key")
        parser.add_argument(
            "--keep-registration",
            action="store_true",
            help="erase recorded data only; keep the registration, the overrides, the block and their history",
        )

    def handle(self, *, client: str, keep_registration: bool, **_: Any) -> None:
        try:
            erased = erase(client, keep_registration=keep_registration)
        except ValueError as error:
            reject(self.stderr, str(error))
        except StoreError as error:
            reject(
                self.stderr,
                "Redis is unavailable, and may have reservations of the client and counts that are not drained yet. "
                f"Nothing was changed in the database. {error}",
            )
        else:
            deliveries = [clients.deliver([client])]
            if erased.blocked:
                deliveries.append(_publish())
            if not keep_registration:
                # Only now: the newest publication must no longer name the client.
                erase_from_publications(client)
            self._report(client, erased, deliveries)

    def _report(self, client: str, erased: Erased, deliveries: Iterable[Delivery]) -> None:
        self.stdout.write(
            f"Erased: usage rows {erased.rows:,}, alerts {erased.alerts:,}, resets {erased.resets:,}, "
            f"imports {erased.imports:,}, registration {'yes' if erased.registered else 'no'}."
        )
        if erased.reservations:
            self.stdout.write(f"Removed {quantity(erased.reservations, 'unsettled reservation')}.")
        if erased.blocked:
            self.stdout.write(f"The block of “{client}” was removed.")
        if Client.objects.filter(key=client).exists():
            self.stdout.write(f"“{client}” is still registered; new requests are counted under this name.")
        if problem := next((delivery.problem for delivery in deliveries if not delivery.live), None):
            self.stderr.write(f"The registration is removed, but this is not live yet. {problem}")
            raise SystemExit(SAVED_NOT_LIVE)


def _publish() -> Delivery:
    rules.record(author())
    return go_live()
