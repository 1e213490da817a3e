"""No list reads a whole table to show fifty rows: PostgreSQL's own plans over ten thousand users."""

import hashlib
import re

import pytest
from django.db import connection
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from checks import user_search
from checks.models import Account, Check, Finding, Run, Source, User
from checks.services import sync_catalogue
from checks.user_search import search_accounts, search_users
from cii_project.console.checks.failing_users import matching_findings
from cii_project.console.users.user_filters import filter_users

pytestmark = [pytest.mark.django_db, pytest.mark.postgres]
COUNT = 10_000


def many() -> Run:
    """Users, every fiftieth of which is rare in one way; every second fails four checks, nobody mfa-bypass."""
    sync_catalogue()
    run = Run.objects.create(state="succeeded", trigger="command", finished_at=timezone.now())
    okta, small = (Source.objects.create(slug=slug, name=slug) for slug in ("okta", "small"))
    users = User.objects.bulk_create(
        [
            User(
                name=f"{hashlib.sha256(str(n).encode()).hexdigest()[:12]}@example.com",
                display_name=f"Person {n}",
                status="suspended" if n % 50 == 1 else "active",
                user_type="guest" if n % 50 == 2 else "internal",
                guest=n % 50 == 2,
                nhi=n % 50 == 3,
                admin=n % 50 == 4,
                protected=n % 50 != 5,
            )
            for n in range(COUNT)
        ],
        batch_size=2000,
    )
    accounts = [Account(source=okta, user=user, login_key=f"login{user.pk}") for user in users]
    accounts += [Account(source=small, user=user, login_key=f"small{user.pk}") for user in users[:20]]
    Account.objects.bulk_create(accounts, batch_size=2000)
    checks = Check.objects.filter(slug__in=("no-mfa", "password-age", "inactive-user", "no-manager"))
    Finding.objects.bulk_create(
        [
            Finding(check_ref=check, user=user, opened_at=run.created_at, opened_run=run)
            for check in checks
            for user in users[::2]
        ],
        batch_size=2000,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE checks_user, checks_account, checks_finding, checks_source, checks_check")
        # Ten thousand rows fit a few pages, which may be quicker read whole than through an index: the
        # question here is whether the index serves at all, as it must for a million.
        cursor.execute("SET LOCAL enable_seqscan = off")
    return run


# Filters of the list of users → an index of which the plan makes use.
LIST: list[tuple[dict[str, str], str]] = [
    ({}, "checks_user_name"),
    ({"status": "suspended"}, "user_status"),
    ({"type": "guest"}, "user_type"),
    ({"flag": "admin"}, "user_admins"),
    ({"flag": "guest"}, "user_guests"),
    ({"flag": "nhi"}, "user_nhi"),
    ({"flag": "unprotected"}, "user_unprotected"),
    ({"flag": "protected"}, "checks_user_name"),
    ({"flag": "admin", "status": "suspended"}, "user_"),
    ({"check": "no-mfa"}, "checks_user_name"),
    ({"check": "mfa-bypass"}, "checks_finding"),
    ({"source": "okta"}, "checks_user_name"),
    ({"source": "small"}, "checks_account_source"),
]

# What a search asks first, and the index that answers it.
SEARCH = [
    ("tsquery", "user_words"),
    ('UPPER("checks_user"."name") COLLATE', "user_name_prefix"),
    ('UPPER("checks_user"."display_name") COLLATE', "user_display_prefix"),
    ('"login_key"::text LIKE', "account_login_key"),
    ('"email_key"::text LIKE', "account_email"),
    ('"employee_key" =', "account_employee"),
]


def whole(plan: str) -> bool:
    return bool(re.search("Seq Scan on checks_(user|account|finding)", plan))


def test_every_filter_and_order_of_users_is_answered_from_an_index():
    many()
    check = Check.objects.get(slug="no-mfa")
    wrong: dict[str, str] = {}

    def uses(name: str, queryset: QuerySet, *indexes: str) -> None:
        plan = queryset[:51].explain()
        if whole(plan) or [index for index in indexes if index not in plan]:
            wrong[name] = plan

    for filters, index in LIST:
        uses(f"users {filters}", filter_users(filters).order_by("name", "id"), index)
    for group in ("", "admin", "guest", "nhi"):
        for order in ("-id", "user__name", "-user__name"):
            (found,) = matching_findings(check, {"group": group}, search_users(""))
            uses(f"failing, {group or 'all'} by {order}", found.select_related("user").order_by(order))
    assert wrong == {}


def test_a_search_seeks_its_text_in_an_index_whether_few_or_many_begin_so(monkeypatch):
    many()
    check = Check.objects.get(slug="no-mfa")
    for most in (user_search.LIMIT, 5):
        monkeypatch.setattr(user_search, "LIMIT", most)
        for text in ("4", "person 1999", "LOGIN", "no such name"):
            with CaptureQueriesContext(connection) as asked:
                search = search_users(text)
                search_accounts(text)
            for query in asked.captured_queries:
                condition, plan = query["sql"].partition("WHERE")[2], explained(query["sql"])
                (index,) = {index for words, index in SEARCH if words in condition}
                assert re.search(rf"{index}\b.*\n *Index Cond", plan), plan
            users = search.parts(filter_users({}))
            found = matching_findings(check, {}, search)
            pages = [part.order_by("name_key", "id")[:51] for part in users]
            pages += [part.select_related("user").order_by("-id")[:51] for part in found]
            assert [plan for page in pages if whole(plan := page.explain())] == []


def explained(sql: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {sql}")
        return "\n".join(line for (line,) in cursor.fetchall())
