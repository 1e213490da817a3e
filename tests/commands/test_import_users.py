"""``manage.py import_users``: what it prints, what it writes and how it exits."""

import csv
import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from checks.models import Account, Import, Source

pytestmark = pytest.mark.django_db


class Ran:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command on a file of this content; its exit code and output, as a shell would see them."""
    monkeypatch.chdir(tmp_path)

    def call(
        content: str | bytes | None, *options: str, name: str = "users.csv", source: str = "okta"
    ) -> Ran:
        if content is not None:
            (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        out, err = io.StringIO(), io.StringIO()
        try:
            call_command("import_users", name, "--source", source, *options, stdout=out, stderr=err)
        except SystemExit as exit_:
            return Ran(int(exit_.code or 0), out.getvalue(), err.getvalue())
        except CommandError as error:
            return Ran(error.returncode, out.getvalue(), err.getvalue() + str(error))
        return Ran(0, out.getvalue(), err.getvalue())

    return call


GOOD = "login,status\nann,active\nbob,disabled\n"
BAD = "login,email,created_at\nann,asleep,soon\nbob,,\nann2,,\nANN2,,\nc,x\n"


def test_a_good_file_exits_0_with_a_summary(run: Any) -> None:
    ran = run(GOOD)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out == "okta: read 2 records: 2 new, 0 changed, 0 unchanged, 0 rejected\n"
    assert "0 new, 0 changed, 2 unchanged" in run(GOOD).out
    assert Import.objects.first().file_name == "users.csv"


def test_the_source_is_made_with_what_the_options_say(run: Any) -> None:
    run(GOOD, "--kind", "hr", "--provider", "WORKDAY", "--name", "Workday EU", source="workday")
    made = Source.objects.get()
    assert (made.slug, made.kind, made.provider, made.name) == ("workday", "hr", "WORKDAY", "Workday EU")
    run(GOOD, "--name", "Workday US", source="workday")
    made.refresh_from_db()
    assert (made.kind, made.provider, made.name) == ("hr", "WORKDAY", "Workday US")


def test_some_bad_rows_exit_1_and_are_reported_with_line_column_value_and_expectation(run: Any) -> None:
    ran = run(BAD)
    assert ran.code == 1
    assert ran.out == "okta: read 5 records: 2 new, 0 changed, 0 unchanged, 3 rejected\n"
    lines = ran.err.splitlines()
    assert lines[0].startswith("line 2, column email: 'asleep'; expected an e-mail address")
    assert lines[1].startswith("line 2, column created_at: 'soon'; expected an ISO 8601 date or time")
    assert lines[2] == "line 5, column login: 'ANN2'; expected a unique login; the record at 4 has it already"
    assert lines[3] == "line 6, column row: 'c,x'; expected a row of 3 cells like the header (it has 2)"
    assert set(Account.objects.values_list("login", flat=True)) == {"bob", "ann2"}


def test_only_the_first_bad_rows_are_printed(run: Any) -> None:
    ran = run("login,created_at\nann,\n" + "".join(f"u{i},soon\n" for i in range(25)))
    assert ran.err.count("column created_at") == 10
    assert "… and 15 more\nall 25 rejected records are in users.rejects.csv\n" in ran.err


def test_the_bad_rows_go_to_a_file_of_their_own_without_being_asked(run: Any, tmp_path: Path) -> None:
    assert run(GOOD).code == 0
    assert not list(tmp_path.glob("*.rejects.*"))
    run(BAD)
    path = tmp_path / "users.rejects.csv"
    assert len(path.read_text().splitlines()) == 4
    assert path.stat().st_mode & 0o777 == 0o600
    run('{"login": "a"}\n{"login": 7.5}\n', name="-".join("ab") + ".jsonl")
    assert json.loads((tmp_path / "a-b.rejects.jsonl").read_text())["line"] == 2


def test_a_folder_that_takes_no_such_file_does_not_stop_the_import(run: Any, tmp_path: Path) -> None:
    (tmp_path / "users.rejects.csv").mkdir()
    ran = run(BAD)
    assert (ran.code, "2 new" in ran.out) == (1, True)
    assert "users.rejects.csv: Is a directory; --rejects FILE writes the bad records elsewhere" in ran.err
    assert "rejected records are in" not in ran.err


def test_where_no_record_is_good_nothing_changes_and_that_is_a_failure(run: Any) -> None:
    run(GOOD)
    ran = run('{"name": "ann"}\n{"name": "bob"}\n', "--full", "--force", name="u.jsonl")
    assert ran.code == 2
    assert "u.jsonl: all 2 records are bad; nothing was changed" in ran.err
    assert "all 2 rejected records are in u.rejects.jsonl" in ran.err
    assert not Account.objects.filter(status="deleted").exists()


def test_a_misspelt_column_is_reported_with_the_likely_name(run: Any) -> None:
    ran = run("login,staus,Create At,badge,\nann,active,2026-01-01,7,\n")
    assert ran.code == 0
    (note,) = ran.err.splitlines()
    assert note.startswith(
        "Ignored, since they are no fields: staus (did you mean status?), create_at (did you mean created_at?), badge."
        " The fields are: login, email,"
    )
    assert note.endswith("--map FIELD=NAME reads one from another name.")
    ran = run('{"login": "a"}\n{"login": "b", "mfaenabled": true}\n', name="u.jsonl")
    assert "mfaenabled (did you mean mfa_enabled?)" in ran.err


def test_a_column_that_is_read_under_another_name_is_no_slip(run: Any) -> None:
    assert run("UserName,login\nann,7\n", "--map", "login=UserName").err == ""
    assert run('{"UserName": "ann", "login": 7}\n', "--map", "login=UserName", name="u.jsonl").err == ""


def test_records_of_an_array_are_named_by_their_place(run: Any) -> None:
    ran = run('[{"login": "a"},\n\n{"login": "a"}]', name="u.json")
    assert ran.err.startswith(
        "record 2, column login: 'a'; expected a unique login; the record at 1 has it already"
    )


def test_rejected_csv_rows_are_written_as_they_came_and_can_be_mended(run: Any, tmp_path: Path) -> None:
    text = BAD.replace("login", "UserName", 1).encode() + b"d,\xff,\n"
    ran = run(text, "--map", "login=UserName", "--rejects", "bad.csv")
    assert "all 4 rejected records are in bad.csv" in ran.err
    data = (tmp_path / "bad.csv").read_bytes()
    assert b"\r\nd," not in data
    assert b"d,\xff," in data
    rows = list(csv.DictReader(io.StringIO(data.decode(errors="replace"))))
    assert list(rows[0]) == ["error", "UserName", "email", "created_at"]
    assert (rows[0]["UserName"], rows[0]["email"], rows[0]["created_at"]) == ("ann", "asleep", "soon")
    assert rows[0]["error"].startswith("line 2: email: 'asleep', expected an e-mail address")
    mended = data.replace(b"asleep,soon", b",").replace(b"\xff", b"").replace(b"ANN2", b"ann3")
    again = run(mended.replace(b"c,x", b"c,"), "--map", "login=UserName")
    assert (again.code, Account.objects.count()) == (0, 6)


def test_rejected_json_records_are_written_as_json_lines(run: Any, tmp_path: Path) -> None:
    records = '{"login": "a", "created_at": "soon"}\nnonsense\n{"login": "b"}\n'
    ran = run(records, "--rejects", "bad.jsonl", name="users.jsonl")
    assert ran.code == 1
    first, second = (json.loads(line) for line in (tmp_path / "bad.jsonl").read_text().splitlines())
    assert (first["line"], first["record"]) == (1, {"login": "a", "created_at": "soon"})
    assert first["errors"][0]["column"] == "created_at"
    assert (second["line"], second["record"]) == (2, "nonsense")


def test_strict_exits_2_and_changes_nothing(run: Any) -> None:
    ran = run(BAD, "--strict")
    assert ran.code == 2
    assert "column email" in ran.err
    assert "3 of 5 records are bad; nothing was changed" in ran.err
    assert not Account.objects.exists()
    assert not Source.objects.exists()


def test_full_marks_what_is_missing_and_refuses_to_delete_much(run: Any) -> None:
    run("login\n" + "".join(f"u{i}\n" for i in range(10)))
    ran = run("login\nu0\n", "--full")
    assert ran.code == 2
    assert "9 of the 10 accounts of okta as deleted, over 20%" in ran.err
    assert not Account.objects.filter(status="deleted").exists()
    ran = run("login\nu0\n", "--full", "--force")
    assert (ran.code, ran.out) == (
        0,
        "okta: read 1 records: 0 new, 0 changed, 1 unchanged, 9 deleted, 0 rejected\n",
    )


def test_foreign_headers_from_options_and_a_map_file(run: Any, tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text("login: Wrong\nemail: Mail\n")
    ran = run("UserName;Mail\nann;ann@x.org\n", "--map-file", "map.yaml", "--map", "login=UserName")
    assert ran.code == 0
    assert Account.objects.get().email == "ann@x.org"
    (tmp_path / "map.json").write_text('{"login": "UserName"}')
    assert run("UserName\nbob\n", "--map-file", "map.json").code == 0


USER = {"login": "kim", "status": "active", "Methods": ["sms"], "profile": {"mail": "kim@example.com"}}


@pytest.mark.parametrize("as_lines", [True, False])
@pytest.mark.parametrize("mapped", ["mfa_factors=Metods", "email=profile.mial", "login=user"])
def test_a_mapped_key_that_no_record_has_is_refused_with_the_keys_of_the_file(
    run: Any, as_lines: bool, mapped: str
) -> None:
    # The last record alone has one more key.
    records = [USER] * 250 + [USER | {"login": "lee", "Late": "x"}]
    content = "\n".join(map(json.dumps, records)) if as_lines else json.dumps(records)
    ran = run(content, "--map", mapped, name="users.json")
    key = mapped.partition("=")[2]
    assert ran.code == 2
    assert (
        f"no record of the file has the key '{key}'; they have: login, status, Methods, profile.mail, Late"
        in ran.err
    )
    assert not Source.objects.exists()


@pytest.mark.parametrize("as_lines", [True, False])
def test_a_mapped_key_that_the_last_record_alone_has_is_read(run: Any, as_lines: bool) -> None:
    records = [USER | {"login": f"kim{number}"} for number in range(250)]
    records.append(USER | {"login": "lee", "Late": "Clerk"})
    content = "\n".join(map(json.dumps, records)) if as_lines else json.dumps(records)
    assert run(content, "--map", "title=Late", name="users.json").code == 0
    assert Account.objects.get(login="lee").title == "Clerk"


@pytest.mark.parametrize(
    ("content", "options", "text"),
    [
        (None, (), "users.csv: No such file or directory"),
        ("name\na\n", (), "no column 'login'"),
        ("", (), "the file is empty; it needs a header row"),
        (b"\xff\xfel", (), "UTF-16"),
        (GOOD, ("--map", "login"), "expected FIELD=NAME"),
        (GOOD, ("--map", "logn=x"), "there is no field 'logn' to map"),
        (GOOD, ("--map", "login=x"), "no column 'x'"),
        (GOOD, ("--map-file", "none.yaml"), "--map-file none.yaml cannot be read"),
        (GOOD, ("--map-file", "users.csv"), "expected {field: name in the file}"),
        (GOOD, ("--rejects", "users.csv"), "--rejects would overwrite the file itself"),
        (GOOD, ("--rejects", "no/where.csv"), "no/where.csv: No such file or directory"),
        (GOOD, ("--provider", "x" * 33), "--provider: "),
        (GOOD, ("--format", "json"), "the file is not a JSON array"),
        (GOOD, ("--format", "xml"), "invalid choice: 'xml'"),
    ],
)
def test_what_cannot_be_done_exits_2_says_why_and_changes_nothing(
    run: Any, content: str | bytes | None, options: tuple[str, ...], text: str
) -> None:
    ran = run(content, *options)
    assert text in ran.err
    assert ran.code == 2 or "invalid choice" in text
    assert not Source.objects.exists()


def test_a_slug_that_is_none_is_refused(run: Any) -> None:
    assert run(GOOD, source="my source").code == 2


def test_the_kind_of_a_source_is_not_changed(run: Any) -> None:
    run(GOOD)
    ran = run(GOOD, "--kind", "hr")
    assert (ran.code, "okta is of kind identity; use another --source" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("u.jsonl", '{"login": "a"}'),
        ("u.json", '[{"login": "a"}]'),
        ("u.json", '{"login": "a"}\n'),
        ("u.tsv", "login\tx\na\t\n"),
    ],
)
def test_every_format_is_recognized_from_the_file(run: Any, name: str, content: str) -> None:
    assert "1 new" in run(content, name=name).out


def test_a_dash_reads_standard_input(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'[{"login": "a"}]')))
    assert "1 new" in run(None, name="-").out


@pytest.mark.parametrize("count", [1, 2_000])
def test_a_vendors_array_is_recognized_on_standard_input(
    run: Any, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Of a long one only the start is known before it is read."""
    records = [
        {"id": str(number), "userPrincipalName": f"kim{number}", "userType": "Member", "Methods": ["email"]}
        for number in range(count)
    ]
    content = io.BytesIO(json.dumps({"value": records}).encode())
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(content))
    assert run(None, "--map", "mfa_factors=Methods", name="-").code == 0
    assert Account.objects.get(login="kim0").mfa is False


def test_the_help_tells_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        call_command("import_users", "--help")
    text = capsys.readouterr().out
    assert "exit codes:\n  0  every record was taken\n  1  some records were rejected" in text


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        (gzip.compress(GOOD.encode(), mtime=0), "users.csv", "compressed with gzip, not text"),
        ("login,größe\nkim,1\n".encode("latin-1"), "users.csv", "most likely Latin-1 or Windows-1252"),
        (GOOD.encode("utf-16-le"), "users.csv", "UTF-16 without a byte order mark"),
        (b"PK\x03\x04", "users.xlsx", "a ZIP archive or a spreadsheet"),
        (bytes(range(1, 256)), "users.csv", "binary data"),
        (b'{"login": "\\ud800"}', "users.jsonl", "all 1 records are bad"),
        (b"[" * 20_000, "users.json", "record 1 is nested more than 32 levels deep"),
        (b"login\n" + b"x" * 2_000_000, "users.csv", "larger than 1,048,576 characters"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_what_it_is(
    run: Any, content: bytes, name: str, problem: str
) -> None:
    run(GOOD)
    ran = run(content, name=name)
    assert ran.code == 2
    assert problem in ran.err
    assert "--format" not in ran.err
    assert Import.objects.filter(state="failed").count() == 1
    assert not run(content, name=name, source="another").out


def test_a_map_file_is_read_within_bounds(run: Any, tmp_path: Path) -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (tmp_path / "map.yaml").write_text("\n".join(lines))
    ran = run(GOOD, "--map-file", "map.yaml")
    assert (ran.code, "more than 50,000 values" in ran.err) == (2, True)
    assert "larger than 1,048,576 bytes" in run(GOOD, "--map-file", "/dev/zero").err


def test_an_option_that_no_database_can_store_is_refused(run: Any) -> None:
    ran = run(GOOD, "--name", "a\udcff")
    assert (ran.code, "--name" in ran.err) == (2, True)


def test_a_word_without_a_meaning_is_counted_and_can_be_given_one_that_is_kept(run: Any) -> None:
    file = "login,status\nann,Zzyzx\nbob,Zzyzx\neve,active\n"
    ran = run(file)
    assert ran.code == 0
    assert "status: “Zzyzx” (2 records) has no meaning here and is read as unknown." in ran.err
    assert '--map-value status:"Zzyzx"=active says what a word means' in ran.err
    assert Import.objects.first().unknown_words == [{"field": "status", "word": "Zzyzx", "count": 2}]
    again = run(file)
    assert ("3 unchanged" in again.out, "(2 records)" in again.err) == (True, True)
    ran = run(file, "--map-value", "status:zzyzx=on_leave")
    assert (ran.code, ran.err, "2 changed" in ran.out) == (0, "", False)
    assert set(Account.objects.values_list("login", "status")) == {
        ("ann", "on_leave"),
        ("bob", "on_leave"),
        ("eve", "active"),
    }
    assert run(file).err == ""


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("status", "expected FIELD:WORD=MEANING"),
        ("status:x", "expected FIELD:WORD=MEANING"),
        ("status:x=asleep", "“asleep” is not a meaning for status. Use one of: active, on_leave"),
        ("title:x=y", "The words of “title” have no meanings to choose"),
        ("last_sign_in_country:France=France", "not an ISO 3166 code"),
    ],
)
def test_a_meaning_that_is_none_is_refused(run: Any, option: str, text: str) -> None:
    ran = run(GOOD, "--map-value", option)
    assert (ran.code, text in ran.err, Source.objects.exists()) == (2, True, False)


def test_dates_are_read_in_the_order_and_zone_that_are_named_and_kept(run: Any) -> None:
    file = "login,created_at\nann,11/2/2026 3:04:05 PM\n"
    ran = run(file)
    assert ran.code == 2
    assert "--dates mdy|dmy|ymd names the order of the dates" in ran.err
    assert not Account.objects.exists()
    assert run(file, "--dates", "mdy", "--zone", "Europe/Berlin").code == 0
    assert Account.objects.get().created_at.isoformat() == "2026-11-02T14:04:05+00:00"
    assert "1 unchanged" in run(file).out
    assert run(file, "--dates", "dmy").code == 0
    assert Account.objects.get().created_at.isoformat() == "2026-02-11T14:04:05+00:00"


def test_a_time_zone_that_is_none_is_refused(run: Any) -> None:
    ran = run(GOOD, "--zone", "Mars/Olympus")
    assert (ran.code, "Unknown time zone “Mars/Olympus”" in ran.err) == (2, True)


def test_a_sign_in_in_the_future_is_reported(run: Any) -> None:
    ran = run("login,last_sign_in_at\nann,9999-12-31T23:59:59.9999999Z\n")
    assert ran.code == 0
    assert (
        "last_sign_in_at: 1 record: “9999-12-31T23:59:59.9999999Z” is read as unknown: it is in the future"
        in ran.err
    )


def test_methods_of_entra_are_recognized_by_the_names_of_its_columns(run: Any) -> None:
    run(
        "userPrincipalName,methodsRegistered\nann,email\n",
        "--map",
        "login=userPrincipalName",
        "--map",
        "mfa_factors=methodsRegistered",
    )
    assert Account.objects.get().mfa is False
    run("login,mfa_factors\nbob,email\n", source="other", name="other.csv")
    assert Account.objects.get(login="bob").mfa is True
    run("login,mfa_factors\neve,email\n", "--provider", "ENTRA", source="entra", name="entra.csv")
    assert Account.objects.get(login="eve").mfa is False
