"""Values in a request that no database stores: answered 400 instead of 500, wherever a page or the admin reads one.

NUL bytes, lone surrogates, and numbers beyond 64 bits. SQLite and PostgreSQL refuse different ones, each by its own
exception, and Django's admin passes on what it gets.
"""

import logging
import re
from collections.abc import Callable

from django.db import DataError
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

log = logging.getLogger(__name__)


def parse_id(text: str) -> int:
    """The key in a form's field, or 0, which no row has, for a value that is no key."""
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


class UnstorableValues:
    """Middleware: turns what the database refused into an answer that says so."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        if not isinstance(exception, DataError | OverflowError | UnicodeEncodeError) and not _is_odd(
            exception
        ):
            return None
        # With the traceback: a value of our own making would be a mistake in the code.
        log.error("the database refused a value of %s %s", request.method, request.path, exc_info=exception)
        return render(request, "400.html", status=400)


def _is_odd(exception: Exception) -> bool:
    """A ValueError that Python (over 4,300 digits) or the driver (NUL) raises for a value as such."""
    text = str(exception)
    return isinstance(exception, ValueError) and ("integer string conversion" in text or "NUL" in text)
