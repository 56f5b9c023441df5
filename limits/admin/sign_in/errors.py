"""Why somebody could not sign in: each reason is an exception, and a page that says what to do."""

import math


class SignInError(Exception):
    """``detail`` is for the log and may name what the provider sent; the page has only the texts of the class.
    ``ends_session``: the provider, or this site, has decided that the person may not be here."""

    status = 502
    ends_session = False
    title = "The provider’s answer is invalid"
    text = "The answer of the sign-in provider could not be verified. Try again, or tell an administrator."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail)
        self.detail = detail


class ProviderUnavailable(SignInError):
    status = 503
    title = "The provider cannot be reached"
    text = "The sign-in provider does not answer. Try again in a few minutes."


class ProviderRefused(SignInError):
    status = 403
    ends_session = True
    title = "The provider refused the sign-in"
    text = "The sign-in was cancelled, or the provider does not let this account use this site."


class UnknownState(SignInError):
    status = 400
    title = "This sign-in has expired"
    text = "The sign-in did not begin in this browser, was already used, or took longer than ten minutes. Begin again."


class NoRole(SignInError):
    status = 403
    ends_session = True
    title = "Your account has no role here"
    text = (
        "You signed in, but none of your groups at the provider gives access to this site. Ask an administrator to add "
        "you to a group, and sign in again."
    )


class Deactivated(SignInError):
    status = 403
    ends_session = True
    title = "Your account is deactivated"
    text = "An administrator of this site has deactivated your account."


class TooManyAttempts(SignInError):
    """``seconds`` until another attempt is admitted."""

    status = 429
    title = "Too many attempts"
    text = "There were too many attempts to sign in. Try again later."

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.retry_after = max(1, math.ceil(seconds))
