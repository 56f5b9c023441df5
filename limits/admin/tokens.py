"""API tokens: the secret is shown once on the page, right after creation."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.utils import timezone
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from limits.admin.base import HasIntroduction, PlatformModelAdmin
from limits.admin.publishing import PublishesRules, publish_rules, reviewed
from limits.admin.row_history import ShowsHistory
from limits.models import ApiToken
from limits.models.tokens import digest_of_secret, new_secret
from ratelimit_enforcer.domain.enums import Scope

_SCOPE_LABELS = {
    Scope.CHECK: "check: request decisions",
    Scope.ADJUST: "adjust: charge, refund and set limits over gRPC",
    Scope.CLIENTS: "clients: change clients",
    Scope.RULES: "rules: change rules",
    Scope.PUBLISH: "publish: publish rules without approval",
    Scope.REPORTS: "reports: read reports",
    Scope.METRICS: "metrics: read metrics",
}


class TokenForm(forms.ModelForm):
    """The form for a token, with the scopes as checkboxes."""

    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, label) for scope, label in _SCOPE_LABELS.items()],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = ApiToken
        fields = ("name", "scopes")


@admin.register(ApiToken)
class ApiTokenAdmin(HasIntroduction, ShowsHistory, PublishesRules, PlatformModelAdmin):
    introduction = (
        "Your programs authenticate at the API with these tokens. A token is shown only once, when it is created. "
        "Revoking a token takes effect immediately."
    )
    form = TokenForm
    list_display = ("name", "scopes_text", "hint_text", "created_at", "state")
    search_fields = ("name",)
    actions = ("revoke",)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["name"] if obj else []

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Tokens are revoked instead of deleted, so that their owners stay on record."""
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
        """The page itself shows the secret: a message would be stored in a cookie first."""
        context = {
            **self.admin_site.each_context(request),
            "title": f"Token “{obj.name}”",
            "opts": self.opts,
            "secret": request._new_secret,  # type: ignore[attr-defined]
        }
        response = TemplateResponse(request, "admin/limits/apitoken/created.html", context)
        response["Cache-Control"] = "no-store"
        return response

    @action(description="Revoke selected tokens", permissions=["revoke"])
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
    def scopes_text(self, token: ApiToken) -> str:
        return ", ".join(token.scopes)

    @display(description="Ends with")
    def hint_text(self, token: ApiToken) -> str:
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
        messages.info(request, "These tokens are already revoked.")
    return HttpResponseRedirect(back)
