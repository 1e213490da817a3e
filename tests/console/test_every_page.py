"""No page reads a whole table to show fifty rows: PostgreSQL's own plans for every query of every page that the
benchmark visits, and how many queries each takes."""

import re

import pytest
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, connection
from django.utils import timezone

from checks import user_search
from checks.importing.accounts import import_accounts
from checks.models import Run, Source
from checks.services import sync_catalogue
from cii_project.tools.benchmark import data, pages_history
from cii_project.tools.benchmark.pages_steps import Browser
from cii_project.tools.benchmark.pages_visited import visits
from notifications.services import run_and_notify

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
USERS = 400
MOST_QUERIES = 20
# What grows without bound: no page may need to read one of them whole.
LARGE = ("checks_user", "checks_account", "checks_finding", "notifications_delivery", "notifications_attempt")
WHOLE = re.compile(rf"Seq Scan on ({'|'.join(LARGE)})\\b")
# Evaluates all users by one rule; the page that shows the answer is there before it.
COUNTING = "would fail"


def past() -> None:
    """Users of three sources, sixty daily runs with findings, deliveries, attempts."""
    sync_catalogue()
    now = timezone.now()
    for slug, name, provider, kind in data.DATA_SOURCES:
        source = Source.objects.create(slug=slug, name=name, provider=provider, kind=kind)
        import_accounts(enumerate(data.account_records(slug, USERS, seed=1, now=now), start=1), source=source)
    run_and_notify(trigger=Run.Trigger.SCHEDULE)
    pages_history.history(findings=3 * USERS)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        # Some hundred rows fit a few pages, which may be quicker read whole than through an index: the
        # question here is whether an index serves at all, as it must for a million.
        cursor.execute("SET LOCAL enable_seqscan = off")


@pytest.fixture(autouse=True)
def one_transaction():
    """A request closes what it takes for a broken connection: one within a transaction, as a test's is."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


def plan(sql: str, params: tuple) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}", params)
        return "\n".join(line for (line,) in cursor.fetchall())


def test_every_page_takes_few_queries_and_each_is_answered_from_an_index(monkeypatch):
    past()
    browser, wrong = Browser(), {}
    searches = [visit for visit in visits() if "search" in visit.name]
    for most, visited in ((user_search.LIMIT, visits()), (5, searches)):
        monkeypatch.setattr(user_search, "LIMIT", most)
        for visit in visited:
            asked = browser.open(visit).asked
            assert len(asked) <= MOST_QUERIES, visit.name
            for sql, params in asked if not visit.name.startswith(COUNTING) else []:
                if sql.startswith("SELECT") and WHOLE.search(found := plan(sql, params)):
                    wrong[visit.name] = f"{sql % params}\n{found}"
    assert wrong == {}
