"""An environment with the wheel, Flask-Limiter and slowapi, whose library has the same name as our Django app."""

from pathlib import Path

import pytest

from tests.package.elsewhere import Elsewhere
from tests.package.environments import Environment, run

pytestmark = pytest.mark.xdist_group("package")

OTHERS = ("flask-limiter==4.1.1", "slowapi==0.1.10", "starlette==1.10.0", "httpx==0.28.1")
APPS = Path(__file__).parent / "beside"


def test_each_limiter_works_in_its_own_application(environment: Environment, elsewhere: Elsewhere) -> None:
    environment.install(*OTHERS)
    assert {"limits", "ratelimit-platform"} <= set(environment.packages)
    for app in ("flask_app.py", "starlette_app.py"):
        assert run(environment.python, "-I", "-W", "ignore", str(APPS / app)).split() == ["200", "429"]
    assert elsewhere.run_own_tests() >= 10
