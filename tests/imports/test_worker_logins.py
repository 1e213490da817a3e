"""The logins of an HR system's records where the address is empty or shared, by both layouts and by mapping."""

import io
from pathlib import Path

import pytest
from django.core.management import call_command

from checks.models import Account, Finding
from checks.services import run_checks, sync_catalogue

pytestmark = pytest.mark.django_db
# Header of a file with id, address, status and end of employment; options.
FORMS = {
    "workday": ("Employee ID,Email - Work,Worker Status,Termination Date,Worker Type", "Employee"),
    "bamboohr": ("Employee #,Work Email,Status,Termination Date,Job Title", "Engineer"),
    "own": ("Number,Mail,State,End,x", "x"),
}
OPTIONS = ["login=Mail", "employee_id=Number", "status=State", "status_changed_at=End"]
KIM, LEE = "100,kim@x.example,Active,", "200,lee@x.example,Active,"


@pytest.fixture(params=sorted(FORMS))
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def import_workers(tmp_path: Path, form: str, *rows: str) -> dict[str, Account]:
    """The accounts by employee id after a complete file with these rows."""
    header, last = FORMS[form]
    path = tmp_path / "workers.csv"
    path.write_text("\n".join([header, *(f"{row},{last}" for row in rows), ""]))
    options = [option for pair in OPTIONS for option in ("--map", pair)] if form == "own" else []
    call_command(
        "import_users",
        str(path),
        "--source",
        "hr",
        "--kind",
        "hr",
        *options,
        stdout=io.StringIO(),
        stderr=io.StringIO(),
    )
    return {
        each.employee_id: each for each in Account.objects.filter(source__slug="hr").exclude(status="deleted")
    }


def import_okta(tmp_path: Path) -> None:
    path = tmp_path / "okta.csv"
    path.write_text("login,status,employee_id\nkim@x.example,active,100\nlee@x.example,active,200\n")
    call_command("import_users", str(path), "--source", "okta", stdout=io.StringIO(), stderr=io.StringIO())


LEFT = "100,,Terminated,2026-05-01"
REHIRED = ["100,kim@x.example,Terminated,2026-05-01", "101,kim@x.example,Active,"]
CASES: list[tuple[list[str], dict[str, str]]] = [
    ([LEFT, LEE], {"100": "100", "200": "lee@x.example"}),
    ([LEE, LEFT], {"100": "100", "200": "lee@x.example"}),
    (["100,n/a,Terminated,2026-05-01", "300,-,Terminated,2026-05-01"], {"100": "100", "300": "300"}),
    (REHIRED, {"100": "kim@x.example", "101": "101"}),
    (REHIRED[::-1], {"101": "kim@x.example", "100": "100"}),
]


@pytest.mark.parametrize(("rows", "logins"), CASES)
def test_each_worker_of_a_first_file_is_read(
    tmp_path: Path, form: str, rows: list[str], logins: dict[str, str]
) -> None:
    found = import_workers(tmp_path, form, *rows)
    assert {employee: account.login for employee, account in found.items()} == logins


# Rows of the files that follow a first one with KIM and LEE; the accounts must be the same after each.
LATER: list[list[list[str]]] = [
    [[LEFT, LEE]],
    [[LEFT, LEE], [KIM, LEE]],
    [[*REHIRED, LEE], [*REHIRED[::-1], LEE]],
    [[*REHIRED[::-1], LEE], [*REHIRED, LEE]],
    [["100,,Terminated,2026-05-01", "101,kim@x.example,Active,", LEE]],
    [["101,kim@x.example,Active,", "100,,Terminated,2026-05-01", LEE]],
]


@pytest.mark.parametrize("files", LATER)
def test_the_account_of_a_worker_stays_while_the_address_comes_and_goes(
    tmp_path: Path, form: str, files: list[list[str]]
) -> None:
    first = import_workers(tmp_path, form, KIM, LEE)
    import_okta(tmp_path)
    for rows in files:
        found = import_workers(tmp_path, form, *rows)
        assert {found[one].pk for one in ("100", "200")} == {first[one].pk for one in ("100", "200")}
        assert len(found) == len(rows)
        assert (
            found["100"].user_id
            == first["100"].user_id
            == Account.objects.get(source__slug="okta", login="kim@x.example").user_id
        )


def test_an_account_that_took_the_employee_id_keeps_it(tmp_path: Path, form: str) -> None:
    first = import_workers(tmp_path, form, LEFT, LEE)
    found = import_workers(tmp_path, form, "100,kim@x.example,Active,", LEE)
    assert (found["100"].pk, found["100"].login, found["100"].email) == (
        first["100"].pk,
        "100",
        "kim@x.example",
    )


def test_a_leaver_whose_address_was_cleared_fails_terminated_active(tmp_path: Path, form: str) -> None:
    sync_catalogue()
    import_okta(tmp_path)
    import_workers(tmp_path, form, LEFT, LEE)
    run_checks(trigger="test", notify=False)
    findings = Finding.objects.filter(
        check_ref__slug__in=("terminated-active", "missing-in-hr"), resolved_at=None
    )
    kim = Account.objects.get(source__slug="okta", login="kim@x.example").user_id
    assert list(findings.values_list("check_ref__slug", "user_id")) == [("terminated-active", kim)]


def test_a_worker_with_two_addresses_has_two_accounts(tmp_path: Path, form: str) -> None:
    import_workers(tmp_path, form, LEFT)
    import_workers(tmp_path, form, KIM, "100,kim.admin@x.example,Active,")
    assert sorted(Account.objects.values_list("login", flat=True)) == ["100", "kim.admin@x.example"]


@pytest.mark.parametrize("placeholder", ["", "TBD", "00000000"])
def test_a_placeholder_is_no_login(tmp_path: Path, form: str, placeholder: str) -> None:
    with pytest.raises(SystemExit):
        import_workers(tmp_path, form, f"{placeholder},,Active,", LEE)
    assert [each.login for each in Account.objects.all()] == ["lee@x.example"]


def test_a_worker_listed_twice_is_read_once(tmp_path: Path, form: str) -> None:
    with pytest.raises(SystemExit):
        import_workers(tmp_path, form, KIM, KIM)
    assert Account.objects.get().login == "kim@x.example"


def test_the_employee_id_of_a_worker_can_be_corrected(tmp_path: Path, form: str) -> None:
    first = import_workers(tmp_path, form, KIM, LEE)
    found = import_workers(tmp_path, form, "150,kim@x.example,Active,", LEE)
    assert found["150"].pk == first["100"].pk


# Header, row and options of a file in which the employee id is the only name of a worker.
BY_NUMBER: list[tuple[str, str, list[str]]] = [
    ("Employee ID,Worker,Worker Type,Worker Status", "100,Kim L,Employee,Terminated", []),
    ("Worker ID,Worker,Worker Type,Worker Status", "100,Kim L,Employee,Terminated", []),
    ("Employee ID,WID,Worker Type,Worker Status", "100,3aa5550b7fe348b9,Employee,Terminated", []),
    ("Employee #,Reporting to,Status", "100,Lee,Terminated", []),
    ("Employee ID,Work Email,Worker Type,Worker Status", "100,k@y.example,Employee,Terminated", ["login=Employee ID"]),
    ("WorkerID,Status", "100,Terminated", ["login=WorkerID"]),
    ("Number,Status", "100,Terminated", ["login=Number", "employee_id=Number"]),
    ("Number,Status", "100,Terminated", ["employee_id=Number"]),
]  # fmt: skip


def import_file(tmp_path: Path, header: str, row: str, *options: str) -> None:
    path = tmp_path / "workers.csv"
    path.write_text(f"{header}\n{row}\n")
    maps = [option for pair in options for option in ("--map", pair)]
    arguments = [str(path), "--source", "hr", "--kind", "hr", *maps]
    call_command("import_users", *arguments, stdout=io.StringIO(), stderr=io.StringIO())


@pytest.mark.parametrize(("header", "row", "options"), BY_NUMBER)
def test_an_employee_id_that_is_the_only_name_is_login_and_employee_id(
    tmp_path: Path, header: str, row: str, options: list[str]
) -> None:
    import_okta(tmp_path)
    import_file(tmp_path, header, row, *options)
    account = Account.objects.get(source__slug="hr")
    assert (account.login, account.employee_id, account.status) == ("100", "100", "disabled")
    assert account.user_id == Account.objects.get(source__slug="okta", employee_id="100").user_id


def test_a_worker_whose_file_lost_the_address_keeps_the_account(tmp_path: Path) -> None:
    import_workers(tmp_path, "workday", KIM)
    import_file(tmp_path, "Employee ID,Worker Type,Worker Status", "100,Employee,Terminated")
    account = Account.objects.get()
    assert (account.login, account.status) == ("kim@x.example", "disabled")


USER_NAMES = "login,email,employee_id,status"


def import_into_hr(tmp_path: Path, header: str, *rows: str, full: bool = False) -> dict[str, Account]:
    """The accounts of the HR source by login after a file with this header."""
    path = tmp_path / "workers.csv"
    path.write_text("\n".join([header, *rows, ""]))
    options = ["--full", "--force"] if full else []
    call_command(
        "import_users",
        str(path),
        *("--source", "hr", "--kind", "hr", *options),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
    )
    return {each.login: each for each in Account.objects.filter(source__slug="hr")}


def failing_logins(slug: str) -> set[str]:
    """The logins at Okta of the users who fail a check now."""
    sync_catalogue()
    run_checks(trigger="test", notify=False)
    users = Finding.objects.filter(check_ref__slug=slug, resolved_at=None).values("user_id")
    return set(Account.objects.filter(source__slug="okta", user_id__in=users).values_list("login", flat=True))


# --- The address changes ---


def test_a_worker_with_a_new_address_stays_one_account(tmp_path: Path, form: str) -> None:
    first = import_workers(tmp_path, form, KIM, LEE)
    import_okta(tmp_path)
    for row in ("100,kim@new.example,Active,", "100,kim@new.example,Terminated,2026-11-01"):
        found = import_workers(tmp_path, form, row)
        kim = found["100"]
        assert (kim.pk, kim.user_id) == (first["100"].pk, first["100"].user_id)
        assert (kim.login, kim.email) == ("kim@x.example", "kim@new.example")
        assert Account.objects.filter(source__slug="hr").count() == 2
    assert failing_logins("terminated-active") == {"kim@x.example"}


def test_a_former_address_is_the_next_workers(tmp_path: Path, form: str) -> None:
    first = import_workers(tmp_path, form, KIM, LEE)
    import_workers(tmp_path, form, "100,kim@new.example,Active,", LEE)
    # The file has only the new worker: nothing in it says whose the login was.
    found = import_workers(tmp_path, form, "300,kim@x.example,Active,")
    assert {employee: account.login for employee, account in found.items()} == {
        "100": "kim@x.example",
        "200": "lee@x.example",
        "300": "300",
    }
    assert found["100"].pk == first["100"].pk
    assert found["300"].user_id != found["100"].user_id
    assert found["300"].email == "kim@x.example"


@pytest.mark.parametrize("is_reversed", [False, True])
def test_an_address_passes_to_another_known_worker(tmp_path: Path, form: str, is_reversed: bool) -> None:
    first = import_workers(tmp_path, form, KIM, LEE)
    rows = ["100,kim@new.example,Terminated,2026-05-01", "200,kim@x.example,Active,"]
    found = import_workers(tmp_path, form, *(rows[::-1] if is_reversed else rows))
    assert {employee: account.pk for employee, account in found.items()} == {
        employee: account.pk for employee, account in first.items()
    }
    assert found["200"].email == "kim@x.example"


def test_a_worker_listed_twice_with_a_new_address_is_read_once(tmp_path: Path, form: str) -> None:
    import_workers(tmp_path, form, KIM, LEE)
    with pytest.raises(SystemExit):
        import_workers(tmp_path, form, *["100,kim@new.example,Active,"] * 2)
    assert Account.objects.filter(employee_id="100").count() == 1


@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_new_address_beside_the_known_one_is_a_second_account(
    tmp_path: Path, form: str, is_reversed: bool
) -> None:
    first = import_workers(tmp_path, form, KIM)
    rows = [KIM, "100,kim.admin@x.example,Active,"]
    import_workers(tmp_path, form, *(rows[::-1] if is_reversed else rows))
    logins = dict(Account.objects.values_list("login", "pk"))
    assert logins.keys() == {"kim@x.example", "kim.admin@x.example"}
    assert logins["kim@x.example"] == first["100"].pk


def test_the_account_stays_where_a_column_of_user_names_appears(tmp_path: Path) -> None:
    header = "Employee ID,Worker Status,Email - Work,Worker Type"
    first = import_into_hr(tmp_path, header, "100,Active,kim@x.example,Employee")
    header = "Employee ID,User Name,Worker Status,Email - Work,Worker Type"
    found = import_into_hr(tmp_path, header, "100,klim,Terminated,kim@x.example,Employee")
    assert {login: account.pk for login, account in found.items()} == {
        "kim@x.example": first["kim@x.example"].pk
    }


def test_an_immutable_id_lets_the_login_follow_the_address(tmp_path: Path) -> None:
    header = f"source_key,{USER_NAMES}"
    first = import_into_hr(tmp_path, header, "k1,kim@old.example,kim@old.example,100,active")
    found = import_into_hr(tmp_path, header, "k1,kim@new.example,kim@new.example,100,active")
    assert {login: account.pk for login, account in found.items()} == {
        "kim@new.example": first["kim@old.example"].pk
    }


# --- The employee id changes ---

SHARED = ["w1,kim@x.example,1001,active", "w2,lee@x.example,1001,active"]
CORRECTED = ["w1,kim@x.example,1001,active", "w2,lee@x.example,1002,active"]
SHIFTED = ["w1,kim@x.example,102,active", "w2,lee@x.example,103,active"]


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("logins", [("w1", "w2"), ("kim@x.example", "lee@x.example")])
@pytest.mark.parametrize(
    ("before", "after"),
    [(SHARED, CORRECTED), (["w1,kim@x.example,101,active", "w2,lee@x.example,102,active"], SHIFTED)],
    ids=["shared", "shifted"],
)
def test_a_corrected_employee_id_stays_with_its_account(
    tmp_path: Path,
    before: list[str],
    after: list[str],
    logins: tuple[str, str],
    is_reversed: bool,
    is_full: bool,
) -> None:
    def named(rows: list[str]) -> list[str]:
        return [row.replace("w1", logins[0]).replace("w2", logins[1]) for row in rows]

    first = import_into_hr(tmp_path, USER_NAMES, *named(before))
    rows = named(after)
    found = import_into_hr(tmp_path, USER_NAMES, *(rows[::-1] if is_reversed else rows), full=is_full)
    assert {login: account.pk for login, account in found.items()} == {
        login: account.pk for login, account in first.items()
    }
    ids = [row.split(",")[2] for row in after]
    assert [found[login].employee_id for login in logins] == ids
    assert "deleted" not in {account.status for account in found.values()}


def test_a_worker_whose_id_another_one_had_fails_terminated_active(tmp_path: Path) -> None:
    import_into_hr(tmp_path, USER_NAMES, *SHARED)
    import_into_hr(tmp_path, USER_NAMES, *CORRECTED)
    path = tmp_path / "okta.csv"
    path.write_text("login,email,employee_id,status\nkim,kim@x.example,1001,active\n")
    call_command("import_users", str(path), "--source", "okta", stdout=io.StringIO(), stderr=io.StringIO())
    import_into_hr(tmp_path, USER_NAMES, "w1,kim@x.example,1001,terminated", CORRECTED[1])
    assert failing_logins("terminated-active") == {"kim"}


def test_a_user_name_passes_with_its_account_and_not_with_the_id(tmp_path: Path) -> None:
    first = import_into_hr(tmp_path, USER_NAMES, "w1,kim@x.example,101,active", "w2,lee@x.example,102,active")
    found = import_into_hr(tmp_path, USER_NAMES, "w3,pat@x.example,102,active", "w2,lee@x.example,103,active")
    assert found["w2"].pk == first["w2"].pk
    assert {login: account.employee_id for login, account in found.items()} == {
        "w1": "101",
        "w2": "103",
        "w3": "102",
    }
