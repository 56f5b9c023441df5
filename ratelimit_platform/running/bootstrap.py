"""The setup of the first `make run`: ``python -m ratelimit_platform.running.bootstrap``.

It can be repeated at any time, and does not change what exists already.
"""

import io
import os

import django
from django.core.management import call_command
from django.db import transaction

from ratelimit_platform.environment import BASE_DIR, env

TOKEN_NAME = "make-run"


def main() -> None:
    """Creates tables, the admin user, the demo shop and the API token if they do not exist. All in one process,
    because each further process would spend two seconds importing Django."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")
    django.setup()
    call_command("migrate", verbosity=0)
    _create_admin()
    _load_demo()
    _create_token()
    _publish()


def _create_admin() -> None:
    from django.contrib.auth.models import User

    if not User.objects.filter(is_superuser=True).exists():
        User.objects.create_superuser("admin", password=env.str("ADMIN_PASSWORD"))


def _load_demo() -> None:
    from limits.models import Plan

    if env.bool("DEMO", True) and not Plan.objects.exists():
        print("Loading the demo shop, demo/shop.yaml")
        call_command(
            "apply_config",
            str(BASE_DIR / "demo" / "shop.yaml"),
            reason="The demo shop, from demo/shop.yaml.",
            stdout=io.StringIO(),
        )


@transaction.atomic
def _create_token() -> None:
    from limits.models import ApiToken, tokens
    from limits.publishing import rules
    from ratelimit_enforcer.domain.enums import Scope

    if not ApiToken.objects.filter(name=TOKEN_NAME).exists():
        tokens.issue(name=TOKEN_NAME, scopes=list(Scope), secret=env.str("API_TOKEN"))
    rules.record("make run", reason="First start.")


def _publish() -> None:
    from limits.publishing.reconciler import reconcile

    reconcile()


if __name__ == "__main__":
    main()
