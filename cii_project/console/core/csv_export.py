"""CSV files for the browser to save: streamed, and safe in a spreadsheet."""

import csv
import unicodedata
from collections.abc import Iterable
from datetime import datetime

from django.http import StreamingHttpResponse

EXPORT_CHUNK = 1000  # rows read at a time
_FORMULA = frozenset("=+-@")


def csv_response(rows: Iterable[Iterable[object]], name: str) -> StreamingHttpResponse:
    """A streamed response that the browser saves as ``name``. ``rows``: the header, then the rows, cell by cell."""
    writer = csv.writer(_LineEcho())
    response = StreamingHttpResponse(
        (writer.writerow(map(safe_cell, row)).encode() for row in rows),
        content_type="text/csv; charset=utf-8",
    )
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def time_cell(moment: datetime | None) -> str:
    """A time as a cell: ISO 8601 to the second; empty without one."""
    return moment.isoformat(timespec="seconds") if moment else ""


def safe_cell(value: object) -> str:
    """A CSV cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    text = str(value)
    # Some skip leading blanks, and read the full-width signs as the plain ones.
    first = unicodedata.normalize("NFKC", text.lstrip()[:1])
    return f"'{text}" if first in _FORMULA or text[:1] in ("\t", "\r", "\n") else text


class _LineEcho:
    """A file for csv.writer that returns each line instead of keeping it."""

    def write(self, line: str) -> str:
        return line
