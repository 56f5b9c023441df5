"""CSV files to download."""

from collections.abc import Iterable
from tempfile import SpooledTemporaryFile

from django.http import FileResponse, HttpResponse, StreamingHttpResponse

MAX_BYTES_IN_MEMORY = 2 * 1024 * 1024


def csv_response(lines: Iterable[str], name: str) -> HttpResponse:
    """Returns the lines of a file once all are read, from a temporary file if they are many: a web server may read the
    lines of a response in other threads than that of the request, each with another connection to the database.
    ``name``: of the file, without its ending."""
    file = SpooledTemporaryFile(MAX_BYTES_IN_MEMORY)  # noqa: SIM115 (closed with the response)
    file.writelines(line.encode() for line in lines)
    file.seek(0)
    return _download(FileResponse(file, content_type="text/csv; charset=utf-8"), name)


def streamed_csv_response(lines: Iterable[str], name: str) -> HttpResponse:
    """Returns the lines of a file as they come. They may be read in any thread."""
    return _download(StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8"), name)


def _download(response: StreamingHttpResponse, name: str) -> HttpResponse:
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response  # type: ignore[return-value]
