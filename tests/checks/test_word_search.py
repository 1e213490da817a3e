"""Search for the beginnings of words in a user's names, on both databases."""

import pytest
from django.db import connection

from checks.models import User
from checks.services import search_users
from checks.word_search import keep_sqlite_index, users_with_words
from tests.checks.imports import load

pytestmark = pytest.mark.django_db

USERS = [
    {"login": "ana.garcia@example.com", "display_name": "Ana García López", "employee_id": "E-4711"},
    {"login": "bo@example.com", "display_name": "Bo Garcia-Ruiz"},
    {"login": "svc_backup%01", "display_name": 'Backup "nightly"'},
    {"login": "li@example.com", "display_name": "Li Wei"},
]


def found(text: str) -> set[str]:
    return set(User.objects.filter(pk__in=users_with_words(text, 10)).values_list("login", flat=True))


@pytest.mark.parametrize(
    ("text", "logins"),
    [
        ("garcia", {"ana.garcia@example.com", "bo@example.com"}),
        ("GARCÍA", {"ana.garcia@example.com"}),
        ("ruiz", {"bo@example.com"}),
        ("ruiz bo", {"bo@example.com"}),
        ("garcia li", set()),
        ("example li", {"li@example.com"}),
        ("4711", {"ana.garcia@example.com"}),
        ("arcia", set()),
        ("kup", set()),
        ("example.com", {"ana.garcia@example.com", "bo@example.com", "li@example.com"}),
        ('"nightly"', {"svc_backup%01"}),
        ("backup%0", {"svc_backup%01"}),
        ("backup_02", set()),
        ("OR ruiz*", set()),
        ("& | ! :* ' \\", set()),
        ("ana.garcía", {"ana.garcia@example.com"}),
        ("ana & garcia", {"ana.garcia@example.com"}),
        ("li", set()),
        ("9" * 3000, set()),
        ("ruiz " * 1000, {"bo@example.com"}),
        ("ru\0iz", set()),
        ("ruiz\0", {"bo@example.com"}),
        ("", set()),
        ("  ", set()),
    ],
)
def test_for_every_word_one_must_begin_so(text: str, logins: set[str]) -> None:
    load(USERS, "okta")
    assert found(text) == logins


def test_no_more_than_the_limit_is_read() -> None:
    load([{"login": f"user{n}@example.com"} for n in range(5)], "okta")
    assert len(users_with_words("example", 3)) == 3


def test_the_index_follows_renames_and_deletions() -> None:
    load(USERS, "okta")
    User.objects.filter(login="bo@example.com").update(display_name="Bo Berg")
    User.objects.filter(login="li@example.com").delete()
    assert found("ruiz") == set()
    assert found("berg") == {"bo@example.com"}
    assert found("example wei") == set()


def test_the_lists_of_users_find_by_words() -> None:
    load(USERS, "okta")
    result = search_users("lópez")
    assert [user.login for part in result.parts(User.objects.all()) for user in part] == [
        "ana.garcia@example.com"
    ]


@pytest.mark.skipif("connection.vendor != 'sqlite'", reason="PostgreSQL's index belongs to the table.")
def test_a_table_of_users_that_a_migration_replaced_is_indexed_again() -> None:
    load(USERS, "okta")
    with connection.cursor() as cursor:
        # As the schema editor leaves it: the triggers of the old table are gone, and rows may have changed since.
        for name in ("added", "removed", "changed"):
            cursor.execute(f"DROP TRIGGER checks_user_words_{name}")
        cursor.execute("UPDATE checks_user SET display_name = 'Bo Berg' WHERE login = 'bo@example.com'")
    keep_sqlite_index(using="default")
    assert found("berg") == {"bo@example.com"}
    User.objects.filter(login="bo@example.com").update(display_name="Bo Ek Lund")
    assert (found("berg"), found("lund")) == (set(), {"bo@example.com"})
