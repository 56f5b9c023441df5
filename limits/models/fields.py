"""Columns for slugs, tags and enumerations, with the same checks in forms and in the database."""

from enum import StrEnum
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import F, Func, Value
from django.db.models.lookups import Regex

from ratelimit_enforcer.domain.validation import (
    MAX_SLUG_LENGTH,
    NOT_PRINTABLE,
    PRINTABLE,
    SLUG,
    capitalized,
    slug_problem,
    tags_problem,
)


def validate_slug(slug: str) -> None:
    """Raises ``ValidationError`` for text that is not a slug."""
    if message := slug_problem(slug):
        raise ValidationError(f"A slug {message}", code="invalid_slug")


def validate_printable(text: str) -> None:
    """Raises ``ValidationError`` for control characters, which are invisible in a line of text."""
    if not PRINTABLE.match(text):
        raise ValidationError(NOT_PRINTABLE.capitalize(), code="not_printable")


def slug_field(help_text: str) -> Any:
    """Returns a slug field. The slug names the row in answers, headers and the config file, and never
    changes."""
    return models.CharField(max_length=MAX_SLUG_LENGTH, unique=True, validators=[validate_slug], help_text=help_text)


def slug_check(model: str) -> models.CheckConstraint:
    """Returns the database constraint for the shape of a slug."""
    return models.CheckConstraint(condition=models.Q(slug__regex=f"^{SLUG.pattern}$"), name=f"{model}_slug_shape")


def choices(enumeration: type[StrEnum]) -> list[tuple[str, str]]:
    """Returns the choices of an enumeration, with labels for people."""
    return [(member.value, member.value.replace("_", " ")) for member in enumeration]


def choices_check(model: str, field: str, enumeration: type[StrEnum]) -> models.CheckConstraint:
    """Returns the database constraint that admits only values of the enumeration."""
    known = models.Q(**{f"{field}__in": [member.value for member in enumeration]})
    return models.CheckConstraint(condition=known, name=f"{model}_{field}_known")


def validate_tags(tags: list[str]) -> None:
    """Raises ``ValidationError`` for a list that cannot be the tags of a client or segment."""
    if message := tags_problem(tags):
        raise ValidationError(capitalized(message), code="invalid_tags")


def tags_field(help_text: str) -> ArrayField:
    """Returns a field for tags, a list of slugs."""
    return ArrayField(
        models.CharField(max_length=MAX_SLUG_LENGTH),
        default=list,
        db_default=Value("{}"),  # Servers of the release before add rows without this column.
        blank=True,
        validators=[validate_tags],
        help_text=help_text,
    )


def tags_check(model: str) -> models.CheckConstraint:
    """Returns the database constraint that each tag is a slug."""
    joined = Func(F("tags"), Value(","), function="array_to_string", output_field=models.TextField())
    return models.CheckConstraint(
        condition=Regex(joined, Value(f"^({SLUG.pattern}(,{SLUG.pattern})*)?$")), name=f"{model}_tags_shape"
    )


class ImmutableSlugModel(models.Model):
    """A row whose slug never changes after creation."""

    slug: Any

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        before = type(self)._default_manager.filter(pk=self.pk).first()
        if before is not None and before.slug != self.slug:
            raise ValidationError({"slug": f"The slug “{before.slug}” cannot be changed."})
