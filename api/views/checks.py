"""Checks, and where the counters stand."""

from functools import partial

from django.http import HttpResponse
from rest_framework.request import Request

from api.authentication import BearerAuthentication, HasScope, token_of
from api.body import MAX_BATCH_BODY, read_json
from api.decisions import batch_response, decision_response, usage_body
from api.negotiation import JsonOnly
from api.openapi.operations import batch_operation, check_operation, peek_operation, usage_operation
from api.rendering import json_response
from api.requests import parse_batch, parse_check, parse_client_query, parse_query
from api.views.base import ApiView
from limits.domain.decision import Decision
from limits.domain.words import Scope
from limits.enforcement import Guard, get_engine


class CheckingView(ApiView):
    """For programs with a token that may check."""

    authentication_classes = (BearerAuthentication,)
    permission_classes = (HasScope,)
    content_negotiation_class = JsonOnly
    scope = Scope.CHECK

    def guard(self, request: Request) -> Guard:
        """Judges the token anew by the rules that are decided by."""
        return partial(token_of(request).require, self.scope)


class DecisionView(CheckingView):
    """Takes one check in JSON."""

    def decide(self, request: Request, *, consume: bool) -> Decision:
        """The engine's decision."""
        check = parse_check(read_json(request))
        return get_engine().check(check, consume=consume, guard=self.guard(request))


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


class BatchView(CheckingView):
    """``POST /v1/check/batch``"""

    @batch_operation
    def post(self, request: Request) -> HttpResponse:
        parse_query(request.META.get("QUERY_STRING", ""), {})
        checks = parse_batch(read_json(request, MAX_BATCH_BODY))
        return batch_response(get_engine().check_in_order(checks, guard=self.guard(request)))


class UsageView(CheckingView):
    """``GET /v1/usage``"""

    @usage_operation
    def get(self, request: Request) -> HttpResponse:
        client = parse_client_query(request.META.get("QUERY_STRING", ""))
        standing = get_engine().look_at_client(client, guard=self.guard(request))
        return json_response(usage_body(standing))
