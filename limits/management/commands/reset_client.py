"""``reset_client``: forgets the counters of a client, on record."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from limits.management.output import author, refuse
from limits.publishing.resets import reset, reset_problems
from limits.store.errors import StoreError


class Command(BaseCommand):
    help = "Forgets the counters of a client, so that it begins anew everywhere. Global policies keep theirs."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="the client's key, registered or not")
        parser.add_argument("--reason", required=True, help="why; it is recorded")

    def handle(self, *, client: str, reason: str, **_: Any) -> None:
        if problems := reset_problems(client, reason):
            refuse(self.stderr, "\n".join(map(str, problems)))
        try:
            reset(client, reason=reason, author=author())
        except StoreError as error:
            refuse(self.stderr, f"Redis cannot be reached; nothing is recorded. {error}")
        self.stdout.write(f"The counters of {client} are forgotten.")
