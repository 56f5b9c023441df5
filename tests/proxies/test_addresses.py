"""The caller's address where the platform counts more proxies than are in front of it, as with the manifests."""

from pathlib import Path

import pytest

from tests.proxies.application import Application
from tests.proxies.conftest import SETTINGS, port_of, publish
from tests.proxies.proxies import KINDS, all_proxies
from tests.proxies.sending import send
from tests.support.servers import Store
from tests.support.web import running_servers

pytestmark = [pytest.mark.xdist_group("proxies-and-addresses"), pytest.mark.django_db(transaction=True)]


def test_a_forged_address_is_replaced_by_each_proxy(store: Store, application: Application, tmp_path: Path) -> None:
    running = running_servers(1, **SETTINGS | {"NUM_PROXIES": "2"})
    with running as (server,), all_proxies(port_of(server), application.server_port, tmp_path) as ports:
        for kind in KINDS:
            store.redis.flushall()
            publish(store)
            answers = [
                send(ports[kind], "/orders/7", f"X-Forwarded-For: 198.51.100.{number}", method="POST")
                for number in range(6)
            ]
            assert [answer.status for answer in answers] == [200] * 5 + [429], kind
