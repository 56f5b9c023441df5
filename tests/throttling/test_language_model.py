"""The proxy for a language model in docs/django-projects.md, on a real server, before a small fake of such an API."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ratelimit_enforcer.domain.enums import Algorithm
from ratelimit_enforcer.domain.limit import Limit
from ratelimit_enforcer.domain.rules import Endpoint, Plan, Policy
from ratelimit_enforcer.domain.ruleset import Ruleset
from tests.support.servers import Store
from tests.support.waiting import wait_until
from tests.throttling.granian import Server, serving
from tests.throttling.language_model import USAGE, WITHIN, LanguageModel, language_model
from tests.throttling.reserving import left, unsettled

pytestmark = pytest.mark.xdist_group("views-on-servers")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "django-projects.md"
TOKENS, PLACES, MAX_TOKENS = 10_000, 2, 4_000
QUESTION = b"Why is the sky blue?"


@pytest.fixture
def model() -> Iterator[LanguageModel]:
    with language_model() as model:
        yield model


@pytest.fixture
def rules(store: Store) -> Store:
    at_most = Limit(PLACES, 600, Algorithm.CONCURRENCY)
    store.publish(
        Ruleset(
            plans=(Plan("free", "Free"),),
            default_plan="free",
            endpoints=(Endpoint("chat", "Chat"),),
            policies=(Policy("tokens", (Limit(TOKENS, 3_600), at_most), endpoint="chat"),),
        )
    )
    store.load()
    return store


@pytest.fixture
def proxy(model: LanguageModel, rules: Store, tmp_path: Path) -> Iterator[Server]:
    """The code of the documentation, as it is printed there."""
    (code,) = [
        block
        for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
        if "def chat(" in block
    ]
    (tmp_path / "chat.py").write_text(code, encoding="utf-8")
    variables = {"REDIS_URL": rules.url, "NAMESPACE": rules.keys.namespace, "CHAT_API": model.url}
    with serving("tests.throttling.served:asgi", "asgi", workers=1, path=str(tmp_path), **variables) as server:
        yield server


def state() -> list[int]:
    return left("ann", "chat")


def ask(proxy: Server) -> httpx.Response:
    return httpx.post(f"{proxy.url}/chat", content=QUESTION, headers={"X-Key": "ann"}, timeout=60)


def test_the_answer_is_settled_by_the_usage_that_the_api_reports(
    proxy: Server, model: LanguageModel, rules: Store
) -> None:
    answer = ask(proxy)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/event-stream")
    assert re.findall(r'"content": "(\w+)"', answer.text) == model.words
    assert answer.text.endswith("data: [DONE]\n\n")
    (question,) = model.questions
    assert question["path"] == "/v1/chat/completions"
    assert question["messages"] == [{"role": "user", "content": QUESTION.decode()}]
    assert (question["max_tokens"], question["stream_options"]) == (MAX_TOKENS, {"include_usage": True})
    wait_until(lambda: state() == [TOKENS - USAGE, PLACES])
    assert unsettled(rules) == 0


def test_in_the_middle_of_an_answer_the_estimate_is_reserved(proxy: Server, model: LanguageModel, rules: Store) -> None:
    model.may_end.clear()
    with (
        httpx.Client(timeout=60) as http,
        http.stream("POST", f"{proxy.url}/chat", content=QUESTION, headers={"X-Key": "ann"}) as answer,
    ):
        lines = answer.iter_lines()  # httpx closes the answer when this generator ends.
        assert next(lines).startswith("data: ")
        assert state() == [TOKENS - len(QUESTION) - MAX_TOKENS, PLACES - 1]


def test_a_client_that_disconnects_pays_for_what_was_sent(proxy: Server, model: LanguageModel, rules: Store) -> None:
    model.may_end.clear()
    request = f"POST /chat HTTP/1.1\r\nHost: localhost\r\nX-Key: ann\r\nContent-Length: {len(QUESTION)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=60) as connection:
        connection.sendall(request.encode() + QUESTION)
        received = b""
        while model.words[-1].encode() not in received:
            received += connection.recv(65_536)
    assert model.is_abandoned.wait(WITHIN), "The proxy did not close the connection to the API."
    wait_until(lambda: state() == [TOKENS - len(QUESTION) - len(model.words), PLACES])
    assert unsettled(rules) == 0


def test_an_api_that_does_not_answer_costs_nothing(proxy: Server, model: LanguageModel, rules: Store) -> None:
    model.status = 503
    with pytest.raises(httpx.RemoteProtocolError):
        ask(proxy)
    wait_until(lambda: state() == [TOKENS, PLACES])
    assert unsettled(rules) == 0


def test_questions_beyond_the_quota_or_the_places_are_denied(proxy: Server, model: LanguageModel, rules: Store) -> None:
    model.may_end.clear()
    with httpx.Client(timeout=60, headers={"X-Key": "ann"}) as http:
        open_ = [http.build_request("POST", f"{proxy.url}/chat", content=QUESTION) for _ in range(PLACES)]
        answers = [http.send(each, stream=True) for each in open_]
        denied = ask(proxy)
        assert (denied.status_code, denied.json()["violated-policies"]) == (
            429,
            ["tokens:3600s", "tokens:concurrent"],
        )
        for answer in answers:
            answer.close()
    wait_until(lambda: state()[1] == PLACES)
    model.may_end.set()
    assert ask(proxy).status_code == 200
