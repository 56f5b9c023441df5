"""``issue_token``: prints a new API token, once."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand
from django.db import transaction

from limits.domain.problems import RulesetRefused
from limits.domain.words import Scope
from limits.management.output import SAVED_NOT_LIVE, author, refuse
from limits.publishing import rules, tokens
from limits.publishing.going_live import go_live


class Command(BaseCommand):
    help = "Creates an API token, publishes it, and prints it once, on standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what the token is for; unique")
        parser.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=[scope.value for scope in Scope],
            help="what the token may do; can be given several times",
        )

    def handle(self, *, name: str, scope: list[str], **_: Any) -> None:
        try:
            with transaction.atomic():
                secret = tokens.issue(name=name, scopes=sorted(set(scope)))
                rules.record(author(), reason=f"Token “{name}” issued.")
        except ValidationError as error:
            refuse(self.stderr, "\n".join(error.messages))
        except RulesetRefused as error:
            refuse(self.stderr, "\n".join(map(str, error.problems)))
        else:
            self._tell(secret)

    def _tell(self, secret: str) -> None:
        self.stdout.write(secret)
        delivery = go_live()
        if not delivery.live:
            self.stderr.write(f"The token is saved, but not live yet. {delivery.problem}")
            raise SystemExit(SAVED_NOT_LIVE)
