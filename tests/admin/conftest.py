"""A live shop, and a user in the admin."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.admin.desk import Desk
from tests.publishing.conftest import shop
from tests.publishing.platforms import platform

__all__ = ["platform", "shop"]


@pytest.fixture
def ada(transactional_db: None) -> User:
    """A superuser."""
    return User.objects.create_superuser("ada", "ada@example.com", "a password of Ada")


@pytest.fixture
def desk(ada: User) -> Desk:
    """Ada in the admin. Each request commits, because a save publishes after the commit."""
    return desk_of(ada)


def desk_of(user: User) -> Desk:
    client = Client(raise_request_exception=True)
    client.force_login(user)
    return Desk(client)
