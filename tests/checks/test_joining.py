"""Which accounts are one user: by employee id, then e-mail, then login, case-folded."""

import re
from typing import Any

import pytest
from django.db import connection

from checks.models import Account, Import, JoinSuggestion, User
from tests.checks.imports import Row, load

pytestmark = pytest.mark.django_db


def suggested() -> set[tuple[str, str]]:
    """Open suggestions as pairs of the account's login and the first login of the user."""
    pairs = JoinSuggestion.objects.filter(state="open").select_related("account", "user")
    found = set()
    for one in pairs:
        theirs = one.user.accounts.order_by("id").values_list("login", flat=True)[0]
        found.add((one.account.login, theirs))
    return found


def together(*sources: list[Row]) -> list[set[str]]:
    """Import the lists as sources 0, 1 …; the accounts of each user as ``source/login``."""
    for number, rows in enumerate(sources):
        load(rows, str(number))
    users: dict[int, set[str]] = {}
    for user, slug, login in Account.objects.values_list("user_id", "source__slug", "login"):
        users.setdefault(user, set()).add(f"{slug}/{login}")
    assert None not in users
    return sorted(users.values(), key=sorted)


def test_by_employee_id_whatever_else_differs() -> None:
    assert together(
        [{"login": "a", "employee_id": "E1", "email": "a@x.org"}],
        [{"login": "b", "employee_id": "e1", "email": "b@x.org"}],
    ) == [{"0/a", "1/b"}]


def test_by_email_case_folded() -> None:
    assert together([{"login": "a", "email": "Ann@X.org"}], [{"login": "b", "email": "ann@x.ORG"}]) == [
        {"0/a", "1/b"}
    ]


def test_a_login_that_is_an_address_counts_as_the_email() -> None:
    assert together([{"login": "ann@x.org"}], [{"login": "b", "email": "ann@x.org"}]) == [
        {"0/ann@x.org", "1/b"}
    ]


def test_but_not_where_the_account_has_another_email() -> None:
    assert together(
        [{"login": "ann@x.org", "email": "else@x.org"}], [{"login": "b", "email": "ann@x.org"}]
    ) == [{"0/ann@x.org"}, {"1/b"}]


def test_by_login_last() -> None:
    assert together([{"login": "ann"}], [{"login": "ANN", "email": "ann@x.org"}]) == [{"0/ann", "1/ANN"}]


def test_the_email_wins_over_the_login() -> None:
    assert together(
        [{"login": "ann"}, {"login": "other", "email": "ann@x.org"}], [{"login": "ann", "email": "ann@x.org"}]
    ) == [{"0/ann"}, {"0/other", "1/ann"}]


def test_the_employee_id_wins_over_the_email() -> None:
    assert together(
        [{"login": "a", "employee_id": "1"}, {"login": "b", "email": "m@x.org"}],
        [{"login": "c", "employee_id": "1", "email": "m@x.org"}],
    ) == [{"0/a", "1/c"}, {"0/b"}]


@pytest.mark.parametrize("key", ["email", "login"])
def test_different_employee_ids_never_join(key: str) -> None:
    first, second = {"login": "a", "employee_id": "1"}, {"login": "b", "employee_id": "2"}
    first[key] = second[key] = "ann@x.org"
    assert len(together([first], [second])) == 2


def test_an_employee_joins_who_has_no_id_yet_by_email() -> None:
    assert together(
        [{"login": "a", "email": "m@x.org"}], [{"login": "b", "employee_id": "1", "email": "m@x.org"}]
    ) == [{"0/a", "1/b"}]


def test_an_account_that_two_employees_claim_by_email_joins_neither() -> None:
    rows = [{"login": f"b{i}", "employee_id": str(i), "email": "m@x.org"} for i in (2, 1)]
    assert together([{"login": "a", "email": "m@x.org"}], rows) == [{"0/a"}, {"1/b1"}, {"1/b2"}]


def test_an_account_without_an_id_joins_an_employee_by_email() -> None:
    assert together(
        [{"login": "a", "employee_id": "1", "email": "m@x.org"}], [{"login": "b", "email": "m@x.org"}]
    ) == [{"0/a", "1/b"}]


def test_of_several_users_with_the_address_none_is_joined_and_each_is_suggested() -> None:
    assert together(
        [{"login": f"a{i}", "employee_id": str(i), "email": "m@x.org"} for i in (1, 2)],
        [{"login": "b", "email": "m@x.org"}],
    ) == [{"0/a1"}, {"0/a2"}, {"1/b"}]
    assert suggested() == {("a1", "b"), ("a2", "b")}


def test_accounts_of_one_file_join_by_employee_id_alone() -> None:
    assert together(
        [
            {"login": "a", "employee_id": "1"},
            {"login": "a-admin", "employee_id": "1"},
            {"login": "b", "email": "m@x.org"},
            {"login": "b2", "email": "M@x.org"},
            {"login": "c"},
        ]
    ) == [{"0/a", "0/a-admin"}, {"0/b"}, {"0/b2"}, {"0/c"}]


@pytest.mark.parametrize("word", ["n/a", "none", "-", "0", "NULL", ""])
def test_words_for_nothing_join_nobody(word: str) -> None:
    rows = [{"login": f"u{i}", "employee_id": word, "email": word if word != "0" else ""} for i in range(3)]
    assert len(together(rows)) == 3


def test_an_account_whose_user_was_removed_finds_one_again() -> None:
    together([{"login": "a", "email": "m@x.org"}])
    User.objects.all().delete()
    load([{"login": "b", "email": "m@x.org"}], "1")
    assert User.objects.get().accounts.count() == 2


def reasons() -> dict[str, str]:
    return dict(Account.objects.order_by("login").values_list("login", "join_reason"))


def test_every_account_has_the_reason_and_the_time_of_its_join() -> None:
    load([{"login": "first", "employee_id": "7", "email": "m@x.org"}, {"login": "alone"}])
    load([{"login": "by-id", "employee_id": "7"}, {"login": "two", "email": "t@x.org"}], "hr")
    load([{"login": "ALONE"}, {"login": "by-mail", "email": "M@x.org"}], "c")
    load([{"login": "two-too", "email": "t@x.org"}], "d")
    assert reasons() == {
        "first": "first",
        "alone": "first",
        "by-id": "employee_id",
        "by-mail": "email",
        "ALONE": "login",
        "two": "first",
        "two-too": "email",
    }
    joined = dict(Account.objects.values_list("login", "joined_at"))
    started = dict(Import.objects.values_list("source__slug", "started_at"))
    assert (joined["first"], joined["by-id"], joined["two-too"]) == (
        started["okta"],
        started["hr"],
        started["d"],
    )


def test_an_employee_who_joins_a_user_without_an_id_does_so_by_the_address_or_the_login() -> None:
    load([{"login": "a", "email": "m@x.org"}, {"login": "b"}])
    load(
        [{"login": "w1", "employee_id": "1", "email": "m@x.org"}, {"login": "B", "employee_id": "2"}],
        "hr",
        "hr",
    )
    assert Account.objects.values("user").distinct().count() == 2
    assert (reasons()["w1"], reasons()["B"]) == ("email", "login")


def test_an_immutable_id_is_stored_as_the_source_writes_it() -> None:
    load([{"login": "a", "source_key": "00uAbC"}, {"login": "b", "source_key": "00uABC"}, {"login": "c"}])
    assert dict(Account.objects.values_list("login", "source_key")) == {"a": "00uAbC", "b": "00uABC", "c": ""}
    load([{"login": "a", "source_key": "00uAbC"}], "another source")
    assert Account.objects.filter(source_key="00uAbC").count() == 2


@pytest.mark.skipif(connection.vendor != "sqlite", reason="The plans are SQLite's own.")
@pytest.mark.parametrize("row", [{}, {"employee_id": "E{}"}, {"manager": "u0@x.org", "owner": "u1"}])
def test_no_account_is_held_against_every_other_account(row: Row) -> None:
    """A join of accounts with accounts that uses no index took minutes for 100,000 of them."""
    rows = [
        {"login": f"u{i}", "email": f"u{i}@x.org"} | {name: text.format(i) for name, text in row.items()}
        for i in range(50)
    ]
    plans: list[tuple[str, str]] = []

    def explaining(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        tables = len(re.findall(r"\b(?:FROM|JOIN) checks_account\b", sql))
        if tables and "join_nodes" in sql and "INSERT" in sql:
            plan = execute(f"EXPLAIN QUERY PLAN {sql}", params, many, context)
            plans.extend((sql, str(step[3])) for step in plan.fetchall())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(explaining):
        load(rows, "0")
        load(rows, "1")
    assert plans
    assert [(sql, step) for sql, step in plans if re.match(r"SCAN a\b", step)] == []
