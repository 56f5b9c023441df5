"""``issue_token``: prints a new API token, once."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand
from django.db import transaction

from limits.management.output import SAVED_NOT_LIVE, author, reject
from limits.models import tokens
from limits.publishing import rules
from limits.publishing.reconciler import go_live
from ratelimit_enforcer.domain.enums import Scope
from ratelimit_enforcer.domain.ruleset import MANAGE
from ratelimit_enforcer.domain.validation import InvalidRuleset


class Command(BaseCommand):
    help = "Creates an API token, publishes it, and prints it once, on standard output."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="what the token is for; unique")
        parser.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=[*(scope.value for scope in Scope), MANAGE],
            metavar="SCOPE",
            help=f"a permission of the token: {', '.join(Scope)}; may be repeated. “{MANAGE}” is the earlier name of "
            f"“{Scope.CLIENTS}”",
        )

    def handle(self, *, name: str, scope: list[str], **_: Any) -> None:
        if MANAGE in scope:
            self.stderr.write(f"The scope “{MANAGE}” is now called “{Scope.CLIENTS}”: the token has “{Scope.CLIENTS}”.")
        scopes = {Scope.CLIENTS if each == MANAGE else Scope(each) for each in scope}
        try:
            with transaction.atomic():
                secret = tokens.issue(name=name, scopes=sorted(scopes))
                rules.record(author(), reason=f"Token “{name}” issued.")
        except ValidationError as error:
            reject(self.stderr, "\n".join(error.messages))
        except InvalidRuleset as error:
            reject(self.stderr, "\n".join(map(str, error.problems)))
        else:
            self._report(secret)

    def _report(self, secret: str) -> None:
        self.stdout.write(secret)
        delivery = go_live()
        if not delivery.live:
            self.stderr.write(f"The token is saved, but not live yet. {delivery.problem}")
            raise SystemExit(SAVED_NOT_LIVE)
