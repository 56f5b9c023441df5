"""The services to which channels may send messages, and the URLs that people paste for them.

Only URLs of these exact forms are accepted, so that no message reaches a host that is chosen freely, and no option of
the library that sends them can be set: some of them read local files or switch off the verification of certificates.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

MAX_SERVICE_URL_LENGTH = 450
MIN_SECRET_LENGTH = 6
"""Shorter parts of a URL are no secrets."""


@dataclass(frozen=True, slots=True)
class Service:
    """``pattern`` is the URL without its query, ``parameters`` the allowed names in the query, ``hosts`` the hosts that
    receive requests, and ``example`` the URL as shown to people. ``resolves``: an incident is opened and resolved, in
    place of a message for each."""

    name: str
    pattern: re.Pattern[str]
    hosts: re.Pattern[str]
    example: str
    parameters: frozenset[str] = frozenset()
    resolves: bool = False

    def serves(self, url: str) -> bool:
        """Whether the URL is one of a host that receives the requests of this service."""
        parts = urlsplit(url)
        is_host = self.hosts.fullmatch(parts.hostname or "") is not None
        return is_host and parts.scheme == "https" and parts.port in (None, 443)


def _service(name: str, pattern: str, hosts: str, example: str, *parameters: str, resolves: bool = False) -> Service:
    return Service(name, re.compile(pattern), re.compile(hosts), example, frozenset(parameters), resolves)


_FLOW_HOST = r"[a-z0-9][a-z0-9.-]*\.(logic\.azure\.(com|us)|api\.powerplatform\.com)"
_WORD = r"[A-Za-z0-9_-]+"

SLACK = _service(
    "Slack",
    r"https://hooks\.slack(-gov)?\.com/services/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]+",
    r"hooks\.slack(-gov)?\.com",
    "https://hooks.slack.com/services/T…/B…/…",
)
TEAMS = _service(
    "Microsoft Teams",
    rf"https://{_FLOW_HOST}(:443)?(/powerautomate/automations/direct(/cu/[0-9]+)?)?"
    rf"/workflows/{_WORD}/triggers/manual/paths/invoke",
    _FLOW_HOST,
    "https://….logic.azure.com/workflows/…?…",
    *("api-version", "sp", "sv", "sig"),
)
PAGERDUTY = _service(
    "PagerDuty",
    r"pagerduty://[A-Za-z0-9]{20,64}",
    r"events(\.eu)?\.pagerduty\.com",
    "pagerduty://INTEGRATION_KEY",
    "region",
    resolves=True,
)
OPSGENIE = _service(
    "Opsgenie", r"opsgenie://[A-Za-z0-9-]{20,64}", r"api(\.eu)?\.opsgenie\.com", "opsgenie://API_KEY", "region"
)
DISCORD = _service(
    "Discord",
    rf"https://discord(app)?\.com/api/webhooks/[0-9]+/{_WORD}",
    r"discord\.com",
    "https://discord.com/api/webhooks/…/…",
)
TELEGRAM = _service("Telegram", rf"tgram://[0-9]+:{_WORD}/-?[0-9]+", r"api\.telegram\.org", "tgram://BOT_TOKEN/CHAT_ID")
GOOGLE_CHAT = _service(
    "Google Chat",
    rf"https://chat\.googleapis\.com/v1/spaces/{_WORD}/messages",
    r"chat\.googleapis\.com",
    "https://chat.googleapis.com/v1/spaces/…/messages?…",
    *("key", "token"),
)
PUSHOVER = _service(
    "Pushover", r"pover://[A-Za-z0-9]{30}@[A-Za-z0-9]{30}", r"api\.pushover\.net", "pover://USER_KEY@API_TOKEN"
)
WEBEX = _service(
    "Webex",
    rf"https://(webexapis|api\.ciscospark)\.com/v1/webhooks/incoming/{_WORD}",
    r"(webexapis|api\.ciscospark)\.com",
    "https://webexapis.com/v1/webhooks/incoming/…",
)

SERVICES = (SLACK, TEAMS, PAGERDUTY, OPSGENIE, DISCORD, TELEGRAM, GOOGLE_CHAT, PUSHOVER, WEBEX)

_REGIONS = ("us", "eu")


def service_of(url: str) -> Service | None:
    """Returns the service of a URL; None if the URL is not of one of the accepted forms."""
    base, _, query = url.partition("?")
    if len(url) > MAX_SERVICE_URL_LENGTH or not url.isascii() or not url.isprintable() or "#" in url:
        return None
    pairs = parse_qsl(query, keep_blank_values=True)
    for service in SERVICES:
        if service.pattern.fullmatch(base) and _are_allowed(service, pairs):
            return service
    return None


def _are_allowed(service: Service, pairs: list[tuple[str, str]]) -> bool:
    names = [name for name, _ in pairs]
    regions = [value for name, value in pairs if name == "region"]
    known = set(names) <= service.parameters and len(names) == len(set(names))
    return known and all(region in _REGIONS for region in regions)


def service_url_problem(url: str) -> str | None:
    """Returns what is wrong with the URL of a channel, without a part of it, since it is a secret; None if it can be
    used."""
    if service_of(url):
        return None
    examples = "; ".join(f"{service.name}: {service.example}" for service in SERVICES)
    return f"is not a URL of a supported service. {examples}."


def without_secrets(text: str, url: str) -> str:
    """Returns the text with each part of the URL that may be secret replaced by “…”. Words that all URLs of the service
    contain remain."""
    service = service_of(url)
    known = service.pattern.pattern if service else ""
    parts = urlsplit(url)
    found = re.split(r"[/@:]", f"{'' if parts.scheme == 'https' else parts.netloc}/{parts.path}")
    values = [value for _, value in parse_qsl(parts.query)]
    for part in sorted({*found, *values}, key=len, reverse=True):
        if len(part) >= MIN_SECRET_LENGTH and part not in known:
            text = text.replace(part, "…")
    return text
