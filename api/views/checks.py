"""One check, one answer."""

from functools import partial

from django.http import HttpResponse
from rest_framework.request import Request

from api.authentication import BearerAuthentication, HasScope, token_of
from api.body import read_json
from api.decisions import decision_response
from api.negotiation import JsonOnly
from api.openapi.operations import check_operation, peek_operation
from api.requests import parse_check, parse_query
from api.views.base import ApiView
from limits.domain.decision import Decision
from limits.domain.words import Scope
from limits.enforcement import get_engine


class DecisionView(ApiView):
    """Takes a check in JSON from a program with a token."""

    authentication_classes = (BearerAuthentication,)
    permission_classes = (HasScope,)
    content_negotiation_class = JsonOnly
    scope = Scope.CHECK

    def decide(self, request: Request, *, consume: bool) -> Decision:
        """The engine's decision, with the token judged anew by the rules that it decides by."""
        check = parse_check(read_json(request))
        guard = partial(token_of(request).require, self.scope)
        return get_engine().check(check, consume=consume, guard=guard)


class CheckView(DecisionView):
    """``POST /v1/check``"""

    @check_operation
    def post(self, request: Request) -> HttpResponse:
        always_ok = bool(parse_query(request.META.get("QUERY_STRING", ""), {"status": "200"}))
        return decision_response(self.decide(request, consume=True), always_ok=always_ok)


class PeekView(DecisionView):
    """``POST /v1/peek``"""

    @peek_operation
    def post(self, request: Request) -> HttpResponse:
        parse_query(request.META.get("QUERY_STRING", ""), {})
        return decision_response(self.decide(request, consume=False), always_ok=True)
