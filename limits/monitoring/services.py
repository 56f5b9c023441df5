"""Messages to services such as Slack, Microsoft Teams and PagerDuty, in the format of each.

The library ``apprise`` writes them. It has no setting for its transport: its modules call the functions of the library
``requests``, which resolves names itself and follows redirects. Each module that is used here gets a transport in place
of ``requests`` that has only the functions that these modules need: a request goes to the hosts of its service alone,
and by :mod:`limits.monitoring.checked_http`; anything else fails. The version of apprise is pinned, and
``tests/monitoring/test_services.py`` shows what arrives at each service.
"""

import logging
import re
from contextvars import ContextVar
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import requests

from limits.domain import services
from limits.domain.services import Service, without_secrets
from limits.monitoring.checked_http import Answer, NotDelivered, exchange

MAX_ANSWER_BYTES = 16_384
MAX_SHOWN = 300
"""Maximum number of characters of an answer that are shown to people."""

_MODULES = {
    services.SLACK: ("slack", "NotifySlack"),
    services.TEAMS: ("workflows", "NotifyWorkflows"),
    services.PAGERDUTY: ("pagerduty", "NotifyPagerDuty"),
    services.OPSGENIE: ("opsgenie", "NotifyOpsgenie"),
    services.DISCORD: ("discord", "NotifyDiscord"),
    services.TELEGRAM: ("telegram", "NotifyTelegram"),
    services.GOOGLE_CHAT: ("google_chat", "NotifyGoogleChat"),
    services.PUSHOVER: ("pushover", "NotifyPushover"),
    services.WEBEX: ("webexteams", "NotifyWebexTeams"),
}
"""Service → (module, class) of apprise."""


@dataclass(frozen=True, slots=True)
class Event:
    """What a message reports. ``level``: info, success, warning or failure. ``key`` names the incident that it
    opens, or resolves if ``resolved`` (empty: each message is an incident of its own). ``url``: the page about it."""

    level: str = "info"
    key: str = ""
    url: str = ""
    resolved: bool = False


def send(url: str, title: str, text: str, event: Event) -> str:
    """Sends one message to the service of the URL. Returns the service's answer, for people. Raises
    :class:`NotDelivered`, whose text contains no part of the URL."""
    service = services.service_of(url)
    if service is None:
        raise NotDelivered("The URL of the channel is not one of a supported service.")
    delivery = _Delivery(service)
    token = _delivery.set(delivery)
    try:
        delivered = _plugin(service, url, text, event).notify(**_content(service, title, text, event))
    except (TypeError, ValueError, LookupError):
        # The text of apprise's errors contains keys.
        raise NotDelivered("The message could not be written in the format of the service.") from None
    finally:
        _delivery.reset(token)
    said = _excerpt(without_secrets(delivery.described, url))
    if not delivered or not delivery.answers:
        raise NotDelivered(said)
    return said


def _excerpt(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


@dataclass
class _Delivery:
    """The requests of one message, and the answers to them."""

    service: Service
    answers: list[Answer] = field(default_factory=list)
    problem: str = ""

    @property
    def described(self) -> str:
        if self.problem:
            return self.problem
        if not self.answers:
            return "The message could not be written in the format of the service."
        last = self.answers[-1]
        text = " ".join(last.body.decode(errors="replace").split())
        redirect = " (redirects are not followed)" if 300 <= last.status < 400 else ""
        return f"{self.service.name} responded with status {last.status}{redirect}{f': {text}' if text else '.'}"

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Sends a request of ``requests.request``, except for its options about connections."""
        known = {name: options.get(name) for name in ("headers", "data", "json", "params", "auth")}
        prepared = requests.Request(method.upper(), url, **known).prepare()
        try:
            answer = self._exchange(prepared)
        except NotDelivered as error:
            self.problem = str(error)
            raise requests.ConnectionError("not delivered") from error
        self.answers.append(answer)
        return _response(answer)

    def _exchange(self, prepared: requests.PreparedRequest) -> Answer:
        if not self.service.serves(prepared.url or ""):
            raise NotDelivered(f"The request is not for a host of {self.service.name}.")
        body = prepared.body or b""
        headers = {name: str(value) for name, value in prepared.headers.items() if self._is_sent(name)}
        content = body.encode() if isinstance(body, str) else body
        return exchange(str(prepared.method), str(prepared.url), content, headers, MAX_ANSWER_BYTES)

    def _is_sent(self, header: str) -> bool:
        """Apprise adds a key that PagerDuty's events do not need."""
        return header != "Content-Length" and (header != "Authorization" or self.service is not services.PAGERDUTY)


_delivery: ContextVar[_Delivery] = ContextVar("delivery")


class _Transport:
    """What apprise's modules use of the library ``requests``."""

    codes = requests.codes
    RequestException = requests.RequestException

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """Sends a request for the delivery in progress. Raises ``LookupError`` outside of one."""
        return _delivery.get().request(method, url, **options)

    def get(self, url: str, **options: Any) -> requests.Response:
        """As :meth:`request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> requests.Response:
        """As :meth:`request`."""
        return self.request("POST", url, **options)


def _response(answer: Answer) -> requests.Response:
    response = requests.Response()
    response.status_code = answer.status
    response.headers.update(answer.headers)
    response._content = answer.body
    return response


def _content(service: Service, title: str, text: str, event: Event) -> dict[str, Any]:
    """Returns title and body as the service shows them. A client's key, such as “@everyone”, mentions nobody."""
    level = {"notify_type": import_module("apprise.common").NotifyType(event.level)}
    if service is services.PAGERDUTY:
        return {"title": "", "body": title, **level}
    link = f"[{event.url}]({event.url})" if service in _MARKDOWN else event.url
    if service in _UNESCAPED:
        title, text = _MARKS.sub("\\g<0>\u200b", title), _MARKS.sub("\\g<0>\u200b", text)
    body = "\n\n".join(part for part in (text, link) if part)
    if service in _UNTITLED:
        title, body = "", f"{title}\n\n{body}"
    return {"title": title, "body": body, "body_format": "text" if service in _ESCAPED else None, **level}


_ESCAPED = (services.SLACK, services.TELEGRAM)
"""Apprise escapes the text of messages to these services."""
_MARKDOWN = (services.TEAMS, services.WEBEX)
_UNESCAPED = (*_MARKDOWN, services.DISCORD, services.GOOGLE_CHAT, services.TELEGRAM)
_UNTITLED = (services.TELEGRAM, services.GOOGLE_CHAT)
"""Apprise does not escape the title of messages to these services."""
_MARKS = re.compile(r"[<@\[\]]")
"""The characters that begin links and mentions of people."""


def _plugin(service: Service, url: str, text: str, event: Event) -> Any:
    """Returns apprise's object for the URL. The modules are imported when they are needed: they take 30 MB."""
    # It logs keys that it considers invalid, and the content of messages.
    logging.getLogger("apprise").disabled = True
    asset = import_module("apprise").AppriseAsset(
        app_id="ratelimit-platform",
        app_desc="Rate limits",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        http_redirects=False,
        storage_mode="memory",
        plugin_paths=[],
    )
    module_name, class_name = _MODULES[service]
    module = import_module(f"apprise.plugins.{module_name}")
    vars(module)["requests"] = _TRANSPORT
    made = getattr(module, class_name)
    parsed = made.parse_native_url(url) if url.startswith("https:") else made.parse_url(_complete(service, url))
    return made(**{**parsed, **_options(service, text, event), "asset": asset, "overflow": "truncate"})


_TRANSPORT = _Transport()


def _complete(service: Service, url: str) -> str:
    """Adds the part that apprise requires of a PagerDuty URL, and PagerDuty does not."""
    if service is not services.PAGERDUTY:
        return url
    base, mark, query = url.partition("?")
    return f"{base}@unused{mark}{query}"


def _options(service: Service, text: str, event: Event) -> dict[str, Any]:
    if service is services.OPSGENIE:
        return {"alias": event.key or None}
    if service is not services.PAGERDUTY:
        return {}
    return {
        "dedup": event.key or None,
        "action": "resolve" if event.resolved else "trigger",
        "click": event.url or None,
        "source": "ratelimit-platform",
        "component": "alerts",
        "details": {"text": text} if text else {},
    }
