"""Which proxies may ask: by token, and by the address of the connection."""

from dataclasses import replace

import pytest
from pytest_django import Settings

from ratelimit_enforcer.domain.enums import Scope
from tests.api.conftest import SHOP, token
from tests.api.forward_auth.conftest import HEADERS, Ask, Configure
from tests.support.servers import Store


@pytest.mark.parametrize("proxy", HEADERS)
@pytest.mark.parametrize(
    ("secret", "status", "kind"),
    [
        (None, 401, "missing-token"),
        ("", 401, "missing-token"),
        ("unknown", 401, "invalid-token"),
        ("manager", 403, "insufficient-scope"),
    ],
)
def test_a_token_is_required(ask: Ask, proxy: str, secret: str | None, status: int, kind: str) -> None:
    response = ask(proxy, token=secret)

    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}")
    assert response["WWW-Authenticate"].startswith('Bearer realm="ratelimit"')


def test_the_header_authorization_is_not_the_token(ask: Ask) -> None:
    assert ask("caddy", token=None, authorization="Bearer checker").status_code == 401
    assert ask("caddy", authorization="Bearer of-the-caller").status_code == 200


def test_a_revocation_takes_effect_with_the_publication(ask: Ask, shop: Store) -> None:
    assert ask("nginx").status_code == 200
    shop.publish(replace(SHOP, tokens=(token("other", Scope.CHECK),)))
    assert ask("nginx").status_code == 401


@pytest.mark.parametrize(
    ("peer", "status"),
    [("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("fd00::5", 200), ("10.2.0.1", 401), ("203.0.113.9", 401), ("", 401)],
)
def test_a_trusted_network_is_compared_with_the_peer_of_the_connection(
    ask_web: Ask, peer: str, status: int, configure: Configure
) -> None:
    """Not with ``X-Forwarded-For``, which is the address of the original request."""
    configure(FORWARD_AUTH_NETWORKS=["10.1.0.0/16", "fd00::/8"])
    assert ask_web("traefik", token=None, peer=peer).status_code == status
    assert ask_web("traefik", token=None, peer=peer, x_forwarded_for="10.1.2.3").status_code == status


@pytest.mark.parametrize(("peer", "status"), [("127.1.2.3", 200), ("127.2.0.1", 401)])
def test_both_interfaces_compare_a_trusted_network_with_the_peer(
    ask: Ask, peer: str, status: int, configure: Configure
) -> None:
    configure(FORWARD_AUTH_NETWORKS=["127.1.0.0/16"])
    assert ask("traefik", token=None, peer=peer).status_code == status
    assert ask("traefik", token=None, peer=peer, x_forwarded_for="127.1.2.3").status_code == status


def test_a_proxy_in_a_trusted_network_may_pass_on_a_token_of_its_caller(ask: Ask, configure: Configure) -> None:
    configure(FORWARD_AUTH_NETWORKS=["127.1.0.0/16"])
    assert ask("traefik", token="nonsense", peer="127.1.2.3").status_code == 200


def test_no_network_is_trusted_by_default(ask_web: Ask) -> None:
    assert [ask_web("nginx", token=None, peer=peer).status_code for peer in ("127.0.0.1", "10.0.0.1", "::1")] == [
        401
    ] * 3


def test_the_scheme_of_the_original_request_does_not_matter(ask: Ask, settings: Settings) -> None:
    settings.HTTPS = settings.SECURE_SSL_REDIRECT = True
    assert [ask("caddy", x_forwarded_proto=scheme).status_code for scheme in ("http", "https")] == [200, 200]
