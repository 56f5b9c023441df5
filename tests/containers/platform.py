"""The platform as seen by callers and operators: rules, tokens, checks through the proxy, emails."""

import re

import httpx

from tests.containers.world import CheckFailed, World, wait_until

QUOTA = 5
# A window of a month, so that a client that is denied before a restart still is after it.
CONFIG = f"""
plans: [{{slug: free, name: Free, default: true}}]
endpoints: [{{slug: search, name: Search, routes: ["GET /search"]}}]
policies:
  - {{slug: free-search, plan: free, endpoint: search,
     limits: [{{quota: {QUOTA}, algorithm: calendar, period: month}}]}}
alert_rules:
  - {{name: search-abuse, metric: throttled, threshold: 1, window: 60, endpoint: search, group_by: client,
     emails: [ops@example.com]}}
"""

COMMANDS = (
    ("createsuperuser", "--noinput", "--username", "admin", "--email", "admin@example.com"),
    ("apply_config", "demo/shop.yaml"),
    ("play_traffic",),
    ("export_config",),
    ("publish_ruleset", "--take-over"),
)
"""The commands in docs/containers.md, without prompts."""


class Platform:
    def __init__(self, world: World, address: str) -> None:
        """``address``: of the published proxy, such as ``127.0.0.1:8080``."""
        self._world = world
        # Each request uses a new connection, so that none is left from before a restart.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(base_url=f"http://{address}", timeout=30, limits=limits)
        self._token = ""

    def manage(self, *words: str, text: str | None = None, options: tuple[str, ...] = ()) -> str:
        """Standard output of ``manage.py WORDS`` in the web container. ``text``: its standard input."""
        command = ["web", "python", "manage.py", *words]
        return self._world.engine.podman("exec", "--interactive", *options, *command, text=text)

    def apply_config(self) -> str:
        return self.manage("apply_config", "-", text=CONFIG).strip().splitlines()[-1]

    def issue_token(self) -> None:
        self._token = self.manage("issue_token", "containers", "--scope", "check").strip()

    def run_documented_commands(self) -> str:
        for words in COMMANDS:
            self.manage(*words, options=("--env", "DEMO=1"))
        copy = self._world.engine.podman("exec", "postgres", "pg_dump", "--username", "limits", "limits")
        return f"{', '.join(words[0] for words in COMMANDS)}, pg_dump ({len(copy.splitlines())} lines)"

    def ask(self, client: str) -> httpx.Response:
        """Sends one check through the proxy."""
        headers = {"Authorization": f"Bearer {self._token}"}
        return self._http.post("/v1/check", json={"client": client, "endpoint": "search"}, headers=headers)

    def first_denial(self, client: str) -> str:
        """Sends checks until the quota is exhausted, and one more. Raises ``CheckFailed`` for unexpected answers."""
        statuses = [self.ask(client).status_code for _ in range(QUOTA)]
        denied = self.ask(client)
        if statuses != [200] * QUOTA or denied.status_code != 429 or not denied.headers.get("Retry-After"):
            raise CheckFailed(f"{statuses}, then {denied.status_code}: {denied.text[:500]}")
        return f"{QUOTA} admitted, then 429 with Retry-After: {denied.headers['Retry-After']}"

    def decides(self, client: str) -> bool:
        """Whether a check of a client with an exhausted quota is denied by the store, and not by a fallback."""
        try:
            answer = self.ask(client)
        except httpx.HTTPError:
            return False
        return answer.status_code == 429 and answer.json()["degraded"] is False

    def wait_until_it_decides(self, client: str) -> None:
        wait_until(lambda: self.decides(client), "Checks through the proxy are decided")

    def mail_about(self, client: str) -> str:
        """Waits for the email of the alert in the output of the mail catcher. Returns its subject."""
        subjects: list[str] = []

        def has_come() -> bool:
            found = re.findall(r"^Subject: (.*(?:\n .*)*)", self._world.engine.output("mail"), re.MULTILINE)
            subjects[:] = [subject for subject in found if client in subject]
            return bool(subjects)

        wait_until(has_come, f"A mail about {client}")
        return subjects[0]

    def pages(self) -> str:
        """Opens the admin's login page, one of its static files, and the API's page. Raises ``CheckFailed``."""
        login = self._get("/admin/login/")
        styles = re.findall(r'href="(/static/[^"]+\.css[^"]*)"', login.text)
        if not styles:
            raise CheckFailed("The login names no style sheet.")
        for path in (styles[0], "/api/docs/", "/readyz"):
            self._get(path)
        return f"/admin/login/, {styles[0]}, /api/docs/, /readyz"

    def _get(self, path: str) -> httpx.Response:
        answer = self._http.get(path)
        if answer.status_code != 200:
            raise CheckFailed(f"{path}: {answer.status_code} {answer.text[:500]}")
        return answer
