"""The account of somebody who signs in: created once, with the roles of the moment at each sign-in."""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import structlog
from django.conf import settings
from django.contrib.auth.models import Group, User
from django.db import IntegrityError, transaction

from limits.admin.sign_in.errors import Deactivated, NoRole, SignInError
from limits.models import Identity

SUPERUSER = "Superuser"
"""The role of ``OIDC_ROLES`` that is no group, but every permission."""

_MAX_NAME = 100
_MAX_SUBJECT = 255
_NOT_IN_NAMES = re.compile(r"[^\w.@+-]")
_log = structlog.get_logger(__name__)


def groups_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Returns the groups in the claim of the settings: a list, or one text."""
    found = claims.get(settings.SIGN_IN["GROUPS_CLAIM"])
    listed = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return frozenset(group for group in listed if isinstance(group, str))


def roles_of(groups: Collection[str]) -> frozenset[str]:
    """Returns the roles that ``OIDC_ROLES`` assigns to any of these groups."""
    return frozenset(role for group, role in settings.SIGN_IN["ROLES"] if group in groups)


def account_of(issuer: str, claims: Mapping[str, Any]) -> User:
    """Returns the account with the present roles. Raises :class:`NoRole` (an account that had roles has none
    afterwards), :class:`Deactivated`, and :class:`SignInError` if the subject is none."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= _MAX_SUBJECT or "\x00" in subject:
        raise SignInError("the subject is not a text of 1 to 255 characters")
    roles = roles_of(groups_of(claims))
    user = _existing(issuer, subject)
    if user is None and roles:
        user = _created(issuer, subject, claims)
    if user is not None:
        _update(user, claims, roles)
    if user is None or not user.is_staff:
        raise NoRole(f"groups: {sorted(groups_of(claims))}")
    if not user.is_active:
        raise Deactivated(user.username)
    return user


def _existing(issuer: str, subject: str) -> User | None:
    return User.objects.filter(identities__issuer=issuer, identities__subject=subject).first()


def _created(issuer: str, subject: str, claims: Mapping[str, Any]) -> User | None:
    """A new account, never one that exists under the same name or email address: those belong to somebody else."""
    try:
        with transaction.atomic():
            user = User.objects.create_user(_free_name(claims))
            Identity.objects.create(user=user, issuer=issuer, subject=subject)
    except IntegrityError:
        # The same person signed in twice at the same time.
        return _existing(issuer, subject)
    return user


def _free_name(claims: Mapping[str, Any]) -> str:
    wanted = next(filter(None, (_text(claims, name) for name in ("preferred_username", "email", "sub"))))
    name = _NOT_IN_NAMES.sub("-", wanted)[:_MAX_NAME]
    taken = set(User.objects.filter(username__startswith=name).values_list("username", flat=True))
    return next(each for each in _variants(name) if each not in taken)


def _variants(name: str) -> Iterable[str]:
    yield name
    number = 2
    while True:
        yield f"{name}-{number}"
        number += 1


@transaction.atomic
def _update(user: User, claims: Mapping[str, Any], roles: Collection[str]) -> None:
    groups = list(Group.objects.filter(name__in=roles))
    if missing := roles - {group.name for group in groups} - {SUPERUSER}:  # type: ignore[operator]
        _log.warning("sign_in_role_unknown", roles=sorted(missing))
    user.groups.set(groups)
    user.is_superuser = SUPERUSER in roles
    user.is_staff = user.is_superuser or bool(groups)
    user.first_name, user.last_name = _text(claims, "given_name")[:150], _text(claims, "family_name")[:150]
    if claims.get("email_verified") is not False:
        user.email = _text(claims, "email")[:254]
    user.save()


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value.replace("\x00", "") if isinstance(value, str) else ""
