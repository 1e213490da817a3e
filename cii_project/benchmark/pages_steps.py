"""Steps of ``pages``: many users from few, and every list page with its filters, first and far into it."""

import re
from contextlib import ExitStack
from time import perf_counter
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.urls import reverse

from checks.models import Finding, User
from cii_project.benchmark.common_steps import tidy
from cii_project.benchmark.measuring import peak_mb
from cii_project.benchmark.steps import step

REPEATS = 3


def pages() -> dict[str, str]:
    """What is measured: a name and the address."""
    users, check = reverse("console:users"), reverse("console:check", args=["no-mfa"])
    name = User.objects.order_by("-id").values_list("name", flat=True)[0]
    lists = {
        "users": users,
        "users, search of one": f"{users}?q={name}",
        "users, search of many": f"{users}?q=a",
        "users, search of none": f"{users}?q=zzzz",
        "users, status": f"{users}?status=locked_out",
        "users, rare status": f"{users}?status=suspended",
        "users, type": f"{users}?type=service_account",
        "users, administrators": f"{users}?flag=admin",
        "users, failing a check": f"{users}?check=mfa-bypass",
        "users, of a source": f"{users}?source=workday",
        "check": check,
        "check, by name": f"{check}?sort=name",
        "check, search": f"{check}?search=a",
        "check, search of none": f"{check}?search=zzzz",
        "check, administrators": f"{check}?group=admin",
        "check, older": f"{check}?age=older",
        "deliveries, dead": f"{reverse('console:deliveries')}?state=dead",
    }
    for page in ("dashboard", "checks", "runs", "deliveries", "integrations", "sources"):
        lists[page] = reverse(f"console:{page}")
    return lists


@step
def visit() -> dict[str, Any]:
    """Each page's server time and that of its queries alone, in ms: the quickest of some visits."""
    tidy()
    settings.ALLOWED_HOSTS = ["*"]
    person, _ = get_user_model().objects.get_or_create(username="benchmark", is_superuser=True, is_staff=True)
    client = Client()
    client.force_login(person)
    client.get(reverse("console:dashboard"))
    found = {}
    for name, address in pages().items():
        found[name], html = _timed(client, address)
        if further := _next(html):
            for _ in range(10):
                html = client.get(address.partition("?")[0] + further).content.decode()
                further = _next(html) or further
            found[f"{name}, far"], _ = _timed(client, address.partition("?")[0] + further)
    return {
        "pages": found,
        "peak_mb": peak_mb(),
        "users": User.objects.count(),
        "open": Finding.objects.count(),
    }


def _next(html: str) -> str:
    match = re.search(
        r'href="(\?[^"]*page=[^"]+)"[^>]*rel="next"|rel="next"[^>]*href="(\?[^"]*page=[^"]+)"', html
    )
    return (match.group(1) or match.group(2)).replace("&amp;", "&") if match else ""


def _timed(client: Client, address: str) -> tuple[dict[str, Any], str]:
    best: dict[str, Any] = {}
    html = ""
    for _ in range(REPEATS):
        asked: list[tuple[str, Any]] = []

        def note(execute: Any, sql: str, params: Any, many: bool, context: Any, asked: Any = asked) -> Any:
            asked.append((sql, params))
            return execute(sql, params, many, context)

        with ExitStack() as stack:
            stack.enter_context(connection.execute_wrapper(note))
            start = perf_counter()
            answer = client.get(address)
            html = answer.content.decode()
            took = perf_counter() - start
        if answer.status_code != 200:
            raise RuntimeError(f"{address} answered {answer.status_code}")
        alone = _queries_alone(asked)
        if not best or took < best["seconds"]:
            best = {"seconds": took, "queries": alone, "count": len(asked)}
    return best, html


def _queries_alone(asked: list[tuple[str, Any]]) -> float:
    start = perf_counter()
    with connection.cursor() as cursor:
        for sql, params in asked:
            if sql.lstrip().upper().startswith(("SELECT", "WITH")):
                cursor.execute(sql, params)
                cursor.fetchall()
    return perf_counter() - start
