"""A server with four processes: each one reports the sums of all, including killed ones."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.end_to_end.shop import CONNECTIONS, SECRET, ask, policy, publish
from tests.metrics.scraping import Samples, samples, value
from tests.support.waiting import wait_until
from tests.support.web import WebServer

WORKERS = 4


def scrape(http: httpx.Client, server: WebServer) -> Samples:
    answer = http.get(f"{server.url}/metrics")
    assert answer.status_code == 200, answer.text
    return samples(answer.text)


def total(http: httpx.Client, server: WebServer) -> float:
    return value(scrape(http, server), "ratelimit_decisions_total")


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("live_rules")
def test_sums_over_four_workers_are_correct_even_after_one_was_killed(
    web_servers: Callable[..., list[WebServer]],
) -> None:
    policy("all", (100, 3_600))
    publish()
    (server,) = web_servers(1, workers=WORKERS)
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(headers={"Authorization": f"Bearer {SECRET}"}, timeout=30, limits=limits) as http:

        def check(count: int) -> None:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                list(pool.map(lambda number: ask(http, server), range(count)))

        check(200)
        assert {total(http, server) for _ in range(12)} == {200}
        found = scrape(http, server)
        assert value(found, "ratelimit_decisions_total", outcome="admitted") == 100
        assert value(found, "ratelimit_decision_duration_seconds_count") == 200
        assert value(found, "ratelimit_ruleset_reloads_total") >= 2, "more than one worker answered"

        victim = server.workers[0]
        victim.kill()
        victim.wait(60)
        assert total(http, server) == 200
        wait_until(lambda: len(server.workers) == WORKERS)
        check(50)
        assert {total(http, server) for _ in range(12)} == {250}
