"""Endpoints and their routes."""

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from limits.domain.limit import MAX_COST
from limits.domain.routes import Route as Pattern
from limits.domain.validation import route_problem
from limits.models.fields import SlugKeptModel, slug_check, slug_field, validate_printable
from limits.models.history import RowHistory


class Endpoint(SlugKeptModel):
    """What is protected."""

    slug = slug_field("Names the endpoint in check requests and in the config file. It cannot be changed later.")
    name = models.CharField(max_length=200, validators=[validate_printable])
    description = models.TextField(blank=True)
    cost = models.PositiveIntegerField(
        default=1,
        validators=[MinValueValidator(1), MaxValueValidator(MAX_COST)],
        help_text="What one request uses of a quota, unless the caller names another cost.",
    )

    history = RowHistory()

    class Meta:
        ordering = ["name"]
        constraints = [
            slug_check("endpoint"),
            models.CheckConstraint(condition=Q(cost__gte=1, cost__lte=MAX_COST), name="endpoint_cost_in_range"),
        ]

    def __str__(self) -> str:
        return self.name


class Route(models.Model):
    """A method and a path pattern of an endpoint. ``shape`` is the pattern without the names of its
    parameters, by which equal patterns are found."""

    endpoint = models.ForeignKey(Endpoint, on_delete=models.CASCADE, related_name="routes")
    method = models.CharField(max_length=20, default="GET", help_text="GET, POST, …, or * for every method.")
    path = models.CharField(
        max_length=500, help_text="Such as /api/products/{id}. /* at the end means everything below."
    )
    shape = models.CharField(max_length=600, unique=True, editable=False)
    position = models.PositiveSmallIntegerField(default=0, editable=False)

    history = RowHistory()

    class Meta:
        ordering = ["position", "id"]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def clean(self) -> None:
        if message := route_problem(str(self)):
            raise ValidationError({"path": f"A route {message}"})
        self._set_shape()
        other = Route.objects.filter(shape=self.shape).exclude(pk=self.pk).select_related("endpoint").first()
        if other and other.endpoint_id != self.endpoint_id:
            raise ValidationError({"path": f"“{other}” of endpoint “{other.endpoint}” is the same pattern."})

    def save(self, *args: Any, **kwargs: Any) -> None:
        self._set_shape()
        super().save(*args, **kwargs)

    def _set_shape(self) -> None:
        pattern = Pattern.parse(str(self))
        self.method, self.shape = pattern.method, pattern.shape
