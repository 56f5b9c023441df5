"""Tests of the package's guarantees, with the versions of Django and the framework of this project.

Run by `manage.py test`, on a Redis in which the rules of tests/api/conftest.py are published:
“search” has a quota of 3 per hour, “orders” a bucket of 20 and a cost of 5, and “mallory” is blocked.
"""

import secrets
import socket
from typing import Any

from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import SimpleTestCase, override_settings

from ratelimit_enforcer.checks import check_settings, check_views

HANDLER = {"EXCEPTION_HANDLER": "ratelimit_enforcer.exception_handler.exception_handler", "NUM_PROXIES": 0}


class Shop(SimpleTestCase):
    """No SQL queries: Django's SimpleTestCase fails if there is one."""

    def setUp(self) -> None:
        self.key = secrets.token_hex(8)
        self.address = f"10.{secrets.randbelow(256)}.{secrets.randbelow(256)}.{secrets.randbelow(256)}"

    def ask(self, path: str, method: str = "get", **headers: str) -> Any:
        meta = {"HTTP_X_KEY": headers.get("key", self.key), "REMOTE_ADDR": self.address}
        return getattr(self.client, method)(path, **meta)

    def statuses(self, path: str, times: int, method: str = "get") -> list[int]:
        return [self.ask(path, method).status_code for _ in range(times)]

    def expect_headers(self, answer: HttpResponse, left: int) -> None:
        self.assertEqual(answer["RateLimit-Policy"], '"free-search:3600s";q=3;w=3600')
        self.assertEqual(answer["RateLimit"].partition(";t=")[0], f'"free-search:3600s";r={left}')

    def test_a_view_of_the_framework_is_found_by_its_path(self) -> None:
        for left in (2, 1, 0):
            self.expect_headers(self.ask("/api/search"), left)
        denied = self.ask("/api/search")
        self.assertEqual(denied.status_code, 429)
        self.expect_headers(denied, 0)
        self.assertTrue(3_500 < int(denied["Retry-After"]) <= 3_600)
        self.assertIn("Request was throttled. Expected available in", denied.json()["detail"])

    def test_a_viewset_has_values_for_each_action(self) -> None:
        self.assertEqual(self.statuses("/orders", 3, "post"), [201, 201, 429])
        self.assertEqual(self.statuses("/orders", 4), [200, 200, 200, 429])

    def test_a_function_view(self) -> None:
        self.assertEqual(self.statuses("/order", 3, "post"), [201, 201, 429])

    def test_a_plain_view(self) -> None:
        self.assertEqual(self.statuses("/plain", 3), [200, 200, 200])
        denied = self.ask("/plain")
        self.assertEqual((denied.status_code, denied["Content-Type"]), (429, "application/problem+json"))
        self.assertEqual(denied.json()["violated-policies"], ["free-search:3600s"])
        self.expect_headers(denied, 0)

    async def test_an_async_view_in_async_django(self) -> None:
        meta = {"HTTP_X_KEY": self.key, "headers": {"X-Key": self.key}}
        answers = [await self.async_client.get("/later", **meta) for _ in range(4)]
        self.assertEqual([answer.status_code for answer in answers], [200, 200, 200, 429])
        for answer, left in zip(answers, (2, 1, 0, 0), strict=True):
            self.expect_headers(answer, left)

    def test_a_blocked_client(self) -> None:
        self.assertEqual([self.ask(path, key="mallory").status_code for path in ("/api/search", "/plain")], [403, 403])

    def test_a_view_with_its_own_rate(self) -> None:
        self.assertEqual(self.statuses("/uploads", 6, "post"), [201] * 5 + [429])
        self.assertTrue(590 < int(self.ask("/uploads", "post")["Retry-After"]) <= 600)

    def test_a_hanging_store_does_not_block_a_request(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            platform = {"REDIS": f"redis://127.0.0.1:{silent.getsockname()[1]}", "CHECK_DEADLINE": 0.1}
            with self.settings(RATELIMIT_PLATFORM=platform), self.assertLogs("ratelimit_enforcer", "WARNING") as logged:
                self.assertEqual(self.statuses("/uploads", 7, "post"), [201] * 7)
                self.assertEqual(self.statuses("/api/search", 4), [200] * 4)
        told = [line for line in logged.output if "WITHOUT_RULESET" in line]
        self.assertEqual(len(told), 2, "One line a minute, of each kind of throttle.")

    @override_settings(REST_FRAMEWORK=HANDLER | {"DEFAULT_THROTTLE_RATES": {}})
    def test_a_denial_as_a_problem_document(self) -> None:
        self.statuses("/api/search", 3)
        denied = self.ask("/api/search")
        self.assertEqual((denied.status_code, denied["Content-Type"]), (429, "application/problem+json"))
        self.assertEqual(denied.json()["violated-policies"], ["free-search:3600s"])

    def test_the_system_checks_find_no_problem(self) -> None:
        self.assertEqual([*check_settings(), *check_views(), *run_checks()], [])
