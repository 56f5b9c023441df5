"""API tokens: the secret is on the page once, right after it was made."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from limits.admin.base import PlatformModelAdmin
from limits.admin.help import Introduced
from limits.admin.publishing import PublishesRules, publish_rules
from limits.admin.review import reviewed
from limits.admin.row_history import ShowsHistory
from limits.domain.words import Scope
from limits.models import ApiToken
from limits.publishing.tokens import digest_of_secret, new_secret

_SCOPES = {
    Scope.CHECK: "check: ask for decisions",
    Scope.MANAGE: "manage: change clients",
    Scope.METRICS: "metrics: read the metrics",
}


class TokenForm(forms.ModelForm):
    """Scopes as boxes to tick."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, words) for scope, words in _SCOPES.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = ApiToken
        fields = ("name", "scopes")


@admin.register(ApiToken)
class ApiTokenAdmin(Introduced, ShowsHistory, PublishesRules, PlatformModelAdmin):
    introduction = (
        "What your programs identify themselves with when they ask whether a request is admitted. The secret is shown "
        "once, when a token is made; a revoked one stops at once."
    )
    form = TokenForm
    list_display = ("name", "scopes_in_words", "hint_in_words", "created_at", "state")
    search_fields = ("name",)
    actions = ("revoke",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["name"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """A token is revoked, so that it stays known who had it."""
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request)

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if not change:
            secret = new_secret()
            obj.digest, obj.hint, obj.created_by = digest_of_secret(secret), secret[-4:], request.user  # type: ignore[assignment]
            request._new_secret = secret  # type: ignore[attr-defined]
        super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: Any = None) -> HttpResponse:
        """The page itself shows the secret: a message would travel in a cookie first."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"Token “{obj.name}”",
            "opts": self.opts,
            "secret": request._new_secret,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "admin/limits/apitoken/created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @action(description="Revoke the selected tokens", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> HttpResponse:
        back = request.get_full_path()
        return reviewed(
            request,
            self.admin_site,
            lambda: _revoke(request, queryset.filter(revoked_at=None), back),
            back=back,
            can_edit=False,
            opts=self.opts,
        )

    @display(description="Scopes")
    def scopes_in_words(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @display(description="Ends with")
    def hint_in_words(self, token: ApiToken) -> str:
        return f"…{token.hint}"

    @display(description="State", label={"valid": "success", "revoked": "danger"})
    def state(self, token: ApiToken) -> str:
        return "revoked" if token.revoked_at else "valid"


def _revoke(request: HttpRequest, tokens: QuerySet[ApiToken], back: str) -> HttpResponse:
    found = list(tokens.select_for_update())
    for token in found:
        token.revoked_at = timezone.now()
        token.save(update_fields=["revoked_at"])
    publish_rules(request, f"Revoked {', '.join(map(str, found))}.")
    if not found:
        messages.info(request, "These tokens are revoked already.")
    return HttpResponseRedirect(back)
