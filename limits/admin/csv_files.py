"""CSV files to download, streamed."""

from collections.abc import Iterable

from django.http import HttpResponse, StreamingHttpResponse


def csv_response(lines: Iterable[str], name: str) -> HttpResponse:
    """Returns the lines of a file as they come. ``name``: of the file, without its ending."""
    response = StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response  # type: ignore[return-value]
