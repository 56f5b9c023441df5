"""CSV files to download."""

from collections.abc import Iterable, Iterator
from functools import partial
from tempfile import SpooledTemporaryFile

from django.http import HttpResponse, StreamingHttpResponse

MAX_BYTES_IN_MEMORY = 2 * 1024 * 1024
BYTES_AT_ONCE = 64 * 1024


def csv_response(lines: Iterable[str], name: str) -> HttpResponse:
    """Returns the lines of a file once all are read, from a temporary file if they are many: a web server may read the
    lines of a response in other threads than that of the request, each with another connection to the database.
    ``name``: of the file, without its ending."""
    parts = _stored(lines)
    next(parts)
    return _download(parts, name)


def streamed_csv_response(lines: Iterable[str], name: str) -> HttpResponse:
    """Returns the lines of a file as they come. They may be read in any thread."""
    return _download(lines, name)


def _stored(lines: Iterable[str]) -> Iterator[bytes]:
    """Yields nothing once all lines are read, and then parts of the file, which is closed with this generator."""
    with SpooledTemporaryFile(MAX_BYTES_IN_MEMORY) as file:
        file.writelines(line.encode() for line in lines)
        file.seek(0)
        yield b""
        yield from iter(partial(file.read, BYTES_AT_ONCE), b"")


def _download(parts: Iterable[str] | Iterable[bytes], name: str) -> HttpResponse:
    response = StreamingHttpResponse(parts, content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return response  # type: ignore[return-value]
