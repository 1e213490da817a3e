"""The page for an error that no view handles: 503 with what to do if the disk is full, else 500 with the request's id."""

import sys

from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from structlog.contextvars import get_contextvars

# PostgreSQL, appendix A: disk_full.
DISK_FULL = "53100"


def server_error(request: HttpRequest) -> HttpResponse:
    """Django's ``handler500``; called while the exception is handled."""
    if is_disk_full(sys.exc_info()[1]):
        return render(request, "503.html", status=503)
    return render(request, "500.html", {"request_id": get_contextvars().get("request_id")}, status=500)


def is_disk_full(error: BaseException | None) -> bool:
    """Whether the database refused to write because its disk is full."""
    if not isinstance(error, OperationalError):
        return False
    return "database or disk is full" in str(error) or getattr(error.__cause__, "sqlstate", "") == DISK_FULL
