"""The variables of sign-in: complete, or reported by name."""

from pathlib import Path

import pytest

from tests.support.forked import run_forked
from tests.support.web import outer_environment

COMPLETE = {
    "OIDC_ISSUER": "https://id.example.com/realms/x",
    "OIDC_CLIENT_ID": "limits",
    "OIDC_CLIENT_SECRET": "s",
    "OIDC_ROLES": "a=Support,cn=b = Product managers",
}
SHOW = (
    "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'ratelimit_platform.settings'; "
    "from django.conf import settings; print(settings.SIGN_IN.get('ROLES'))"
)


def shown(tmp_path: Path, *command: str, **variables: str) -> tuple[str, str]:
    result = run_forked([*command], outer_environment() | {"DATA_DIR": str(tmp_path)} | variables)
    return result.stdout.strip(), (result.stderr.strip().splitlines() or [""])[-1]


def test_roles_are_pairs(tmp_path: Path) -> None:
    assert shown(tmp_path, "-c", SHOW, **COMPLETE)[0] == "[('a', 'Support'), ('cn=b', 'Product managers')]"
    assert shown(tmp_path, "-c", SHOW)[0] == "None"


def test_a_platform_with_sign_in_passes_the_deployment_checks(tmp_path: Path) -> None:
    command = ("manage.py", "check", "--deploy", "--fail-level", "WARNING")
    secure = {"HTTPS": "1", "SECRET_KEY": "k" * 30 + "0123456789" * 3, "PASSWORD_LOGIN": "0"}
    assert "no issues" in shown(tmp_path, *command, **COMPLETE, **secure)[0]


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"OIDC_ISSUER": ""}, "OIDC_ISSUER is not set. OIDC_CLIENT_ID needs it"),
        ({"OIDC_CLIENT_ID": ""}, "OIDC_CLIENT_ID is not set. OIDC_ISSUER needs it"),
        ({"OIDC_CLIENT_SECRET": ""}, "OIDC_CLIENT_SECRET is not set."),
        ({"OIDC_ROLES": ""}, "OIDC_ROLES is not set."),
        ({"OIDC_ROLES": "Support"}, "OIDC_ROLES: It must be pairs"),
        ({"OIDC_ISSUER": "id.example.com"}, "OIDC_ISSUER: It must be an address"),
        ({"OIDC_ISSUER": "http://id.example.com"}, "OIDC_ISSUER: It must begin with https://"),
        ({"OIDC_SCOPES": "profile"}, "OIDC_SCOPES: It must be openid, and others"),
        (dict.fromkeys(COMPLETE, "") | {"PASSWORD_LOGIN": "0"}, "OIDC_ISSUER is not set. Nobody could log in"),
    ],
)
def test_what_is_missing_or_wrong_is_named(variables: dict[str, str], problem: str, tmp_path: Path) -> None:
    assert problem in shown(tmp_path, "-c", SHOW, **COMPLETE | variables)[1]
