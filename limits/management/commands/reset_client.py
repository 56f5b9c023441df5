"""``reset_client``: resets the counters of a client and frees its places, with a record."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from limits.management.output import author, reject
from limits.publishing.clients import reset_counters, reset_problems
from ratelimit_enforcer.store.errors import StoreError


class Command(BaseCommand):
    help = (
        "Resets the counters of a client on every endpoint, and frees the places of concurrent requests. Counters of "
        "global policies are not affected."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("client", help="the client's key, registered or not")
        parser.add_argument("--reason", required=True, help="the reason, which is recorded")

    def handle(self, *, client: str, reason: str, **_: Any) -> None:
        if problems := reset_problems(client, reason):
            reject(self.stderr, "\n".join(map(str, problems)))
        try:
            reset_counters(client, reason=reason, author=author())
        except StoreError as error:
            reject(self.stderr, f"Redis is unavailable; nothing was reset or recorded. {error}")
        self.stdout.write(f"The counters of {client} are reset.")
