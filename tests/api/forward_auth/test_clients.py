"""The client of a request: named by a header or cookie, else by the address."""

import time
from hashlib import sha256

import pytest
from django.core.exceptions import ImproperlyConfigured

from api.forward_auth.clients import client_key
from ratelimit_enforcer.domain.client import ClientRecord
from ratelimit_enforcer.domain.enums import ClientStatus
from ratelimit_enforcer.engine import CheckRequest, get_engine
from tests.api.conftest import CLIENTS
from tests.api.forward_auth.conftest import ADDRESS, HEADERS, Ask, Configure
from tests.support.servers import Store

SECRET = "sk_live_4711"
DIGEST = f"sha256:{sha256(SECRET.encode()).hexdigest()}"
PRO = ClientRecord(DIGEST, 7, plan="pro")


def remaining(client: str) -> int | None:
    """The client's remaining quota on “search”; None: no limit applies."""
    states = get_engine().check(CheckRequest(client, "search"), consume=False).limits
    return next((state.remaining for state in states if state.policy == "free-search"), None)


@pytest.mark.parametrize("proxy", HEADERS)
def test_a_registered_secret_is_the_client_by_its_digest(
    ask: Ask, proxy: str, shop: Store, configure: Configure
) -> None:
    shop.load(ClientRecord(DIGEST, 7))
    configure(FORWARD_AUTH_CLIENT="header:X-API-Key")

    answers = [ask(proxy, x_api_key=SECRET) for _ in range(4)]

    assert (answers[3].status_code, answers[3].json()["client"]) == (429, DIGEST)
    assert SECRET not in answers[3].content.decode()
    assert remaining(f"ip:{ADDRESS}") == 3
    assert ask(proxy).status_code == 200


@pytest.mark.parametrize("proxy", HEADERS)
def test_other_secrets_count_for_the_address_together(ask: Ask, proxy: str, configure: Configure) -> None:
    """Otherwise a caller could have a new quota with each request."""
    configure(FORWARD_AUTH_CLIENT="header:X-API-Key")

    answers = [ask(proxy, x_api_key=f"guess-{number}") for number in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["client"] == f"ip:{ADDRESS}"
    assert remaining(f"sha256:{sha256(b'guess-0').hexdigest()}") == 3


def test_a_client_is_found_as_soon_as_it_is_registered_and_not_after_its_removal(
    ask: Ask, shop: Store, configure: Configure
) -> None:
    configure(FORWARD_AUTH_CLIENT="header:X-API-Key")
    assert "RateLimit" in ask("nginx", x_api_key=SECRET)
    shop.put(PRO)
    assert "RateLimit" not in ask("nginx", x_api_key=SECRET)
    shop.put(ClientRecord(DIGEST, 8, deleted=True))
    assert ask("nginx", x_api_key=SECRET)["RateLimit"].startswith('"free-search:3600s";r=1;')
    shop.put(ClientRecord(DIGEST, 9, plan="pro"))
    assert "RateLimit" not in ask("nginx", x_api_key=SECRET)
    assert remaining(f"ip:{ADDRESS}") == 1


def test_a_removal_during_the_check_consumes_nothing_for_the_removed_client(
    ask: Ask, shop: Store, configure: Configure
) -> None:
    configure(FORWARD_AUTH_CLIENT="header:X-API-Key")
    shop.put(ClientRecord(DIGEST, 7))
    assert ask("nginx", x_api_key=SECRET).status_code == 200
    shop.put(ClientRecord(DIGEST, 8, deleted=True))

    assert ask("nginx", x_api_key=SECRET)["RateLimit"].startswith('"free-search:3600s";r=2;')

    assert remaining(DIGEST) == 2


def test_a_known_client_takes_one_call_of_the_store(
    ask: Ask, shop: Store, configure: Configure, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put(PRO)
    configure(FORWARD_AUTH_CLIENT="header:X-API-Key")
    ask("nginx", x_api_key=SECRET)
    decider, calls = get_engine()._decider, []
    run = decider._run
    monkeypatch.setattr(decider, "_run", lambda *arguments: calls.append(1) or run(*arguments))  # type: ignore[func-returns-value]

    for _ in range(10):
        ask("nginx", x_api_key=SECRET)

    assert len(calls) == 10


def test_blocked_and_exempt_clients(ask: Ask, shop: Store, configure: Configure) -> None:
    configure(FORWARD_AUTH_CLIENT="header:X-API-Key")
    shop.put(ClientRecord(DIGEST, 7, status=ClientStatus.BLOCKED))
    assert ask("nginx", x_api_key=SECRET).status_code == 403
    shop.put(ClientRecord(DIGEST, 8, status=ClientStatus.EXEMPT))
    assert [ask("nginx", x_api_key=SECRET).status_code for _ in range(5)] == [200] * 5


def test_a_client_below_a_parent(ask: Ask, shop: Store, configure: Configure) -> None:
    configure(FORWARD_AUTH_CLIENT="header:X-API-Key")
    shop.load(*CLIENTS, ClientRecord("team", 4, plan="free"), ClientRecord(DIGEST, 5, parent="team"))

    answers = [ask("nginx", x_api_key=SECRET) for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["violated-policies"] == ["free-search:3600s~1"]
    assert remaining(f"ip:{ADDRESS}") == 3


def test_a_cookie_names_the_client(ask: Ask, shop: Store, configure: Configure) -> None:
    shop.put(PRO)
    configure(FORWARD_AUTH_CLIENT="cookie:session")
    assert "RateLimit" not in ask("caddy", cookie=f"theme=dark; session={SECRET}; more=1")
    assert "RateLimit" in ask("caddy", cookie="session=other")
    assert "RateLimit" in ask("caddy", cookie=f"Session={SECRET}")
    assert "RateLimit" in ask("caddy", x_session=SECRET)


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (f"Bearer {SECRET}", DIGEST),
        (f"bearer   {SECRET} ", DIGEST),
        (SECRET, None),
        (f"Basic {SECRET}", None),
        ("Bearer", None),
        ("", None),
    ],
)
def test_of_authorization_the_bearer_token_is_the_secret(value: str, key: str | None, configure: Configure) -> None:
    configure(FORWARD_AUTH_CLIENT="header:Authorization")
    assert client_key({"HTTP_AUTHORIZATION": value}) == key


def test_a_value_that_is_no_secret_is_the_key_itself(ask: Ask, shop: Store, configure: Configure) -> None:
    configure(FORWARD_AUTH_CLIENT="header:X-Client", FORWARD_AUTH_CLIENT_IS_SECRET=False)
    assert "RateLimit" not in ask("nginx", x_client="acme")
    assert ask("nginx", x_client="nobody")["RateLimit"].startswith('"free-search:3600s";r=2;')
    assert client_key({"HTTP_X_CLIENT": "caf\xc3\xa9"}) == "café"
    assert client_key({"HTTP_X_CLIENT": "x" * 257}) == f"sha256:{sha256(b'x' * 257).hexdigest()}"


def test_unverified_values_are_clients_if_the_setting_accepts_them(ask: Ask, configure: Configure) -> None:
    configure(FORWARD_AUTH_CLIENT="header:X-API-Key", FORWARD_AUTH_UNVERIFIED=True)
    assert [ask("nginx", x_api_key="one").status_code for _ in range(4)] == [200, 200, 200, 429]
    assert ask("nginx", x_api_key="two").status_code == 200
    assert remaining(f"ip:{ADDRESS}") == 3


def test_without_the_setting_no_header_names_a_client(ask: Ask, shop: Store) -> None:
    shop.put(PRO)
    assert "RateLimit" in ask("nginx", x_api_key=SECRET, authorization=f"Bearer {SECRET}", cookie=f"session={SECRET}")


@pytest.mark.parametrize("given", ["X-API-Key", "header:", "query:key"])
def test_an_invalid_setting_is_reported(given: str, configure: Configure) -> None:
    configure(FORWARD_AUTH_CLIENT=given)
    with pytest.raises(ImproperlyConfigured, match="FORWARD_AUTH_CLIENT"):
        client_key({})


def test_a_huge_cookie_header_is_parsed_quickly(configure: Configure) -> None:
    configure(FORWARD_AUTH_CLIENT="cookie:session")
    began = time.process_time()
    client_key({"HTTP_COOKIE": "a=1; " * 12_000 + 'b="' + "\\" * 4_000})
    assert time.process_time() - began < 1
