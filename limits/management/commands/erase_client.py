"""``erase_client``: removes what the database holds of a client."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from limits.management.output import SAVED_NOT_LIVE, refuse
from limits.models import Client
from limits.monitoring.erasure import Erased, erase
from limits.publishing import clients
from limits.store.errors import StoreError


class Command(BaseCommand):
    help = (
        "Erases a client: its registration with overrides and history, alerts and messages about it, and its name "
        "in figures. What was counted becomes part of “(other)”, so that sums stay right."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="the client's key")
        parser.add_argument(
            "--keep-registration",
            action="store_true",
            help="erase what was recorded, and leave the client registered with its overrides and their history",
        )

    def handle(self, *, client: str, keep_registration: bool, **_: Any) -> None:
        try:
            erased = erase(client, keep_registration=keep_registration)
        except ValueError as error:
            refuse(self.stderr, str(error))
        except StoreError as error:
            refuse(self.stderr, f"Redis cannot be reached, and counts wait there. Nothing was changed. {error}")
        else:
            self._report(client, erased)

    def _report(self, client: str, erased: Erased) -> None:
        self.stdout.write(
            f"Erased: usage rows {erased.rows:,}, alerts {erased.alerts:,}, resets {erased.resets:,}, "
            f"imports {erased.imports:,}, registration {'yes' if erased.registered else 'no'}."
        )
        if Client.objects.filter(key=client).exists():
            self.stdout.write(f"“{client}” is still registered, and is counted by name from now on.")
        delivery = clients.deliver([client])
        if not delivery.live:
            self.stderr.write(f"Its registration is removed, but not live yet. {delivery.problem}")
            raise SystemExit(SAVED_NOT_LIVE)
