"""``export_config``: prints the database as a config file."""

from typing import Any

from django.core.management.base import BaseCommand

from limits.configfile.export import export


class Command(BaseCommand):
    help = "Prints plans, endpoints, policies, clients and overrides in the format that apply_config reads."

    def handle(self, **_: Any) -> None:
        self.stdout.write(export(), ending="")
