"""The content of the wheel, and that it is sufficient."""

import sqlite3
import tomllib
import zipfile
from contextlib import closing
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.package.conftest import pinned
from tests.package.elsewhere import Elsewhere
from tests.package.environments import BASE_DIR, PROJECT, Environment, run

pytestmark = pytest.mark.xdist_group("package")

IMPORT_ALL = """
import django, importlib, pkgutil, sys
django.setup()
import ratelimit_enforcer
for module in pkgutil.walk_packages(ratelimit_enforcer.__path__, "ratelimit_enforcer."):
    importlib.import_module(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def test_the_wheel_contains_exactly_the_enforcer(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    files = run("git", "ls-files", "ratelimit_enforcer", folder=BASE_DIR).split()
    assert names == set(files)


def test_the_wheel_has_few_dependencies(wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(wheel).extractall(tmp_path)
    (about,) = tmp_path.glob("*.dist-info")
    needed = map(Requirement, PathDistribution(about).requires or [])
    assert {each.name for each in needed if not each.marker} == {
        *("django", "djangorestframework", "django-redis", "hiredis", "redis", "tzdata")
    }


def test_the_extra_lists_the_dependencies_of_the_platform() -> None:
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *project["optional-dependencies"]["platform"]]
    versions = pinned()
    assert {Requirement(each).name.lower() for each in named} == set(versions)
    assert [each for each in named if versions[Requirement(each).name.lower()] not in Requirement(each).specifier] == []


def test_every_module_can_be_imported_without_libraries_of_the_platform(
    environment: Environment, elsewhere: Elsewhere
) -> None:
    variables = elsewhere.variables() | {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    imported = run(environment.python, "-c", IMPORT_ALL, folder=PROJECT, **variables).split()
    assert not {"celery", "psycopg", "structlog", "unfold", "orjson", "environ", "jsonschema"} & set(imported)


def test_a_new_project_has_no_problems_and_passes_its_tests(elsewhere: Elsewhere) -> None:
    assert "no issues" in elsewhere.check()
    assert elsewhere.run_own_tests() >= 10


def test_a_misspelt_rate_is_reported_by_the_system_checks(elsewhere: Elsewhere) -> None:
    variables = elsewhere.variables() | {"WITH_CHECKS": "1", "UPLOADS": "5/month"}
    with pytest.raises(Exception, match=r"\(ratelimit_enforcer\.E008\) DEFAULT_THROTTLE_RATES\['uploads'\]: “5/month”"):
        elsewhere.environment.manage("check", **variables)


def test_the_frameworks_own_tests_pass_with_our_base_classes(elsewhere: Elsewhere) -> None:
    assert elsewhere.run_tests_of_the_framework() >= 29


def test_the_project_has_no_tables_of_the_platform(elsewhere: Elsewhere) -> None:
    """Even with the entry in INSTALLED_APPS that adds the system checks."""
    variables = elsewhere.variables() | {"WITH_CHECKS": "1"}
    elsewhere.environment.manage("migrate", "--verbosity", "0", **variables)
    with closing(sqlite3.connect(variables["DATABASE"])) as database:
        tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    assert "auth_user" in tables
    assert [name for name in tables if name.startswith(("limits", "ratelimit"))] == []
