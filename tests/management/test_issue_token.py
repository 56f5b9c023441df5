"""``issue_token``: prints a token once, and stores only its digest."""

import pytest
from django.core.management import CommandError, call_command
from django.core.serializers import serialize

from limits.models import ApiToken, Publication
from limits.models.tokens import digest_of_secret
from limits.publishing.reconciler import reconcile
from tests.management.running import AWAY, run
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def test_only_the_token_is_printed_on_standard_output(shop: Platform, capfd: pytest.CaptureFixture[str]) -> None:
    call_command("issue_token", "checkout", "--scope", "check")
    printed = capfd.readouterr()
    secret, rest = printed.out.split("\n", 1)
    assert (secret[:3], len(secret), rest) == ("rl_", 46, "")
    assert digest_of_secret(secret) == ApiToken.objects.get().digest


def test_the_token_is_valid_immediately(shop: Platform) -> None:
    secret = run("issue_token", "checkout", "--scope", "check", "--scope", "clients").out.strip()
    (token,) = shop.ruleset.tokens
    assert (token.name, token.digest, token.scopes) == ("checkout", digest_of_secret(secret), {"check", "clients"})


def test_the_earlier_name_of_a_scope_is_accepted_with_a_note(shop: Platform) -> None:
    outcome = run("issue_token", "checkout", "--scope", "check", "--scope", "manage")
    assert outcome.err == "The scope “manage” is now called “clients”: the token has “clients”.\n"
    assert digest_of_secret(outcome.out.removesuffix("\n")) == ApiToken.objects.get().digest
    assert ApiToken.objects.get().scopes == ["check", "clients"]


def test_only_the_digest_is_stored(shop: Platform) -> None:
    secret = run("issue_token", "checkout", "--scope", "check").out.strip()
    stored = serialize("json", [*ApiToken.objects.all(), *Publication.objects.all()])
    assert digest_of_secret(secret) in stored
    assert secret not in stored
    assert not any(secret.encode() in value for value in shop.content().values())
    assert ApiToken.objects.get().hint == secret[-4:]


def test_issued_tokens_are_unique(shop: Platform) -> None:
    secrets = {run("issue_token", name, "--scope", "check").out for name in ("a", "b", "c")}
    assert len(secrets) == 3


def test_the_new_version_records_the_issued_token(shop: Platform) -> None:
    run("issue_token", "checkout", "--scope", "metrics")
    publication = Publication.objects.get(sequence=2)
    assert publication.reason == "Token “checkout” issued."
    assert publication.changes == ["Token “checkout” added (metrics)."]


def test_a_repeated_scope_counts_once(shop: Platform) -> None:
    run("issue_token", "checkout", "--scope", "clients", "--scope", "check", "--scope", "clients")
    assert ApiToken.objects.get().scopes == ["check", "clients"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("taken", "API token with this Name already exists."),
        ("", "This field cannot be blank."),
        ("x" * 201, "Ensure this value has at most 200 characters (it has 201)."),
    ],
    ids=["taken", "empty", "too long"],
)
def test_invalid_names_are_rejected(name: str, message: str, shop: Platform) -> None:
    run("issue_token", "taken", "--scope", "check")
    outcome = run("issue_token", name, "--scope", "check")
    assert (outcome.status, outcome.out, outcome.err) == (1, "", f"{message}\n")
    assert ApiToken.objects.count() == 1
    assert shop.sequence == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "required: name, --scope"),
        (("checkout",), "required: --scope"),
        (("checkout", "--scope"), "--scope: expected one argument"),
        (("checkout", "--scope", "admin"), "--scope: invalid choice: 'admin'"),
    ],
)
def test_a_name_and_known_scopes_are_required(arguments: tuple[str, ...], message: str, shop: Platform) -> None:
    with pytest.raises(CommandError, match=message):
        run("issue_token", *arguments)
    assert not ApiToken.objects.exists()


def test_a_token_issued_during_an_outage_is_valid_after_it(shop: Platform, capfd: pytest.CaptureFixture[str]) -> None:
    shop.make_store_unavailable()
    with pytest.raises(SystemExit) as ended:
        call_command("issue_token", "checkout", "--scope", "check")
    printed = capfd.readouterr()
    assert ended.value.code == 2
    assert digest_of_secret(printed.out.removesuffix("\n")) == ApiToken.objects.get().digest
    assert f"The token is saved, but not live yet. {AWAY}" in printed.err
    shop.make_store_available()
    assert reconcile().published
    assert [token.name for token in shop.ruleset.tokens] == ["checkout"]
