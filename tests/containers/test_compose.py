"""Translation of the compose file to options of podman. Needs no container engine."""

from pathlib import Path

import pytest

from tests.containers.compose import (
    ComposeError,
    Project,
    Service,
    in_order,
    interpolate,
    read_project,
    read_variables,
    seconds,
)

BASE_DIR = Path(__file__).resolve().parents[2]
FILLED = {"SECRET_KEY": "key", "POSTGRES_PASSWORD": "one", "REDIS_PASSWORD": "two"}


@pytest.fixture
def project() -> Project:
    example = read_variables((BASE_DIR / "containers" / "env.example").read_text(encoding="utf-8"))
    return read_project(BASE_DIR, example | FILLED)


def service(**stated: object) -> Service:
    return Service("one", {"image": "x"} | stated, Path("/project"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${NAME:-rl}", "shop"),
        ("${OTHER:-rl}", "rl"),
        ("${EMPTY:-rl}", "rl"),
        ("${OTHER:-}", ""),
        ("smtp://${NAME:?say it}:1025", "smtp://shop:1025"),
        ("celery@$$HOSTNAME", "celery@$HOSTNAME"),
        ("${EMAIL_FROM:-Rate limits <rate-limits@localhost>}", "Rate limits <rate-limits@localhost>"),
    ],
)
def test_variables_are_replaced_like_in_compose(text: str, expected: str) -> None:
    assert interpolate(text, {"NAME": "shop", "EMPTY": ""}) == expected


def test_a_missing_required_variable_is_reported() -> None:
    with pytest.raises(ComposeError, match="SECRET_KEY: Fill it in"):
        interpolate("${SECRET_KEY:?Fill it in}", {"SECRET_KEY": ""})


def test_an_unknown_key_and_an_unknown_duration_are_errors() -> None:
    with pytest.raises(ComposeError, match="no translation for mem_limit"):
        _ = service(mem_limit="1g").options
    with pytest.raises(ComposeError):
        seconds("1h30m")


def test_a_service_is_translated_to_options() -> None:
    stated = service(
        environment={"A": 1}, read_only=True, tmpfs=["/tmp"], cap_drop=["ALL"], networks=["stores", "front"],
        security_opt=["no-new-privileges:true"], ports=["127.0.0.1:80:8080"], user="nginx", stop_grace_period="30s",
        volumes=["./containers/nginx.conf:/etc/nginx/nginx.conf:ro", "data:/data"], restart="unless-stopped",
    )  # fmt: skip
    assert stated.options == [
        *("--env", "A=1", "--restart", "unless-stopped", "--read-only", "--read-only-tmpfs=false"),
        *("--tmpfs", "/tmp:rw,noexec,nosuid,nodev,mode=1777,notmpcopyup", "--cap-drop", "ALL"),
        *("--security-opt", "no-new-privileges", "--network", "stores,front", "--publish", "127.0.0.1:80:8080"),
        *("--user", "nginx", "--stop-timeout", "30"),
        *("--volume", "/project/containers/nginx.conf:/etc/nginx/nginx.conf:ro", "--volume", "data:/data"),
    ]


def test_a_health_check_is_translated() -> None:
    check = service(
        healthcheck={"test": ["CMD-SHELL", "ping | grep PONG"], "interval": "5s", "timeout": "3s"}
    ).health_check
    assert check
    assert check.command == ("/bin/sh", "-c", "ping | grep PONG")
    assert (check.interval, check.timeout, check.retries, check.start_period) == (5, 3, 3, 0)
    with pytest.raises(ComposeError):
        _ = service(healthcheck={"test": ["NONE"]}).health_check


def test_every_service_of_the_file_can_be_translated(project: Project) -> None:
    assert all(service.options and service.command is not None for service in project.services.values())
    assert project.services["web"].is_built
    assert not project.services["redis"].is_built
    assert project.services["redis"].command[-1] == "two"
    assert project.networks == {"stores": True, "front": False, "mail": False}


def test_every_public_image_has_a_stand_in(project: Project) -> None:
    stand_ins = {file.stem for file in (Path(__file__).parent / "stand_ins").glob("*.Containerfile")}
    assert stand_ins == {name for name, service in project.services.items() if not service.is_built}


def test_services_start_after_what_they_depend_on(project: Project) -> None:
    order = [service.name for service in in_order(project.services)]
    assert sorted(order) == sorted(project.services)
    for name, service in project.services.items():
        assert all(order.index(other) < order.index(name) for other in service.depends_on)


def test_a_cycle_of_dependencies_is_an_error() -> None:
    def after(name: str, other: str) -> Service:
        return Service(name, {"depends_on": {other: {"condition": "service_healthy"}}}, Path())

    with pytest.raises(ComposeError, match="a, b"):
        list(in_order({"a": after("a", "b"), "b": after("b", "a")}))
