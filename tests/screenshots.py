"""The screenshots of the documentation, from the demo shop: ``make screenshots``.

Starts a separate platform in a temporary folder, plays the demo's traffic, and saves a picture of each page in
light and dark mode in ``docs/images``.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from ratelimit_platform.embedded.postgres import database_url, start_postgres
from ratelimit_platform.embedded.redis import RedisServer, free_port, packaged_executable
from ratelimit_platform.running.processes import RUN_VARIABLE, end_run
from tests.support.chromium import chromium
from tests.support.stores import path_with_store
from tests.support.web import serve

BASE_DIR = Path(__file__).resolve().parents[1]
IMAGES = BASE_DIR / "docs" / "images"
SIZE = {"width": 1280, "height": 900}
PASSWORD = "a password for pictures"

PAGES = {
    "home": "/admin/",
    "compare-plans": "/admin/limits/plan/compare",
    "policy": "/admin/limits/policy/{pro-search}/change/",
    "client": "/admin/limits/client/{acme}/change/",
    "raise-limits": "/admin/limits/client/{acme}/more/?policy=pro-search",
    "why-denied": "/admin/limits/client/explain/?client=acme&request=GET /shop/search?q=tea",
    "publications": "/admin/limits/publication/",
    "publication": "/admin/limits/publication/{version}/change/",
    "roll-back": "/admin/limits/publication/{first}/roll-back",
    "row-history": "/admin/limits/policy/{pro-search}/history/",
    "clients": "/admin/limits/client/",
    "import": "/admin/limits/client/import",
}
"""Name of the picture → the page. Names in braces are rows of the demo."""


def main() -> None:
    """Takes every picture."""
    folder = Path(tempfile.mkdtemp(prefix="ratelimit-pictures-"))
    try:
        with platform(folder) as url:
            take(url)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def platform(folder: Path) -> Iterator[str]:
    """A platform with the demo shop and an hour of its traffic; yields its URL."""
    name = os.environ[RUN_VARIABLE] = secrets.token_hex(8)
    # With the packaged server the pictures show no warning about the Redis of this machine.
    os.environ["PATH"] = path_with_store(packaged_executable(), folder / "bin")
    redis = RedisServer(folder / "redis", persistent=True).start()
    postgres, port = start_postgres(folder / "postgres"), free_port()
    os.environ |= {
        "DATA_DIR": str(folder),
        "DATABASE_URL": database_url(postgres),
        "REDIS_URL": redis.url,
        "SECRET_KEY": "for pictures only " * 4,
        "ALLOWED_HOSTS": "127.0.0.1",
        "HTTPS": "0",
        "ADMIN_PASSWORD": PASSWORD,
        "API_TOKEN": "rl_for_pictures",
        "PORT": str(port),
    }
    for command in (["manage.py", "migrate", "-v0"], ["manage.py", "collectstatic", "--noinput", "-v0"]):
        run(*command)
    run("-m", "ratelimit_platform.running.bootstrap")
    try:
        yield serve(port, dict(os.environ)).wait_until_it_answers().url
    finally:
        end_run(name)


def run(*command: str) -> str:
    """Runs Python with these arguments. Returns the output."""
    done = subprocess.run([sys.executable, *command], cwd=BASE_DIR, check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def count_traffic() -> None:
    """Drains the counts and evaluates alerts, in a process with Django."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")
    django.setup()
    from limits.monitoring.alerts import evaluate
    from limits.monitoring.drain import drain

    drain()
    evaluate()


def addresses() -> dict[str, str]:
    """Picture → URL of its page, with the ids of the demo's rows."""
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ratelimit_platform.settings")
    django.setup()
    from limits.models import Client, Policy, Publication

    rows = {
        "acme": Client.objects.get(key="acme").pk,
        "pro-search": Policy.objects.get(slug="pro-search").pk,
        "version": Publication.objects.latest("sequence").pk,
        "first": Publication.objects.earliest("sequence").pk,
    }
    return {name: page.format(**rows) for name, page in PAGES.items()}


def take(url: str) -> None:
    """Publishes a change, plays the traffic, and takes each page, light and dark."""
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        pages: dict[str, str] = {}
        for scheme in ("light", "dark"):
            page = browser.new_page(base_url=url, viewport=SIZE, color_scheme=scheme)  # type: ignore[arg-type]
            _log_in(page)
            if not pages:
                _publish_a_change(page)
                pages = json.loads(run("-m", "tests.screenshots", "addresses"))
            for name, address in pages.items():
                page.goto(address)
                if name == "policy":
                    page.evaluate("() => window.scrollTo(0, document.body.scrollHeight)")
                _take(page, f"{name}-{scheme}")
            _review(page, pages["policy"], scheme)
        browser.close()


def _publish_a_change(page: Page) -> None:
    page.goto("/admin/limits/policy/?q=pro-search")
    page.locator("#result_list").get_by_role("link", name="pro-search").click()
    page.locator("[name=limits-0-quota]").fill("120")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Reason").fill("Pro customers asked for more; agreed in the pricing round.")
    page.get_by_role("button", name="Publish version").click()
    page.get_by_text("is live on every server.").wait_for()
    run("manage.py", "play_traffic")
    run("-m", "tests.screenshots", "count")


def _log_in(page: Page) -> None:
    page.goto("/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/admin/")


def _review(page: Page, policy: str, scheme: str) -> None:
    page.goto(policy)
    page.locator("[name=limits-0-quota]").fill("200")
    page.get_by_role("button", name="Save", exact=True).click()
    page.get_by_label("Reason").fill("Black Friday: the search gets more.")
    _take(page, f"review-{scheme}")


def _take(page: Page, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.screenshot(path=IMAGES / f"{name}.png")
    print(f"docs/images/{name}.png", flush=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["count"]:
            count_traffic()
        case ["addresses"]:
            print(json.dumps(addresses()))
        case _:
            main()
