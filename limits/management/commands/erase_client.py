"""``erase_client``: removes the data of a client from the database."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from limits.management.output import SAVED_NOT_LIVE, reject
from limits.models import Client
from limits.monitoring.erasure import Erased, erase
from limits.publishing import clients
from ratelimit_enforcer.store.errors import StoreError


class Command(BaseCommand):
    help = (
        "Erases a client: the registration with overrides and history, alerts and messages about the client, and the "
        "name in usage figures. The counts become part of “(other)”, so that totals stay exact."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="the client's key")
        parser.add_argument(
            "--keep-registration",
            action="store_true",
            help="erase recorded data only; keep the registration, the overrides and their history",
        )

    def handle(self, *, client: str, keep_registration: bool, **_: Any) -> None:
        try:
            erased = erase(client, keep_registration=keep_registration)
        except ValueError as error:
            reject(self.stderr, str(error))
        except StoreError as error:
            reject(
                self.stderr,
                f"Redis is unavailable and has counts that are not drained yet. Nothing was changed. {error}",
            )
        else:
            self._report(client, erased)

    def _report(self, client: str, erased: Erased) -> None:
        self.stdout.write(
            f"Erased: usage rows {erased.rows:,}, alerts {erased.alerts:,}, resets {erased.resets:,}, "
            f"imports {erased.imports:,}, registration {'yes' if erased.registered else 'no'}."
        )
        if Client.objects.filter(key=client).exists():
            self.stdout.write(f"“{client}” is still registered; new requests are counted under this name.")
        delivery = clients.deliver([client])
        if not delivery.live:
            self.stderr.write(f"The registration is removed, but this is not live yet. {delivery.problem}")
            raise SystemExit(SAVED_NOT_LIVE)
