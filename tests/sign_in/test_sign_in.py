"""Sign-in through a real provider."""

from datetime import timedelta
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import httpx
import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session
from django.utils import timezone
from pytest_django import Settings

from limits.admin.sign_in import provider as discovery
from limits.admin.sign_in.errors import ProviderUnavailable, SignInError
from limits.models import Identity
from limits.models.roles import create_roles
from tests.sign_in.conftest import ROLES
from tests.support.provider import CALLBACK, Provider, at_provider, running_provider, sign_in, visitor
from tests.support.web import WebServer, running_servers

pytestmark = [pytest.mark.xdist_group("sign-in"), pytest.mark.django_db(transaction=True)]


def roles(name: str) -> set[str]:
    return set(User.objects.get(username=name).groups.values_list("name", flat=True))


def is_inside(page: httpx.Response) -> bool:
    return page.status_code == 200 and page.url.path == "/admin/" and 'action="/admin/logout/"' in page.text


def changed(page: httpx.Response, **values: str) -> str:
    """The address of a redirection, with other values in its query."""
    parts = urlsplit(page.headers["Location"])
    query = {name: each[0] for name, each in parse_qs(parts.query).items()} | values
    return parts._replace(query=urlencode(query)).geturl()


def test_a_group_of_the_provider_gives_a_role(guest: httpx.Client) -> None:
    assert is_inside(sign_in(guest, "ada"))
    ada = User.objects.get()
    assert (ada.username, ada.email, ada.is_staff, ada.is_superuser) == ("ada", "ada@example.com", True, False)
    assert (roles("ada"), ada.has_usable_password()) == ({"Support"}, False)
    assert Identity.objects.get().subject == "ada"
    ends = max(session.expire_date for session in Session.objects.all() if "_auth_user_id" in session.get_decoded())
    assert timedelta(hours=7, minutes=59) < ends - timezone.now() <= timedelta(hours=8)


def test_the_page_that_was_asked_for_is_shown_after_the_sign_in(guest: httpx.Client) -> None:
    page = guest.get("/admin/limits/plan/")
    assert f"/admin/sign-in/?next={quote('/admin/limits/plan/', '')}" in page.text
    assert sign_in(guest, "ada", next="/admin/limits/plan/").url.path == "/admin/limits/plan/"
    with httpx.Client(base_url=str(guest.base_url)) as stranger:
        state = stranger.get("/admin/sign-in/", params={"next": "https://elsewhere.example/"})
    assert "elsewhere" not in state.headers["Location"]
    assert Session.objects.get(pk=stranger.cookies["sessionid"]).get_decoded()["oidc_login_next"] is None


def test_without_a_group_nobody_enters(guest: httpx.Client) -> None:
    page = sign_in(guest, "ben")
    assert page.status_code == 403
    assert "Your account has no role here" in page.text
    assert not User.objects.exists()
    assert guest.get("/admin/").url.path == "/admin/login/"


def test_roles_change_with_the_groups(guest: httpx.Client, provider: Provider, platform: WebServer) -> None:
    assert is_inside(sign_in(guest, "ada"))
    provider.let_in(ada={"groups": "staff", "preferred_username": "renamed"})
    with visitor(provider, platform.url) as second:
        assert is_inside(sign_in(second, "ada"))
    assert roles("ada") == {"Viewers"}

    provider.let_in(ada={"groups": ["cn=admins", "no", 7, None]})
    assert is_inside(sign_in(guest, "ada"))
    assert (User.objects.get().is_superuser, roles("ada")) == (True, set())

    provider.let_in(ada={"groups": {"staff": True}})
    assert "has no role" in sign_in(guest, "ada").text
    ada = User.objects.get()
    assert (ada.is_superuser, ada.is_staff, roles("ada")) == (False, False, set())
    assert guest.get("/admin/").url.path == "/admin/login/"


def test_neither_name_nor_email_gives_the_account_of_another_person(guest: httpx.Client, provider: Provider) -> None:
    local = User.objects.create_superuser("ada", "ada@example.com", "a password")
    assert is_inside(sign_in(guest, "ada"))
    provider.let_in(
        eve={"groups": ["staff"], "preferred_username": "ada", "email": "ada@example.com", "email_verified": False},
    )
    guest.cookies.clear()
    assert is_inside(sign_in(guest, "eve"))

    assert dict(Identity.objects.values_list("subject", "user__username")) == {"ada": "ada-2", "eve": "ada-3"}
    assert User.objects.get(username="ada-3").email == ""
    local.refresh_from_db()
    assert (local.identities.count(), local.is_superuser, local.check_password("a password")) == (0, True, True)


def test_a_deactivated_account_stays_out(guest: httpx.Client) -> None:
    sign_in(guest, "ada")
    User.objects.update(is_active=False)
    page = sign_in(guest, "ada")
    assert (page.status_code, "Your account is deactivated" in page.text) == (403, True)


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        ({"state": "another"}, 400, "This sign-in has expired"),
        ({"nonce": "another"}, 502, "The provider’s answer is invalid"),
        ({"code_challenge": "x" * 43}, 502, "The provider’s answer is invalid"),
        ({"max_age": "x"}, 403, "The provider refused the sign-in"),
    ],
    ids=["state", "nonce", "PKCE", "error"],
)
def test_an_altered_request_is_rejected(guest: httpx.Client, sent: dict[str, str], status: int, text: str) -> None:
    started = guest.get("/admin/sign-in/", follow_redirects=False)
    page = at_provider(guest, guest.get(changed(started, **sent)), "ada")
    assert (page.url.path, page.status_code, text in page.text) == (CALLBACK, status, True)
    assert not User.objects.exists()


def test_an_answer_is_accepted_once(guest: httpx.Client, provider: Provider, platform: WebServer) -> None:
    page = sign_in(guest, "ada")
    answer = next(str(each.url) for each in page.history if each.url.path == CALLBACK)
    assert guest.get(answer).status_code == 400
    assert is_inside(guest.get("/admin/")), "The session did not end, because anybody can send people this address."
    with visitor(provider, platform.url) as other:
        assert other.get(answer).status_code == 400
    assert guest.get(CALLBACK).status_code == 400
    assert guest.get(f"{CALLBACK}?code=x&state=%00").status_code == 400
    assert guest.post("/admin/sign-in/").status_code == 403


def test_a_password_never_reaches_the_provider_s_answer(guest: httpx.Client) -> None:
    """The login form with the parameters of an answer."""
    guest.get("/admin/login/")
    form = {"username": "ada", "password": "x", "csrfmiddlewaretoken": guest.cookies["csrftoken"]}
    assert guest.post("/admin/login/?code=x&state=y", data=form).status_code == 200


def test_the_provider_confirms_the_session_again(guest: httpx.Client, provider: Provider, platform: WebServer) -> None:
    sign_in(guest, "ada")
    expire()
    provider.let_in(ada={"groups": ["staff"]})
    page = guest.get("/admin/limits/plan/?q=x")
    assert (page.url.path, page.url.query) == ("/admin/limits/plan/", b"q=x")
    assert any(each.url.host == "localhost" for each in page.history)
    assert roles("ada") == {"Viewers"}

    expire()
    assert guest.get("/admin/limits/plan/", headers={"Sec-Fetch-Mode": "cors"}).history == []

    for cookie in [each for each in guest.cookies.jar if each.domain.startswith("localhost")]:
        guest.cookies.jar.clear(cookie.domain, cookie.path, cookie.name)
    page = guest.get("/admin/limits/plan/")
    assert (page.url.path, page.url.params["next"]) == ("/admin/login/", "/admin/limits/plan/")
    assert guest.get("/admin/").url.path == "/admin/login/"


def expire() -> None:
    """The provider confirmed all sessions long ago."""
    for session in Session.objects.all():
        content = session.get_decoded()
        if "oidc_id_token_expiration" in content:
            content["oidc_id_token_expiration"] = 0
            Session.objects.save(session.session_key, content, session.expire_date)


@pytest.mark.parametrize(
    ("variables", "problem"),
    [
        ({"ISSUER": "https://localhost:9"}, ProviderUnavailable),
        ({"ISSUER": "/"}, SignInError),
        ({}, ProviderUnavailable),
    ],
    ids=["down", "another issuer", "unknown authority"],
)
def test_a_provider_that_is_not_the_expected_one_is_not_used(
    provider: Provider,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    variables: dict[str, str],
    problem: type[SignInError],
) -> None:
    issuer = variables.get("ISSUER", "")
    if issuer:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(provider.authority))
    settings.SIGN_IN = {
        "ISSUER": provider.issuer + issuer if issuer == "/" else issuer or provider.issuer,
        "TIMEOUT": 5,
    }
    with pytest.raises(SignInError) as error:
        discovery.provider()
    assert type(error.value) is problem


def test_the_provider_goes_down_while_somebody_signs_in(
    transactional_db: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with (
        running_provider(tmp_path_factory.mktemp("failing")) as provider,
        running_servers(1, **provider.variables(ROLES), LOGIN_RATE_ADDRESS="2/10m", NAMESPACE="failing") as [server],
        visitor(provider, server.url) as guest,
        visitor(provider, server.url) as stranger,
    ):
        create_roles(Group.objects, Permission.objects)
        provider.let_in(ada={"groups": ["staff"]})
        assert is_inside(sign_in(guest, "ada"))
        started = guest.get("/admin/sign-in/", follow_redirects=False)
        provider.stop()
        state = parse_qs(urlsplit(started.headers["Location"]).query)["state"][0]
        page = guest.get(CALLBACK, params={"code": "x", "state": state})
        assert (page.status_code, "The provider cannot be reached" in page.text) == (503, True)

        assert is_inside(guest.get("/admin/")), "A failure of the provider does not end sessions."

        assert stranger.get("/admin/sign-in/", follow_redirects=False).status_code == 302
        limited = stranger.get("/admin/sign-in/", follow_redirects=False)
        assert (limited.status_code, int(limited.headers["Retry-After"]) > 1) == (429, True)


def test_without_passwords_only_the_provider_remains(provider: Provider, platform: WebServer) -> None:
    User.objects.create_superuser("root", password="a password")
    with (
        running_servers(1, **provider.variables(ROLES), PASSWORD_LOGIN="0") as [server],
        visitor(provider, server.url) as guest,
    ):
        page = guest.get("/admin/login/")
        assert ("Sign in with Example" in page.text, "password" in page.text) == (True, False)
        form = {
            "username": "root",
            "password": "a password",
            "csrfmiddlewaretoken": guest.cookies.get("csrftoken") or "",
        }
        assert guest.post("/admin/login/", data=form).status_code == 403
        assert is_inside(sign_in(guest, "ada"))


def test_a_role_without_a_group_here_gives_nothing(guest: httpx.Client) -> None:
    Group.objects.filter(name="Support").delete()
    assert sign_in(guest, "ada").status_code == 403
