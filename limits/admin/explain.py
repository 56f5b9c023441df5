"""“Why was this denied?”: the policies that apply to a request of a client, the state of the counters, and
the decision on such a request now."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.client_page import STORE_UNAVAILABLE, about, available_again, missing_rules_reason
from limits.admin.endpoints import patterns_for
from limits.domain.descriptions import limit_sentence
from limits.domain.typed_attributes import InvalidAttributes, typed_attributes
from limits.models import Client
from limits.models.clients import validate_key
from ratelimit_enforcer.domain.decision import Decision, LimitState
from ratelimit_enforcer.domain.enums import Algorithm, Reason
from ratelimit_enforcer.engine import CheckRequest, RulesetMissing, get_engine
from ratelimit_enforcer.engine.explanation import Explanation, PolicyExplanation, explain

_ANSWERS = {
    None: "A request now would be admitted.",
    Reason.LIMIT: "A request now would be denied.",
    Reason.COST_EXCEEDS_QUOTA: "The request costs more than a limit can admit, so it is always denied.",
    Reason.BLOCKED: "The client is blocked: all requests are denied, regardless of limits.",
    Reason.EXEMPT: "The client is exempt: all requests are admitted, regardless of limits.",
    Reason.STORE_UNAVAILABLE: "Redis is unavailable, and a policy denies requests in that case.",
}


class ExplainForm(forms.Form):
    """The form for the client and the request to explain."""

    client = forms.CharField(
        max_length=256,
        strip=False,
        validators=[validate_key],
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "acme"}),
        help_text="Key of a registered or unregistered client.",
    )
    request = forms.CharField(
        label="Endpoint, or method and path",
        max_length=2_000,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "search, or GET /api/products/7", "list": "endpoints"}),
        help_text="Endpoint slug, or a request as sent by the client.",
    )

    attributes = forms.CharField(
        required=False,
        max_length=2_500,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "ip=192.0.2.7 model=gpt-x"}),
        help_text="Attributes of the request, separated by spaces. Empty: none.",
    )

    def clean_attributes(self) -> Mapping[str, str]:
        try:
            return typed_attributes(self.cleaned_data["attributes"].split())
        except InvalidAttributes as error:
            raise forms.ValidationError(str(error)) from error

    def clean_request(self) -> str:
        text: str = self.cleaned_data["request"].strip()
        method, space, path = text.partition(" ")
        if (space or "/" in text) and not (method.isalpha() and path.strip().startswith("/")):
            raise forms.ValidationError("Enter a slug, or a method and a path such as “GET /api/products/7”.")
        return text


def explain_view(request: HttpRequest, admin_site: AdminSite) -> HttpResponse:
    """The page; ``?client=…&request=…`` is the query, so that the URL of a result can be shared."""
    if not request.user.has_perm("limits.view_client"):
        raise PermissionDenied
    # A link may leave a field empty; a submitted form may not.
    is_asked = "asked" in request.GET or bool(request.GET.get("client") and request.GET.get("request"))
    form = ExplainForm(request.GET if is_asked else None, initial=request.GET.dict())
    answer: dict[str, Any] = {}
    if form.is_bound and form.is_valid():
        asked = form.cleaned_data
        answer = _answer(asked["client"], asked["request"], asked["attributes"])
    current = get_engine().current
    context = {
        **admin_site.each_context(request),
        "title": "Why was this denied?",
        "form": form,
        "endpoints": current.ruleset.endpoints if current else (),
        "opts": Client._meta,
        **answer,
    }
    return TemplateResponse(request, "admin/limits/client/explain.html", context)


def _answer(client: str, asked: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    method, space, path = asked.partition(" ")
    question = CheckRequest(client, method=method, path=path.strip()) if space else CheckRequest(client, asked)
    engine = get_engine()
    try:
        explanation = explain(engine, question._replace(attributes=attributes))
    except RulesetMissing:
        return {"problem": missing_rules_reason()}
    decision, ruleset = explanation.decision, explanation.ruleset
    return {
        "asked": asked,
        "decision": decision,
        "problem": STORE_UNAVAILABLE if decision.degraded else "",
        "sentence": explanation.blocked_by or _ANSWERS[decision.reason],
        "waiting": _waiting(decision),
        "endpoint": next((each for each in ruleset.endpoints if each.slug == decision.endpoint), None),
        "patterns": list(patterns_for(ruleset, method, path.strip())) if space else (),
        "row": Client.objects.filter(key=client).first(),
        "ancestors": _ancestors(explanation),
        "applying": [_shown(policy) for policy in explanation.policies if policy.applies],
        "others": [policy for policy in explanation.policies if not policy.applies],
    }


def _ancestors(explanation: Explanation) -> list[dict[str, Any]]:
    """Returns a sentence about each ancestor, with the client's row (None: it was removed meanwhile)."""
    keys = [record.key for record in explanation.records[1:]]
    rows = {row.key: row for row in Client.objects.filter(key__in=keys)}
    return [
        {"row": rows.get(key), "sentence": sentence} for key, sentence in zip(keys, explanation.ancestors, strict=True)
    ]


def _waiting(decision: Decision) -> str:
    if decision.retry_after is None:
        return ""
    names = ", ".join(state.name for state in decision.denying)
    if all(state.limit.algorithm is Algorithm.CONCURRENCY for state in decision.denying):
        return f"Denied by {names}. Retry when one of the requests in progress has ended."
    return f"Denied by {names}. Retry in {about(decision.retry_after)}."


def _shown(policy: PolicyExplanation) -> dict[str, Any]:
    return {"policy": policy.policy, "why": policy.why, "limits": [_limit(state) for state in policy.limits]}


def _limit(state: LimitState) -> dict[str, Any]:
    return {
        "name": state.name,
        "sentence": limit_sentence(state.limit),
        "used": state.used,
        "capacity": state.limit.capacity,
        "is_full": state.remaining == 0,
        "available_again": available_again(state),
        "effect": "" if state.allowed else "denies" if state.is_enforced else "would deny",
    }
