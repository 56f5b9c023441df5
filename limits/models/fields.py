"""Slugs and vocabularies as columns: the same checks on the form and in the database."""

from enum import StrEnum
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

from limits.domain.validation import MAX_SLUG_LENGTH, NOT_PRINTABLE, PRINTABLE, SLUG, slug_problem


def validate_slug(slug: str) -> None:
    """Refuses what cannot be a slug."""
    if message := slug_problem(slug):
        raise ValidationError(f"A slug {message}", code="invalid_slug")


def validate_printable(text: str) -> None:
    """Refuses control characters, which no line of text shows."""
    if not PRINTABLE.match(text):
        raise ValidationError(f"It {NOT_PRINTABLE}", code="not_printable")


def slug_field(help_text: str) -> Any:
    """A slug: it names the row in answers, headers and the config file, and never changes."""
    return models.CharField(max_length=MAX_SLUG_LENGTH, unique=True, validators=[validate_slug], help_text=help_text)


def slug_check(model: str) -> models.CheckConstraint:
    """The shape of a slug, in the database."""
    return models.CheckConstraint(condition=models.Q(slug__regex=f"^{SLUG.pattern}$"), name=f"{model}_slug_shape")


def choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    """The choices of a vocabulary, as people read them."""
    return [(word.value, word.value.replace("_", " ")) for word in words]


def words_check(model: str, field: str, words: type[StrEnum]) -> models.CheckConstraint:
    """Only words of the vocabulary, in the database."""
    known = models.Q(**{f"{field}__in": [word.value for word in words]})
    return models.CheckConstraint(condition=known, name=f"{model}_{field}_known")


class SlugKeptModel(models.Model):
    """A row whose slug never changes after creation."""

    slug: Any

    class Meta:
        abstract = True

    def clean(self) -> None:
        super().clean()
        before = type(self)._default_manager.filter(pk=self.pk).first()
        if before is not None and before.slug != self.slug:
            raise ValidationError({"slug": f"A slug never changes; this one is “{before.slug}”."})
