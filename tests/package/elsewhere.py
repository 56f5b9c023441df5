"""A separate project: an environment with the wheel, and a Redis with published rules."""

import re
import shutil
from pathlib import Path

from ratelimit_platform.embedded.redis import RedisServer
from tests.api.conftest import CLIENTS, SHOP
from tests.package.environments import PROJECT, Environment, tests_of_the_framework
from tests.support.servers import Store

NAMESPACE = "elsewhere"
RULES, FRAMEWORK = 0, 5
"""Numbers of Redis databases; the framework's tests empty the second one."""

_NUMBER_OF_TESTS = re.compile(r"^Ran (\d+) tests? in", re.MULTILINE)


class Elsewhere:
    """Runs the project's tests in one environment."""

    def __init__(self, environment: Environment, server: RedisServer, folder: Path) -> None:
        """``server``: a running, separate Redis; ``folder``: an empty folder."""
        self.environment = environment
        self._server = server
        self._folder = folder
        store = Store(server.url, NAMESPACE)
        store.publish(SHOP)
        store.load(*CLIENTS)

    def check(self) -> str:
        """``manage.py check``, with the system checks."""
        return self._manage("check", RULES, WITH_CHECKS="1")

    def run_own_tests(self) -> int:
        """Runs the project's tests, which must pass. Returns their number."""
        return _number(self._manage("test", RULES, "shop.tests"))

    def run_tests_of_the_framework(self) -> int:
        """Runs the framework's tests with our classes, which must pass. Returns their number."""
        project = self._folder / "project"
        shutil.copytree(PROJECT, project)
        text = tests_of_the_framework(self.environment.packages["djangorestframework"], self._folder)
        (project / "shop" / "framework_tests.py").write_text(text, encoding="utf-8")
        return _number(self._manage("test", FRAMEWORK, "shop.framework_tests", project=project))

    def _manage(self, command: str, database: int, *arguments: str, project: Path = PROJECT, **variables: str) -> str:
        return self.environment.manage(command, *arguments, project=project, **self.variables(database), **variables)

    def variables(self, database: int = RULES) -> dict[str, str]:
        """The environment of the project's processes."""
        url = f"redis://127.0.0.1:{self._server.port}/{database}"
        return {"REDIS_URL": url, "NAMESPACE": NAMESPACE, "DATABASE": str(self._folder / "shop.sqlite3")}


def _number(output: str) -> int:
    match = _NUMBER_OF_TESTS.search(output)
    assert match, output
    return int(match[1])
