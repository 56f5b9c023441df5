"""All URLs of the admin, for every role, with invalid ids, malicious queries and forms: never a 5xx, and
no GET changes any data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.db import connection
from django.test import Client as Browser

from limits.models.roles import ROLES, create_roles
from tests.admin.walking import GARBAGE, HUGE, NUL, ODD_IDS, QUERIES, Address, a_row_of_every_kind, addresses, row_of
from tests.publishing.platforms import Platform
from tests.support.histories import FUZZ_EXAMPLES

pytestmark = pytest.mark.django_db(transaction=True)

SUPERUSER, STAFF, ANONYMOUS = "superuser", "staff without groups", "anonymous"
EVERYBODY = [*ROLES, SUPERUSER, STAFF, ANONYMOUS]
EVERY_ADDRESS = addresses()
WITH_A_ROW = [address for address in EVERY_ADDRESS if address.takes_a_row]
PARTS = 2
"""The test with malicious queries is divided into two, for two test processes."""
ONE_OF_EACH = {"q": NUL, "p": "abc", "o": "99", "e": "1", "id__range": "", "_to_field": "", "plan": HUGE, "client": NUL}


@pytest.fixture
def browser_of(shop: Platform, ada: User) -> Callable[[str], Browser]:
    """A browser of a user with this role, on a platform with a row of every model."""
    create_roles(Group.objects, Permission.objects)
    a_row_of_every_kind()

    def browser_of(role: str) -> Browser:
        browser = Browser(raise_request_exception=False)
        if role != ANONYMOUS:
            browser.force_login(_user(role))
        return browser

    return browser_of


def _user(role: str) -> User:
    user = User.objects.create_user("somebody", is_staff=True, is_superuser=role == SUPERUSER)
    if role in ROLES:
        user.groups.add(Group.objects.get(name=role))
    return user


@contextmanager
def nothing_changes(shop: Platform) -> Iterator[None]:
    """Asserts that all tables and Redis are unchanged. (A read-only transaction would also reject locks and previews
    that are rolled back.)"""
    before = tables(), shop.content()
    yield
    assert (tables(), shop.content()) == before


def tables() -> dict[str, str]:
    """Table → digest of its content."""
    digests = {}
    with connection.cursor() as cursor:
        for name in connection.introspection.table_names(cursor):
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {name} t")
            digests[name] = cursor.fetchone()[0]
    return digests


def some(values: list[Any], at: int, every: int) -> list[Any]:
    """Every ``every``-th value, different ones for each page; ``make fuzz`` sends all of them to each page."""
    return values if FUZZ_EXAMPLES else values[at % every :: every]


class Walk:
    """Sends requests and collects failures."""

    def __init__(self, browser: Browser) -> None:
        self.browser, self.failures, self.count = browser, [], 0  # type: ignore[var-annotated]

    def get(self, path: str, query: dict[str, str] | None = None) -> None:
        self._look_at(f"GET {path} {query or ''}", self.browser.get(path, query or {}))

    def post(self, path: str, form: dict[str, Any]) -> None:
        self._look_at(f"POST {path} {form}", self.browser.post(path, form))

    def _look_at(self, what: str, answer: Any) -> None:
        self.count += 1
        if answer.status_code >= 500:
            error = answer.exc_info[1] if answer.exc_info else answer.status_code
            self.failures.append(f"{what[:150]}: {type(error).__name__}: {str(error)[:150]}")


@pytest.fixture
def walk(browser_of: Callable[[str], Browser]) -> Iterator[Callable[[str], Walk]]:
    walks: list[Walk] = []

    def walk(role: str) -> Walk:
        walks.append(Walk(browser_of(role)))
        return walks[-1]

    yield walk
    for each in walks:
        assert each.count > 100, "The walk was short."
        assert not each.failures, f"{len(each.failures)} of {each.count}:\n" + "\n".join(each.failures[:60])


def real(address: Address) -> str:
    return address.path(row_of(address.model))


def is_a_logout(address: Address) -> bool:
    return address.name == "logout"


def test_the_list_of_urls_is_complete() -> None:
    names = {address.name for address in EVERY_ADDRESS}
    assert len(EVERY_ADDRESS) > 140
    known = {"limits_plan_copy", "limits_publication_roll_back", "limits_client_status", "limits_alert_handle"}
    known |= {"limits_changeset_publish", "limits_changeset_resolve", "limits_changeset_simulation_file"}
    known |= {"limits_notificationchannel_send_test"}
    known |= {"limits_policy_shadow_report", "limits_policy_shadow_file", "limits_policy_enforce"}
    known |= {"limits_usage_report", "limits_usage_report_file"}
    assert known | {"auth_user_password_change", "limits_policy_sentence", "autocomplete", "jsi18n"} <= names


@pytest.mark.parametrize("role", EVERYBODY)
def test_a_get_causes_no_error_and_no_change_for_any_role(
    walk: Callable[[str], Walk], shop: Platform, role: str
) -> None:
    walker = walk(role)
    with nothing_changes(shop):
        for address in EVERY_ADDRESS:
            if not is_a_logout(address):
                walker.get(real(address), ONE_OF_EACH if role == SUPERUSER and address.takes_a_row else None)


@pytest.mark.parametrize("role", [SUPERUSER, "Support"])
def test_invalid_ids_cause_no_server_error(walk: Callable[[str], Walk], shop: Platform, role: str) -> None:
    walker = walk(role)
    with nothing_changes(shop):
        for at, address in enumerate(WITH_A_ROW):
            for row in some(ODD_IDS, at, 3 if role == SUPERUSER else 6):
                walker.get(address.path(row))


@pytest.mark.parametrize("part", range(PARTS))
def test_malicious_queries_cause_no_server_error(walk: Callable[[str], Walk], shop: Platform, part: int) -> None:
    """Each page gets some of the queries, and each query is sent to many pages."""
    walker = walk(SUPERUSER)
    pages = [address for address in EVERY_ADDRESS if not address.takes_a_row and not is_a_logout(address)]
    with nothing_changes(shop):
        for at, address in list(enumerate(pages))[part::PARTS]:
            for query in some(QUERIES, at // PARTS, 8):
                walker.get(real(address), query)


@pytest.mark.parametrize("role", EVERYBODY)
def test_invalid_forms_cause_no_server_error(walk: Callable[[str], Walk], role: str) -> None:
    """Each page gets some of the forms, more of them as superuser."""
    walker = walk(role)
    for at, address in enumerate(EVERY_ADDRESS):
        if not is_a_logout(address):
            for form in some(GARBAGE, at, 4 if role == SUPERUSER else 8):
                walker.post(real(address), form)


def test_forms_with_invalid_ids_cause_no_server_error(walk: Callable[[str], Walk]) -> None:
    walker = walk(SUPERUSER)
    for at, address in enumerate(WITH_A_ROW):
        for row in some([HUGE, "abc", "0"], at, 2):
            walker.post(address.path(row), GARBAGE[1])
