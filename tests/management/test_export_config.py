"""``export_config``: prints a file that ``apply_config`` reads."""

from pathlib import Path

import pytest

from limits.configfile.export import export
from tests.configfile.files import STORE, empty_tables, put
from tests.management.running import Outcome, run
from tests.publishing.platforms import Platform

pytestmark = pytest.mark.django_db


def test_the_output_is_the_exported_file_only(platform: Platform) -> None:
    put(STORE)
    assert run("export_config") == Outcome(0, export(), "")


def test_an_export_needs_no_store(shop: Platform) -> None:
    shop.make_store_unavailable()
    assert run("export_config").status == 0


def test_the_output_can_be_applied_to_an_empty_platform(platform: Platform, tmp_path: Path) -> None:
    put(STORE)
    printed = run("export_config").out
    empty_tables()
    path = tmp_path / "rules.yaml"
    path.write_text(printed, encoding="utf-8")
    assert run("apply_config", str(path)).status == 0
    assert run("export_config").out == printed


def test_the_output_contains_no_secret(shop: Platform) -> None:
    secret = run("issue_token", "shop", "--scope", "check").out.strip()
    printed = run("export_config").out
    assert secret not in printed
    assert "token" not in printed
