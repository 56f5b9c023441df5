"""``erase_client``: forgets what was recorded of a client."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from limits.management.output import refuse
from limits.models import Client
from limits.monitoring.erasure import erase
from limits.store.errors import StoreUnavailable


class Command(BaseCommand):
    help = (
        "Forgets a client: what was counted becomes part of “(other)”, alerts and messages about it go. "
        "Counts stay right in sum."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="the client's key")

    def handle(self, *, client: str, **_: Any) -> None:
        try:
            erased = erase(client)
        except ValueError as error:
            refuse(self.stderr, str(error))
        except StoreUnavailable as error:
            refuse(self.stderr, f"Redis is away, and counts wait there. Nothing was changed. {error}")
        else:
            self.stdout.write(f"Forgotten: rows {erased.rows:,}, alerts {erased.alerts:,}, resets {erased.resets:,}.")
            if Client.objects.filter(key=client).exists():
                self.stdout.write(f"“{client}” is still registered, and is counted by name from now on.")
