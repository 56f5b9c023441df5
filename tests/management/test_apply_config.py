"""``apply_config``: input, output, and exit status."""

import getpass
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from django.core.management import CommandError
from pytest_django import Settings

from limits.models import ChangeSet, Client, Publication
from limits.publishing.reconciler import reconcile
from tests.configfile.files import LIMITS, STORE, everything
from tests.management.running import AWAY, Outcome, run
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db

FEWER = "policies: [{slug: all, limits: [{quota: 5, window: 60}]}]"
FEWER_SENTENCE = "Policy all, limits: 100 per minute → 5 per minute."

Apply = Callable[..., Outcome]


@pytest.fixture
def apply_file(tmp_path: Path) -> Apply:
    """Writes a file and applies it."""

    def apply(text: str, *options: str) -> Outcome:
        path = tmp_path / "rules.yaml"
        path.write_text(text, encoding="utf-8")
        return run("apply_config", str(path), *options)

    return apply


def test_status_0_means_live(shop: Platform, apply_file: Apply) -> None:
    assert apply_file(FEWER) == Outcome(0, f"{FEWER_SENTENCE}\nVersion 2 is live.\n", "")
    assert shop.quotas == {"all": 5}


def test_a_file_applied_again_reports_no_changes(shop: Platform, apply_file: Apply) -> None:
    apply_file(FEWER)
    assert apply_file(FEWER) == Outcome(0, "No changes.\nVersion 2 is live.\n", "")
    assert shop.sequence == 2


def test_the_history_contains_the_user_and_the_file(shop: Platform, apply_file: Apply, tmp_path: Path) -> None:
    apply_file(FEWER)
    publication = Publication.objects.get(sequence=2)
    assert publication.author == f"{getpass.getuser()} (command)"
    assert publication.reason == f"apply_config {tmp_path / 'rules.yaml'}"


def test_a_reason_can_be_given(shop: Platform, apply_file: Apply) -> None:
    apply_file(FEWER, "--reason", "Abuse since Monday.")
    assert Publication.objects.get(sequence=2).reason == "Abuse since Monday."


def test_status_1_means_rejected_and_nothing_changed(shop: Platform, apply_file: Apply) -> None:
    before = everything(shop)
    outcome = apply_file(f"""
        plans: [{{slug: pro}}]
        policies:
          - {{slug: b, {LIMITS}}}
          - {{slug: c, {LIMITS}}}
          - {{slug: d, limits: [{{quota: -1, window: 60}}, {{quota: 1, window: 0}}]}}
    """)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.splitlines() == [
        "policies[2].limits[0].quota: must be between 0 and 1,000,000,000.",
        "policies[2].limits[1].window: must be between 1 and 31,622,400 seconds (366 days).",
    ]
    assert everything(shop) == before


def test_a_file_with_unknown_references_is_rejected(shop: Platform, apply_file: Apply) -> None:
    outcome = apply_file("clients: [{key: new, plan: nobody}]")
    assert outcome == Outcome(1, "", "clients[0].plan: there is no plan “nobody”.\n")
    assert not Client.objects.filter(key="new").exists()


def test_status_2_means_saved_and_live_later(shop: Platform, apply_file: Apply) -> None:
    shop.make_store_unavailable()
    outcome = apply_file(f"{FEWER}\nclients: [{{key: new}}]")
    assert (outcome.status, outcome.lines) == (2, [FEWER_SENTENCE, "Client new changed."])
    assert outcome.err == f"Saved, but not live yet. {AWAY}\n"
    shop.make_store_available()
    assert shop.quotas == {"all": 100}
    reconcile()
    assert (shop.quotas, shop.is_registered("new")) == ({"all": 5}, True)


def test_a_rejection_needs_no_store(shop: Platform, apply_file: Apply) -> None:
    shop.make_store_unavailable()
    assert apply_file("rules: []").status == 1


def test_a_dry_run_prints_the_differences_and_changes_nothing(shop: Platform, apply_file: Apply) -> None:
    before = everything(shop)
    outcome = apply_file(f"{FEWER}\nclients: [{{key: new}}]", "--dry-run")
    assert outcome == Outcome(0, f"{FEWER_SENTENCE}\nClient new changed.\n", "")
    assert everything(shop) == before


def test_a_dry_run_without_changes_reports_that(shop: Platform, apply_file: Apply) -> None:
    assert apply_file("", "--dry-run") == Outcome(0, "No changes.\n", "")


def test_a_dry_run_reports_the_same_problems(shop: Platform, apply_file: Apply) -> None:
    assert apply_file("plans: [{slug: Pro}]", "--dry-run").status == 1
    assert apply_file("plans: [{slug: pro}]", "--dry-run", "--prune").err == "plans: one plan must be the default.\n"


def test_prune_removes_missing_rows_except_clients(platform: Platform, apply_file: Apply) -> None:
    apply_file(STORE)
    outcome = apply_file("policies: []\noverrides: []\nclients: []", "--prune")
    assert outcome.lines == [
        "Policy free-search removed.",
        "Policy pro-total removed.",
        "Client acme changed.",
        "Version 2 is live.",
    ]
    assert Client.objects.count() == 2


def test_prune_clients_removes_clients(platform: Platform, apply_file: Apply) -> None:
    apply_file(STORE)
    outcome = apply_file("clients: [{key: acme, name: Acme Ltd, plan: pro}]", "--prune", "--prune-clients")
    assert outcome.lines == ["Client scraper changed.", "Version 1 is live."]
    assert Client.objects.get().key == "acme"


def test_prune_clients_requires_prune(shop: Platform, apply_file: Apply) -> None:
    assert apply_file("clients: []", "--prune-clients") == Outcome(1, "", "--prune-clients requires --prune.\n")
    assert Client.objects.exists()


def test_pruning_rows_in_use_is_rejected(platform: Platform, apply_file: Apply) -> None:
    apply_file(STORE)
    before = everything(platform)
    outcome = apply_file("policies: []", "--prune")
    assert outcome == Outcome(
        1, "", "policies: cannot be pruned, because it is still used by: Acme Ltd on pro-total.\n"
    )
    assert everything(platform) == before


def test_a_dash_reads_standard_input(shop: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(FEWER))
    assert run("apply_config", "-").status == 0
    assert shop.quotas == {"all": 5}
    assert Publication.objects.get(sequence=2).reason == "apply_config -"


def test_a_missing_file_is_reported(shop: Platform, tmp_path: Path) -> None:
    path = str(tmp_path / "missing.yaml")
    outcome = run("apply_config", path)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith(f"{path}: ")
    assert "No such file" in outcome.err


def test_a_folder_instead_of_a_file_is_rejected(shop: Platform, tmp_path: Path) -> None:
    assert run("apply_config", str(tmp_path)).status == 1


def test_a_file_that_is_not_utf_8_is_rejected(shop: Platform, tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_bytes("clients: [{key: müller}]".encode("latin-1"))
    outcome = run("apply_config", str(path))
    assert outcome.status == 1
    assert outcome.err.startswith(f"{path}: 'utf-8' codec can't decode byte 0xfc")


def test_the_file_argument_is_required(shop: Platform) -> None:
    with pytest.raises(CommandError, match="file"):
        run("apply_config")


def test_a_draft_is_created_and_nothing_is_live(shop: Platform, apply_file: Apply) -> None:
    found = apply_file(FEWER, "--draft", "Sale", "--reason", "Spring")
    change = ChangeSet.objects.get()
    created = f"Draft “Sale” was created as change set {change.pk}. Nothing of it is live."
    assert found == Outcome(0, f"{FEWER_SENTENCE}\n{created}\n", "")
    assert (change.state, change.reason, change.author) == ("draft", "Spring", f"{getpass.getuser()} (command)")
    assert (shop.quotas, shop.sequence) == ({"all": 100}, 1)


def test_a_draft_can_prune(shop: Platform, apply_file: Apply) -> None:
    found = apply_file("policies: []", "--draft", "Empty", "--prune")
    assert found.lines[0] == "Policy all removed."
    assert shop.quotas == {"all": 100}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (FEWER, ("--dry-run",), "--draft cannot be combined with --dry-run or --prune-clients."),
        ("clients: [{key: acme}]", (), "clients: cannot be part of a change set"),
        ("policies: [{slug: all, limits: [{quota: -5, window: 60}]}]", (), "policies[0].limits[0].quota"),
    ],
)
def test_what_cannot_be_a_draft(
    shop: Platform, apply_file: Apply, text: str, options: tuple[str, ...], message: str
) -> None:
    found = apply_file(text, "--draft", "Sale", *options)
    assert (found.status, found.out) == (1, "")
    assert message in found.err
    assert not ChangeSet.objects.exists()


def test_a_draft_needs_an_unused_name(shop: Platform, apply_file: Apply) -> None:
    apply_file(FEWER, "--draft", "Sale")
    assert apply_file(FEWER, "--draft", "Sale") == Outcome(1, "", "An unfinished change has this name.\n")


def test_status_3_means_that_changes_of_rules_await_approval(
    shop: Platform, apply_file: Apply, settings: Settings
) -> None:
    settings.RATELIMIT_PLATFORM = settings.RATELIMIT_PLATFORM | {"APPROVAL_REQUIRED": True}
    found = apply_file(f"{FEWER}\nclients: [{{key: new}}]")
    change = ChangeSet.objects.get()
    assert (found.status, found.out) == (3, "")
    assert f"Nothing was changed. Change set {change.pk}, “{change}”, awaits approval." in found.err
    assert (change.state, len(change.edits)) == ("awaiting", 1)
    assert (shop.quotas, Client.objects.filter(key="new").count()) == ({"all": 100}, 0)
    assert apply_file("clients: [{key: new}]").status == 0
    assert apply_file(FEWER, "--dry-run") == Outcome(0, f"{FEWER_SENTENCE}\n", "")
