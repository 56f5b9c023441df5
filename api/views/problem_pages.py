"""The page that the ``type`` of a problem document leads to."""

from django.http import Http404, HttpResponse
from django.template.loader import render_to_string
from rest_framework.request import Request

from api.problems import PROBLEM_TYPES
from api.views.base import ApiView

_BY_URI = {kind.uri: kind for kind in PROBLEM_TYPES}


class ProblemPageView(ApiView):
    """``GET /problems/NAME``"""

    schema = None

    def get(self, request: Request, name: str) -> HttpResponse:
        kind = _BY_URI.get(f"/problems/{name}")
        if kind is None:
            raise Http404
        return HttpResponse(render_to_string("api/problem.html", {"kind": kind}))
