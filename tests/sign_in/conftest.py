"""A provider and a web server of the platform that uses it."""

from collections.abc import Iterator

import httpx
import pytest
from django.contrib.auth.models import Group, Permission

from limits.models.roles import create_roles
from tests.support.provider import Provider, running_provider, visitor
from tests.support.web import WebServer, running_servers

ROLES = "support-team=Support, staff=Viewers, cn=admins=Superuser"


@pytest.fixture(scope="session")
def lasting_provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with running_provider(tmp_path_factory.mktemp("provider")) as provider:
        yield provider


@pytest.fixture(scope="session")
def lasting_platform(django_db_setup: None, lasting_provider: Provider) -> Iterator[WebServer]:
    variables = lasting_provider.variables(ROLES) | {"LOGIN_RATE_ADDRESS": "1000/10m", "OIDC_RECHECK_SECONDS": "3600"}
    with running_servers(1, **variables) as [server]:
        yield server


@pytest.fixture
def provider(lasting_provider: Provider) -> Provider:
    lasting_provider.let_in(
        ada={"groups": ["support-team", "other"], "preferred_username": "ada", "email": "ada@example.com"},
        ben={"groups": ["other"], "preferred_username": "ben"},
    )
    return lasting_provider


@pytest.fixture
def platform(transactional_db: None, lasting_platform: WebServer) -> WebServer:
    create_roles(Group.objects, Permission.objects)
    return lasting_platform


@pytest.fixture
def guest(provider: Provider, platform: WebServer) -> Iterator[httpx.Client]:
    """A browser without scripts."""
    with visitor(provider, platform.url) as client:
        yield client
