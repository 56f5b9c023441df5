"""One wheel and one environment for all tests in this folder."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from redis import Redis

from ratelimit_platform.embedded.redis import RedisServer
from tests.package.elsewhere import Elsewhere
from tests.package.environments import BASE_DIR, Environment, build_wheel

WITH = ("django", "djangorestframework", "django-redis", "redis", "granian")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with the wheel, a web server, and the pinned versions of the platform."""
    environment = Environment(tmp_path_factory.mktemp("environment") / "venv")
    # pytest: the framework's own tests import it.
    environment.install(
        str(wheel), "pytest", *(f"{name}=={version}" for name, version in pinned().items() if name in WITH)
    )
    return environment


def pinned() -> dict[str, str]:
    """Package → pinned version of the platform, for this Python."""
    lines = (BASE_DIR / "requirements.txt").read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines]
    chosen = [each for each in requirements if each.marker is None or each.marker.evaluate()]
    return {each.name.lower(): pin.version for each in chosen for pin in each.specifier}


@pytest.fixture
def elsewhere(environment: Environment, tmp_path: Path) -> Iterator[Elsewhere]:
    """A separate project, and a separate Redis with rules."""
    server = RedisServer(tmp_path / "redis").start()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    yield Elsewhere(environment, server, folder)
    server.kill()


PASSWORD = "of-the-shop"


@pytest.fixture(scope="session")
def shop_url(redis_url: str) -> Iterator[str]:
    """The URL of this test process's Redis, with the user in the documentation."""
    with Redis.from_url(redis_url) as redis:
        redis.execute_command(*acl_command(redis))
        yield redis_url.replace("://", f"://shop:{PASSWORD}@")
        redis.acl_deluser("shop")


def acl_command(redis: Redis) -> list[str]:
    """The command in the documentation, adapted to the version of Redis."""
    page = (BASE_DIR / "docs" / "django-projects.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^ACL SETUSER .+$", page, re.MULTILINE)
    if not knows_read_only_keys(redis):
        line = line.replace("%R~", "~")
    return [str(word) for word in line.replace(">PASSWORD", f">{PASSWORD}").split()]


def knows_read_only_keys(redis: Redis) -> bool:
    return int(str(redis.info("server")["redis_version"]).partition(".")[0]) >= 7
