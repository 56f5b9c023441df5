"""No command prints a password, or a part of one, whatever is wrong with the URL that contains it."""

import traceback
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.views.debug import get_exception_reporter_filter
from pytest_django import Settings

from ratelimit_platform.broker import default_broker, named_broker
from ratelimit_platform.database import database
from ratelimit_platform.embedded.redis import free_port
from ratelimit_platform.mail_url import email_settings
from tests.support.forked import Forked, run_forked
from tests.support.waiting import wait_until
from tests.support.web import outer_environment

MARKER = "s3cr3tMARK"

MALFORMED = {
    "DATABASE_URL": [
        f"{MARKER}",
        f"ann:{MARKER}@h/d",
        f"mysql://ann:{MARKER}@h/d",
        f"postgresql://ann:x/{MARKER}@h/d",
        f"postgresql://ann:1/{MARKER}@h/d",
        f"postgresql://ann:x@{MARKER}@h/d",
        f"postgresql://ann:x?y@{MARKER}@h/d",
        f"postgresql://ann:%{MARKER}@h/d",
        f"postgresql://ann:x@h:{MARKER}/d",
        f"postgresql://ann:x@h/d?{MARKER}",
        f"postgresql://ann:x@h/d?password={MARKER}&{MARKER}",
        f"postgresql://ann:x@h/d?{MARKER}=1",
    ],
    "REDIS_URL": [
        f"{MARKER}",
        f":{MARKER}@h",
        f"http://:{MARKER}@h",
        f"redis://:x/{MARKER}@h",
        f"redis://:1/{MARKER}@h",
        f"redis://:x#{MARKER}@h",
        f"redis://:1?{MARKER}@h",
        f"redis://:1?{MARKER}=x@h",
        f"redis://:[{MARKER}@h",
        f"redis://:{MARKER}]@h",
        f"redis://:\u2100{MARKER}@h",
        f"redis://:x@h:{MARKER}",
        f"redis://:x@h/{MARKER}",
        f"redis://h?password=a&{MARKER}=b",
        f"redis://h?db={MARKER}",
        f"rediss://h?ssl_cert_reqs={MARKER}",
        f"unix://{MARKER}",
        f"redis+sentinel://:x,{MARKER}/y@a:1/shop",
        f"redis+sentinel://:{MARKER}@a:1",
        f"redis+sentinel://:{MARKER}@a:x/shop",
        f"redis+cluster://:1/{MARKER}@a",
    ],
    "CELERY_BROKER_URL": [
        f"{MARKER}",
        f"amqp://ann:x/{MARKER}@h",
        f"amqp://ann:[{MARKER}@h",
        f"redis://:x/{MARKER}@h",
        f"sentinel://:{MARKER}@a:1;sentinel://:{MARKER}@b:2",
        f"redis+cluster://:{MARKER}@a",
    ],
    "EMAIL_URL": [
        f"{MARKER}",
        f"smtp://ann:x/{MARKER}@h",
        f"smtp://ann:1/{MARKER}@h",
        f"smtp://ann:1#{MARKER}@h",
        f"smtp://ann:1?{MARKER}@h",
        f"smtp://ann:[{MARKER}@h",
        f"smtp://ann:x@h:{MARKER}",
        f"mailto://ann:{MARKER}@h",
    ],
}

MANAGE = [
    *(["check"], ["migrate"], ["collectstatic", "--noinput", "--dry-run"], ["export_config"], ["publish_ruleset"]),
    *(
        ["apply_config", "demo/shop.yaml"],
        ["explain_limit", "acme", "search"],
        ["issue_token", "x", "--scope", "check"],
    ),
    *(["shadow_all", "on"], ["erase_client", "acme"], ["reset_client", "acme", "--reason", "x"]),
]
OTHERS = [
    ["-m", "ratelimit_platform.running.bootstrap"],
    ["-m", "ratelimit_platform.running"],
    ["-m", "celery", "-A", "ratelimit_platform", "report"],
    ["-m", "celery", "-A", "ratelimit_platform", "inspect", "ping", "--timeout", "1"],
    ["-m", "ratelimit_platform.web"],
]
COMMANDS = [["manage.py", *arguments] for arguments in MANAGE] + OTHERS


def output_of(command: list[str], data_dir: Path, **variables: str) -> str:
    environment = outer_environment() | {"DATA_DIR": str(data_dir), "PORT": str(free_port())} | variables
    result = run_forked(command, environment)
    return result.stdout + result.stderr


READERS = {
    "DATABASE_URL": database,
    "REDIS_URL": default_broker,
    "CELERY_BROKER_URL": named_broker,
    "EMAIL_URL": email_settings,
}


@pytest.mark.parametrize(("name", "url"), [(name, url) for name, urls in MALFORMED.items() for url in urls])
def test_a_malformed_url_is_reported_but_not_printed(name: str, url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as error:
        READERS[name](url)
    assert str(error.value).startswith(name)
    assert MARKER not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=[" ".join(command) for command in COMMANDS])
def test_no_command_prints_a_malformed_url(number: int, tmp_path: Path) -> None:
    name = list(MALFORMED)[number % len(MALFORMED)]
    output = output_of(COMMANDS[number], tmp_path, **{name: MALFORMED[name][number % len(MALFORMED[name])]})
    assert MARKER not in output
    assert name in output


UNREACHABLE = {
    "DATABASE_URL": f"postgresql://ann:{MARKER}@127.0.0.1:1/d",
    "REDIS_URL": f"redis://ann:{MARKER}@127.0.0.1:1/0",
    "EMAIL_URL": f"smtp://ann:{MARKER}@127.0.0.1:1",
    "CHECK_DEADLINE": "0.1",
}


@pytest.mark.parametrize(
    "command",
    [command for command in COMMANDS if "ratelimit_platform.web" not in command],
    ids=lambda command: " ".join(command) if isinstance(command, list) else None,
)
def test_no_command_prints_the_password_of_an_unavailable_store(command: list[str], tmp_path: Path) -> None:
    assert MARKER not in output_of(command, tmp_path, **UNREACHABLE)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("worker", f"redis://ann:{MARKER}@127.0.0.1:1/0"),
        ("beat", f"redis://ann:{MARKER}@127.0.0.1:1/0"),
        ("worker", f"unix://ann:{MARKER}@/nowhere/redis.sock"),
        ("worker", f"redis+sentinel://ann:{MARKER}@127.0.0.1:1,127.0.0.1:2/shop?sentinel_password={MARKER}"),
        ("worker", f"rediss://ann:{MARKER}@127.0.0.1:1/0?ssl_password={MARKER}"),
    ],
)
def test_celery_prints_no_password_in_its_banner_and_errors(kind: str, url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    environment = outer_environment() | UNREACHABLE | {"REDIS_URL": url, "DATA_DIR": str(tmp_path)}
    command = ["-m", "celery", "-A", "ratelimit_platform", kind, "--loglevel", "debug"]
    with log.open("wb") as output:
        process = Forked(command, environment, output=output.fileno(), errors=output.fileno())
    try:
        wait_until(
            lambda: any(sign in log.read_text() for sign in ("Cannot connect", "Connection error", "Trying again"))
        )
        assert MARKER not in log.read_text()
    finally:
        process.kill()
        process.wait()


def test_the_error_page_of_debug_hides_urls(settings: Settings) -> None:
    settings.REDIS_URL = settings.CELERY_BROKER_URL = f"redis://:{MARKER}@h"
    settings.CACHES = {"default": {"LOCATION": [f"redis://:{MARKER}@h"]}}
    shown = get_exception_reporter_filter(None).get_safe_settings()
    assert MARKER not in repr({name: shown[name] for name in ("REDIS_URL", "CELERY_BROKER_URL", "CACHES")})
