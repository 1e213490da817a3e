"""Managers and owners: by distinguished name, by a word that matches nobody, and deleted ones."""

import pytest

from checks.catalogue import CATALOGUE
from checks.catalogue.definition import Settings
from checks.importing.values import common_name
from checks.models import Account, Import, User
from tests.checks.factories import NOW
from tests.checks.imports import load

pytestmark = pytest.mark.django_db

BOSS = "CN=Boss\\, Big,OU=Staff,DC=x,DC=example"


def manager_of(login: str) -> str | None:
    manager = User.objects.get(login=login).manager
    return manager and manager.login


def outcome(login: str) -> str:
    check = CATALOGUE["manager-inactive"]
    user = User.objects.filter(login=login)
    if user.filter(check.fails(Settings(), NOW)).exists():
        return "fails"
    unknown = check.unknown(Settings(), NOW)
    return "unknown" if unknown is not None and user.filter(unknown).exists() else "passes"


def warnings(done: Import) -> list[str]:
    return [each["text"] for each in done.warnings if each["field"] in ("manager", "owner")]


@pytest.mark.parametrize(
    "boss",
    [
        {"login": "b1", "display_name": "Boss, Big"},
        {"login": "b1", "first_name": "", "display_name": "boss, BIG"},
        {"login": "Boss, Big"},
        {"login": "b1", "source_key": BOSS},
    ],
)
def test_a_distinguished_name_is_resolved_within_its_source(boss: dict[str, str]) -> None:
    done = load([{"login": "kim", "status": "active", "manager": BOSS}, {**boss, "status": "active"}])
    assert manager_of("kim") == boss["login"]
    assert (warnings(done), outcome("kim")) == ([], "passes")
    assert load([{"login": "kim", "status": "active", "manager": BOSS}]).unchanged == 1
    assert manager_of("kim") == boss["login"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("CN=Boss\\2C Big,OU=Staff,DC=x", "Boss, Big"),
        ('CN="Boss, Big",OU=Staff,DC=x', "Boss, Big"),
        ("CN=J\\C3\\BCrgen,OU=Staff,DC=x", "Jürgen"),
        ("CN=A\\+B\\=C,OU=Staff,DC=x", "A+B=C"),
        ('CN="Say \\"hi\\"",OU=Staff,DC=x', 'Say "hi"'),
        ("CN= Ann Lee ,OU=Staff,DC=x", "Ann Lee"),
        ("CN=Ann\\FF,OU=x", "Ann\ufffd"),
    ],
)
def test_the_escapes_of_a_distinguished_name_are_resolved(written: str, name: str) -> None:
    assert common_name(written) == name


def test_a_distinguished_name_is_resolved_once_its_account_comes() -> None:
    done = load([{"login": "kim", "manager": BOSS}])
    assert "1 account names a manager that matches no user" in warnings(done)[0]
    assert "distinguished names are found by the display name or login" in warnings(done)[0]
    load([{"login": "b1", "display_name": "Boss, Big"}])
    assert manager_of("kim") == "b1"


def test_a_distinguished_name_that_fits_several_or_another_source_names_nobody() -> None:
    load([{"login": "b3", "display_name": "Boss, Big"}], "other")
    done = load([{"login": "kim", "owner": BOSS}])
    assert "owner that matches no user" in warnings(done)[0]
    load([{"login": "b1", "display_name": "Boss, Big"}, {"login": "b2", "display_name": "Boss, Big"}])
    assert User.objects.get(login="kim").owner is None


def test_a_distinguished_name_that_one_login_and_another_name_fit_names_nobody() -> None:
    """CN=boss of two organizational units: one account's login, another one's display name."""
    boss = "CN=boss,OU=B,DC=x,DC=example"
    load(
        [
            {"login": "kim", "status": "active", "manager": boss},
            {"login": "boss", "display_name": "Boss", "status": "disabled"},
            {"login": "boss2", "display_name": "Boss", "status": "active"},
        ]
    )
    assert (manager_of("kim"), outcome("kim")) == (None, "unknown")


def test_a_manager_that_matches_nobody_is_reported_and_does_not_fail() -> None:
    done = load([{"login": f"u{i}", "status": "active", "manager": "gone"} for i in range(3)])
    assert warnings(done) == [
        "3 accounts name a manager that matches no user (“gone”): export the login, e-mail or employee id of the manager."
    ]
    assert outcome("u0") == "unknown"


@pytest.mark.parametrize("status", ["disabled", "deleted"])
def test_a_manager_who_left_fails(status: str) -> None:
    load([{"login": "kim", "status": "active", "manager": "boss"}, {"login": "boss", "status": status}])
    assert outcome("kim") == "fails"
    assert Account.objects.get(login="kim").manager_key == "boss"


# --- Employee ids with other leading zeros than in the column of managers ---

BOSS_77 = {"login": "boss", "employee_id": "0077", "status": "disabled"}
OF_77 = {"login": "kim", "status": "active", "manager": "77"}


@pytest.mark.parametrize(("employee", "manager"), [("0077", "77"), ("77", "0077"), ("077", "00077")])
def test_a_manager_is_found_by_an_employee_id_without_its_zeros(employee: str, manager: str) -> None:
    load([OF_77 | {"manager": manager}, BOSS_77 | {"employee_id": employee}])
    assert (manager_of("kim"), outcome("kim")) == ("boss", "fails")


def test_the_manager_is_found_once_its_account_comes() -> None:
    done = load([OF_77])
    assert warnings(done) != []
    assert outcome("kim") == "unknown"
    assert warnings(load([BOSS_77])) == []
    assert manager_of("kim") == "boss"


def test_the_manager_is_found_again_where_its_id_gets_other_zeros() -> None:
    load([OF_77, BOSS_77])
    load([BOSS_77 | {"employee_id": "00077"}])
    assert manager_of("kim") == "boss"


@pytest.mark.parametrize("exact", [{"login": "lee", "employee_id": "77"}, {"login": "77"}])
def test_the_exact_employee_id_or_login_comes_first(exact: dict[str, str]) -> None:
    load([OF_77, BOSS_77])
    load([exact])
    assert manager_of("kim") == exact["login"]


@pytest.mark.parametrize(
    ("source", "other"),
    [("okta", {"login": "lee", "employee_id": "077"}), ("ad", {"login": "lee", "employee_id": "00077"})],
    ids=["several ids of the source have the number", "only another source has the number"],
)
def test_a_number_that_is_no_one_employee_of_the_source_names_nobody(
    source: str, other: dict[str, str]
) -> None:
    load([OF_77, *([BOSS_77] if source == "okta" else [])])
    load([other], source)
    assert manager_of("kim") is None


def test_a_distinguished_name_of_an_account_whose_login_is_a_number_stays_resolved() -> None:
    rows = [{"login": "kim", "manager": BOSS}, {"login": "77", "display_name": "Boss, Big"}]
    load(rows)
    load(rows)
    assert manager_of("kim") == "77"
