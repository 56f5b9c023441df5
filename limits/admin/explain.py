"""“Why was this denied?”: what matches a request of a client, where the counters stand, and what one
request would get now."""

from typing import Any

from django import forms
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminTextInputWidget

from limits.admin.routes import patterns_for
from limits.admin.standing import AWAY, about, comes_back, used, why_no_rules
from limits.domain.decision import Decision, LimitState
from limits.domain.wording import limit_sentence
from limits.domain.words import Reason
from limits.enforcement import CheckRequest, RulesetMissing, get_engine
from limits.enforcement.explanation import PolicyExplanation, explain
from limits.models import Client
from limits.models.clients import validate_key

_ANSWERS = {
    None: "One request now would be admitted.",
    Reason.LIMIT: "One request now would be denied.",
    Reason.COST_EXCEEDS_QUOTA: "One request costs more than a limit can ever admit: waiting does not help.",
    Reason.BLOCKED: "The client is blocked: every request is denied, whatever the limits.",
    Reason.EXEMPT: "The client is exempt: every request is admitted, whatever the limits.",
    Reason.STORE_UNAVAILABLE: "Redis cannot be reached, and a policy says to refuse requests then.",
}


class ExplainForm(forms.Form):
    """Who, and what."""

    client = forms.CharField(
        max_length=256,
        strip=False,
        validators=[validate_key],
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "acme"}),
        help_text="The client's key, registered or not.",
    )
    request = forms.CharField(
        label="Endpoint, or method and path",
        max_length=2_000,
        widget=UnfoldAdminTextInputWidget(attrs={"placeholder": "search, or GET /api/products/7", "list": "endpoints"}),
        help_text="The slug of an endpoint, or a request as it is sent.",
    )

    def clean_request(self) -> str:
        text: str = self.cleaned_data["request"].strip()
        method, space, path = text.partition(" ")
        if (space or "/" in text) and not (method.isalpha() and path.strip().startswith("/")):
            raise forms.ValidationError("It must be a slug, or a method and a path such as “GET /api/products/7”.")
        return text


def explain_view(request: HttpRequest, admin_site: AdminSite) -> HttpResponse:
    """The page; ``?client=…&request=…`` is the question, so that an answer can be sent around."""
    if not request.user.has_perm("limits.view_client"):
        raise PermissionDenied
    # A link may leave something to be typed; the form itself may not.
    is_asked = "asked" in request.GET or bool(request.GET.get("client") and request.GET.get("request"))
    form = ExplainForm(request.GET if is_asked else None, initial=request.GET.dict())
    answer: dict[str, Any] = {}
    if form.is_bound and form.is_valid():
        answer = _answer(form.cleaned_data["client"], form.cleaned_data["request"])
    held = get_engine().held
    context = {
        **admin_site.each_context(request),
        "title": "Why was this denied?",
        "form": form,
        "endpoints": held.ruleset.endpoints if held else (),
        "opts": Client._meta,
        **answer,
    }
    return TemplateResponse(request, "admin/limits/client/explain.html", context)


def _answer(client: str, asked: str) -> dict[str, Any]:
    method, space, path = asked.partition(" ")
    question = CheckRequest(client, method=method, path=path.strip()) if space else CheckRequest(client, asked)
    engine = get_engine()
    try:
        explanation = explain(engine, question)
    except RulesetMissing:
        return {"problem": why_no_rules()}
    decision, ruleset = explanation.decision, explanation.ruleset
    return {
        "asked": asked,
        "decision": decision,
        "problem": AWAY if decision.degraded else "",
        "sentence": _ANSWERS[decision.reason],
        "waiting": _waiting(decision),
        "endpoint": next((each for each in ruleset.endpoints if each.slug == decision.endpoint), None),
        "patterns": list(patterns_for(ruleset, method, path.strip())) if space else (),
        "row": Client.objects.filter(key=client).first(),
        "applying": [_shown(policy) for policy in explanation.policies if policy.applies],
        "others": [policy for policy in explanation.policies if not policy.applies],
    }


def _waiting(decision: Decision) -> str:
    if decision.retry_after is None:
        return ""
    names = ", ".join(state.name for state in decision.denying)
    return (
        f"Denied by {names}. One that waits {about(decision.retry_after)} is admitted, if nobody else asks meanwhile."
    )


def _shown(policy: PolicyExplanation) -> dict[str, Any]:
    return {"policy": policy.policy, "why": policy.why, "limits": [_limit(state) for state in policy.limits]}


def _limit(state: LimitState) -> dict[str, Any]:
    return {
        "name": state.name,
        "sentence": limit_sentence(state.limit),
        "used": used(state),
        "capacity": state.limit.capacity,
        "comes_back": comes_back(state),
        "verdict": "" if state.allowed else "denies" if state.is_enforced else "would deny",
    }
