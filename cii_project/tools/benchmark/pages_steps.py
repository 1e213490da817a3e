"""Steps of ``pages``: every page of the console through WSGI, as it is deployed, and its queries alone."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter, process_time
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.test import Client, RequestFactory
from django.urls import reverse

from checks.models import Finding, User
from cii_project.tools.benchmark.common_steps import tidy
from cii_project.tools.benchmark.measuring import peak_mb
from cii_project.tools.benchmark.pages_visited import Visit, visits
from cii_project.tools.benchmark.steps import step
from integrations.services import JsonObject

REPEATS = 5
QUICK = 0.1  # seconds: what is as quick at once is not visited again
FAR = 10  # pages into a list
CSRF = "b" * 32


@dataclass(slots=True)
class PageResponse:
    """``seconds`` until the body was there; of a stream until its first bytes."""

    status: int
    body: str
    seconds: float
    cpu: float
    asked: list[tuple[str, Any]]


class Browser:
    """A signed-in member who calls the application in this process."""

    def __init__(self) -> None:
        settings.ALLOWED_HOSTS = ["*"]
        people = get_user_model().objects
        person, _ = people.get_or_create(username="benchmark", is_superuser=True, is_staff=True)
        client = Client()
        client.force_login(person)
        session = client.cookies[settings.SESSION_COOKIE_NAME].value
        cookies = f"{settings.SESSION_COOKIE_NAME}={session}; {settings.CSRF_COOKIE_NAME}={CSRF}"
        self.requests = RequestFactory(HTTP_COOKIE=cookies, HTTP_X_CSRFTOKEN=CSRF)
        self.application = get_wsgi_application()

    def open(self, visit: Visit) -> PageResponse:
        if visit.form is None:
            environ = self.requests.get(visit.address, headers=visit.headers).environ
        else:
            environ = self.requests.post(visit.address, visit.form, headers=visit.headers).environ
        statuses: list[str] = []
        asked: list[tuple[str, Any]] = []

        def note(
            execute: Callable[..., object], sql: str, params: object, many: bool, context: object
        ) -> object:
            asked.append((sql, params))
            return execute(sql, params, many, context)

        def start_response(status: str, headers: object, exc_info: object = None, /) -> Any:
            statuses.append(status)

        with connection.execute_wrapper(note):
            start, cpu = perf_counter(), process_time()
            answer = self.application(environ, start_response)
            body = next(iter(answer)) if visit.stream else b"".join(answer)
            seconds, cpu = perf_counter() - start, process_time() - cpu
        answer.close()
        status = int(statuses[0].split()[0])
        if status != 200:
            raise RuntimeError(f"{visit.address} answered {statuses[0]}")
        return PageResponse(status, body.decode(), seconds, cpu, asked)


@step
def visit(only: str = "", repeats: int = REPEATS) -> JsonObject:
    """Each page's server time and that of its queries alone, in seconds: the quickest of some visits."""
    tidy()
    browser = Browser()
    browser.open(Visit("warm", reverse("console:dashboard")))
    found = {}
    for one in visits():
        if only not in one.name:
            continue
        found[one.name], body = _timed(browser, one, repeats)
        if far := _far(browser, one, body):
            found[far.name], _ = _timed(browser, far, repeats)
    return {
        "pages": found,
        "peak_mb": peak_mb(),
        "users": User.objects.count(),
        "open": Finding.objects.filter(resolved_at=None).count(),
    }


def _far(browser: Browser, visit: Visit, body: str) -> Visit | None:
    """The same list some pages on, if it has that many."""
    page = visit.address.partition("?")[0]
    further = ""
    for _ in range(FAR):
        match = re.search(r'href="(\?[^"]*page=[^"]+)"[^>]*rel="next"', body)
        if not match:
            break
        further = page + match.group(1).replace("&amp;", "&")
        body = browser.open(Visit("", further)).body
    return Visit(f"{visit.name}, far", further) if further else None


def _timed(browser: Browser, visit: Visit, repeats: int) -> tuple[JsonObject, str]:
    best = browser.open(visit)
    for _ in range(repeats - 1):
        if best.seconds > QUICK:
            best = min(best, browser.open(visit), key=lambda answer: answer.seconds)
    alone = _queries_alone(best.asked)
    figures = {
        "seconds": best.seconds,
        "queries": alone,
        "count": len(best.asked),
        "cpu": best.cpu,
        "most_ms": visit.most_ms,
    }
    return figures, best.body


def _queries_alone(asked: list[tuple[str, Any]]) -> float:
    start = perf_counter()
    with connection.cursor() as cursor:
        for sql, params in asked:
            if sql.lstrip(" (").upper().startswith(("SELECT", "WITH")):
                cursor.execute(sql, params)
                cursor.fetchall()
    return perf_counter() - start
