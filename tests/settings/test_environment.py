"""Environment variables: literal values, types, error messages, and documentation."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ratelimit_platform import env_file
from tests.support.forked import run_forked
from tests.support.web import BASE_DIR, outer_environment

LITERAL = [
    *("$tr0ng!Pass1", "$rl", "${HOME}", "{{HOME}}", r"\$x", "a$b", "$(id)", "`id`", "%(x)s"),
    *("'quoted'", '"quoted"', "it's", '"', "'", "a#b", "# a", "a\\b\\", "a=b", " spaced ", "line\nend", "ü\u2028"),
]
SHOW = (
    "import json, os; os.environ['DJANGO_SETTINGS_MODULE'] = 'ratelimit_platform.settings'; "
    "from django.conf import settings; print(json.dumps([settings.SECRET_KEY, settings.DEFAULT_FROM_EMAIL]))"
)


def settings_shown(data_dir: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = outer_environment() | {"DATA_DIR": str(data_dir)} | variables
    environment = {name: value for name, value in environment.items() if value != "(unset)"}
    return run_forked(["-c", SHOW], environment)


@pytest.mark.parametrize("value", LITERAL)
def test_a_value_is_taken_literally(value: str, tmp_path: Path) -> None:
    shown = settings_shown(tmp_path, SECRET_KEY=value, EMAIL_FROM=value)
    assert json.loads(shown.stdout) == [value, value], shown.stderr


@pytest.mark.parametrize("value", LITERAL)
def test_a_value_in_the_file_is_taken_literally(value: str, tmp_path: Path) -> None:
    env_file.write(tmp_path / "env", {"SECRET_KEY": value, "EMAIL_FROM": value})
    shown = settings_shown(tmp_path, SECRET_KEY="(unset)")
    assert json.loads(shown.stdout) == [value, value], shown.stderr


@given(
    st.dictionaries(st.from_regex(r"[A-Z_][A-Z0-9_]*", fullmatch=True), st.text(st.characters(exclude_characters="\0")))
)
def test_written_variables_can_be_read(variables: dict[str, str]) -> None:
    file = Path(os.environ["DATA_DIR"]) / f"env-{os.getpid()}"
    file.parent.mkdir(parents=True, exist_ok=True)
    env_file.write(file, variables)
    assert env_file.read(file) == variables
    assert file.stat().st_mode & 0o777 == 0o600
    file.unlink()


def test_files_of_earlier_releases_or_written_by_hand_are_read(tmp_path: Path) -> None:
    file = tmp_path / "env"
    file.write_text("# mine\n\nA=x,y,[::1]\nexport B='two words'\nC=whsec_a+b/c==\r\nD=it's $5 # all of it\n")
    assert env_file.read(file) == {"A": "x,y,[::1]", "B": "two words", "C": "whsec_a+b/c==", "D": "it's $5 # all of it"}
    assert env_file.read(tmp_path / "none") == {}


def test_an_incomplete_line_is_reported_and_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "env"
    file.write_bytes(b'A=1\nNONAME\nB="secret\n\xff\xfe')
    assert env_file.read(file) == {"A": "1"}
    assert "line 2" in (printed := capsys.readouterr().err)
    assert "secret" not in printed.lower()


def test_a_failed_write_leaves_the_file_unchanged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "env"
    env_file.write(file, {"SECRET_KEY": "old"})

    def disk_full(descriptor: int) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        env_file.write(file, {"SECRET_KEY": "new"})
    assert env_file.read(file) == {"SECRET_KEY": "old"}
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("PORT", "99999", "less than or equal to 65535"),
        ("PORT", "0", "greater than or equal to 1"),
        ("PORT", "80a", "Not a valid integer"),
        ("WEB_WORKERS", "0", "greater than or equal to 1"),
        ("CHECK_DEADLINE", "0", "greater than 0"),
        ("CHECK_DEADLINE", "-1", "greater than 0"),
        ("CHECK_DEADLINE", "0.1s", "Not a valid number"),
        ("CHECK_DEADLINE", "nan", "not permitted"),
        ("CHECK_DEADLINE", "3600", "less than or equal to 60"),
        ("COUNTS_PER_BUCKET", "0", "greater than or equal to 1"),
        ("KEEP_MINUTES", "0", "greater than or equal to 1"),
        ("KEEP_HOURS", "1.5", "Not a valid integer"),
        ("KEEP_DAYS", "-1", "greater than or equal to 1"),
        ("NUM_PROXIES", "-1", "greater than or equal to 0"),
        ("DEBUG", "maybe", "Not a valid boolean"),
        ("HTTPS", "tru", "Not a valid boolean"),
        ("DEMO", "2", "Not a valid boolean"),
        ("NAMESPACE", "a b", "without braces and spaces"),
        ("NAMESPACE", "{rl}", "without braces and spaces"),
        ("LOG_FORMAT", "xml", "Must be one of: console, json"),
        ("METRICS_NETWORKS", "10.1.0.0/16,ten", "does not appear to be an IPv4 or IPv6 network"),
        ("GATEWAY_NETWORKS", "10.1.0.0/16,ten", "does not appear to be an IPv4 or IPv6 network"),
        ("FORWARD_AUTH_NETWORKS", "10.1.0.0/16,ten", "does not appear to be an IPv4 or IPv6 network"),
        ("FORWARD_AUTH_CLIENT", "X-API-Key", "header:NAME or cookie:NAME"),
        ("FORWARD_AUTH_CLIENT", "cookie:a;b", "header:NAME or cookie:NAME"),
        ("FORWARD_AUTH_CLIENT_IS_SECRET", "maybe", "Not a valid boolean"),
        ("FORWARD_AUTH_UNVERIFIED", "2", "Not a valid boolean"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.1.0.1/16", "has host bits set"),
        ("PUBLIC_URL", "limits.example.com", "an address, https://"),
        ("LOGIN_RATE_NAME", "30/fortnight", "30/fortnight"),
        ("EMAIL_URL", "mail", "must begin with smtp://"),
        ("EMAIL_URL", "smtp://h:x", "host or port is invalid"),
        ("EMAIL_URL", "smtp://h/x", "nothing may follow the port"),
    ],
)
def test_an_invalid_value_is_reported_with_its_variable(name: str, value: str, problem: str, tmp_path: Path) -> None:
    shown = settings_shown(tmp_path, **{name: value})
    assert shown.returncode != 0
    last = shown.stderr.strip().splitlines()[-1]
    assert last.startswith("django.core.exceptions.ImproperlyConfigured: " + name)
    assert problem in last


@pytest.mark.parametrize("name", ["PORT", "WEB_WORKERS", "DEMO", "CELERY_BROKER_URL", "EMAIL_URL", "PUBLIC_URL"])
def test_an_empty_variable_counts_as_unset(name: str, tmp_path: Path) -> None:
    assert settings_shown(tmp_path, **{name: ""}).returncode == 0


NOT_DOCUMENTED = {"PYTHON"}
"""Variables of the installation, not of the running platform."""

NOT_FOR_CONTAINERS = {
    *("DATA_DIR", "LOG_FORMAT"),  # the image sets them
    *(
        "HOST",
        "PORT",
        "GATEWAY_PORT",
        "GATEWAY_GRPC_PORT",
    ),  # a container has its own address; LISTEN is that of the machine
    *("ADMIN_PASSWORD", "API_TOKEN"),  # only `make run` sets these up
    "DEBUG",
}

NOT_FOR_COMPOSE = {"CELERY_BROKER_URL"}
"""The Redis of the compose file is one server, which is also the broker."""

SECRETS = {
    *("SECRET_KEY", "DATABASE_URL", "REDIS_URL", "CELERY_BROKER_URL", "EMAIL_URL"),
    *("WEBHOOK_SECRET", "OIDC_CLIENT_SECRET"),
}
"""Variables that are secrets or contain passwords."""

OTHER_DEFAULTS = {
    *("ALLOWED_HOSTS", "PUBLIC_URL"),  # an overlay has to set them
    "NUM_PROXIES",  # the ingress is one more
}


def read_by_the_code() -> set[str]:
    """All variables that settings, `make run` or the Makefile read."""
    files = [*(BASE_DIR / "ratelimit_platform").rglob("*.py"), *(BASE_DIR / "demo").rglob("*.py")]
    python = "\n".join(file.read_text(encoding="utf-8") for file in files)
    makefile = (BASE_DIR / "Makefile").read_text(encoding="utf-8")
    return {
        *re.findall(r"\b(?:env\.\w+|required)\(\s*\"([A-Z_]+)\"", python),
        *re.findall(r"os\.environ(?:\.get\(|\.setdefault\(|\[)\"([A-Z_]+)\"", python),
        *re.findall(r"\$\$\{([A-Z_]+)", makefile),
    } - {"DJANGO_SETTINGS_MODULE", "PGSERVICE"}


def documented() -> set[str]:
    readme = (BASE_DIR / "README.md").read_text(encoding="utf-8")
    table = readme.partition("\n## Settings\n")[2].partition("\n## ")[0]
    return {
        name for row in re.findall(r"^\| (`[A-Z_`, ]+) \|", table, re.MULTILINE) for name in re.findall(r"[A-Z_]+", row)
    }


def test_the_table_in_the_readme_has_all_variables() -> None:
    assert read_by_the_code() - NOT_DOCUMENTED == documented()


def of_compose() -> dict[str, str]:
    """The variables in the compose file, with their defaults."""
    compose = yaml.safe_load((BASE_DIR / "docker-compose.yml").read_text(encoding="utf-8"))
    environment = compose["x-platform"]["environment"]
    return {name: re.sub(r"\$\{[A-Z_]+:-(.*)\}", r"\1", str(value)) for name, value in environment.items()}


def of_kubernetes(file: str) -> dict[str, str]:
    text = (BASE_DIR / "kubernetes" / file).read_text(encoding="utf-8")
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))


def test_containers_and_manifests_pass_every_variable() -> None:
    """The README, the compose file and the manifests have the same variables."""
    taken = documented() - NOT_FOR_CONTAINERS
    assert set(of_compose()) == taken - NOT_FOR_COMPOSE
    assert set(of_kubernetes("base/settings.env")) == taken - SECRETS
    assert set(of_kubernetes("example/secrets.env.example")) == SECRETS
    assert documented() >= NOT_FOR_CONTAINERS | NOT_FOR_COMPOSE | SECRETS


def test_containers_and_manifests_have_the_same_defaults() -> None:
    compose, manifests = of_compose(), of_kubernetes("base/settings.env")
    assert {name for name, value in manifests.items() if value != compose[name]} == OTHER_DEFAULTS


def test_the_example_overlay_sets_existing_variables() -> None:
    assert set(of_kubernetes("example/settings.env")) <= set(of_kubernetes("base/settings.env"))
    assert set(of_kubernetes("example/settings.env")) >= {"ALLOWED_HOSTS", "PUBLIC_URL"}


def test_the_settings_list_every_variable() -> None:
    text = (BASE_DIR / "ratelimit_platform" / "settings.py").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([A-Z_]+)  ", text.split('"""')[1], re.MULTILINE))
    assert listed == documented() - {"HOST"}
