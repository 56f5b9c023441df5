"""``bootstrap``: what `make run` sets up the first time. It can be run again at any time."""

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand
from django.db import transaction

from limits.domain.words import Scope
from limits.models import ApiToken, Plan
from limits.publishing import rules, tokens
from limits.publishing.reconciler import reconcile
from ratelimit_platform.environment import BASE_DIR, env

TOKEN_NAME = "make-run"


class Command(BaseCommand):
    help = "Creates the admin, the API token and the demo shop where they are not there yet."

    def handle(self, **_: Any) -> None:
        self._create_admin()
        if env.bool("DEMO", True) and not Plan.objects.exists():
            self.stdout.write("Loading the demo shop, demo/shop.yaml")
            call_command("apply_config", str(BASE_DIR / "demo" / "shop.yaml"), verbosity=0)
        self._create_token()
        reconcile()

    def _create_admin(self) -> None:
        users = get_user_model().objects
        if not users.filter(is_superuser=True).exists():
            users.create_superuser("admin", password=env.str("ADMIN_PASSWORD"))

    def _create_token(self) -> None:
        with transaction.atomic():
            if not ApiToken.objects.filter(name=TOKEN_NAME).exists():
                tokens.issue(name=TOKEN_NAME, scopes=list(Scope), secret=env.str("API_TOKEN"))
            rules.record("make run", reason="First start.")
