"""What every list and form of the admin does alike."""

from typing import Any

from django.db import IntegrityError
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from psycopg.errors import ExclusionViolation, ForeignKeyViolation, UniqueViolation
from unfold.admin import ModelAdmin

from limits.admin.error_summary import mistakes

_CONFLICT = "_conflict_of_this_request"
_CONFLICTS = (UniqueViolation, ExclusionViolation, ForeignKeyViolation)


class ConflictForm(ModelForm):
    """A form whose rows were valid when they were looked at, and that the database refused then."""

    def clean(self) -> dict[str, Any] | None:
        self.add_error(
            None,
            "This contradicts what is saved already, perhaps by somebody who saved at the same moment. Look at what is "
            "there now, and save again.",
        )
        return super().clean()


class PlatformModelAdmin(ModelAdmin):
    """A list and a form of the platform."""

    def changeform_view(self, request: HttpRequest, *args: Any, **options: Any) -> HttpResponse:
        """Two people may save at once: what the database refuses then is shown on the form."""
        try:
            return super().changeform_view(request, *args, **options)
        except IntegrityError as error:
            if not isinstance(error.__cause__, _CONFLICTS):
                raise
            setattr(request, _CONFLICT, True)
            return super().changeform_view(request, *args, **options)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = super().get_form(request, obj, change=change, **options)
        return type(form)(form.__name__, (ConflictForm, form), {}) if hasattr(request, _CONFLICT) else form

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **options: Any) -> HttpResponse:
        if request.method == "POST":
            context["error_summary"] = mistakes(context["adminform"].form, context["inline_admin_formsets"])
        return super().render_change_form(request, context, **options)
