"""Data sources in the browser: from a file, by its columns and words and a dry run, to an import with its report."""

import csv
import gzip
import io
import json
import platform
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.utils import timezone

from checks.importing.accounts import import_accounts
from checks.models import (
    Account,
    Import,
    RejectedRow,
    Source,
    SourceMapping,
    Upload,
    UploadPart,
)
from checks.services import ImportRefused, remove_old_uploads
from cii_project.imports.upload_tasks import work_on_upload
from cii_project.imports.uploads import MOST_WAITING
from notifications.tasks import retention
from tests.checks.imports import load
from tests.console.checks_world import HTMX, beside, client_of, said, text

pytestmark = pytest.mark.django_db
URL = "/integrations/sources/"
SAMPLES = Path(__file__).parents[1] / "samples"
GOOD = b"login,email,status\nann,ann@example.com,active\nbob,bob@example.com,active\n"
BAD = b"login,email,created_at\nann,ann@example.com,2024-01-01\n,no-login@example.com,2024-01-01\ncid,cid@example.com,yesterday\n"


def upload(content, name="okta.csv", client=None, **data):
    given = {"source": "new", "slug": "okta", "name": "Okta", "kind": "identity", "provider": "okta", **data}
    client = client or client_of("Engineer")
    return client.post(URL, {**given, "file": SimpleUploadedFile(name, content)})


def uploaded(content, client, **data):
    name = data.pop("file_name", "okta.csv")
    answer = upload(content, name=name, client=client, **data)
    assert answer.status_code == 302, text(answer)
    return Upload.objects.latest("created_at")


def page_of(file):
    return f"/integrations/files/{file.pk}/"


def columns_as_guessed(client, file):
    """What the form of the columns holds, as a browser sends it back."""
    page = text(client.get(page_of(file) + "?step=columns"))
    chosen = {}
    for name, options in re.findall(r'<select name="([^"]+)"(.*?)</select>', page, re.S):
        selected = re.search(r'<option value="([^"]*)" selected', options)
        chosen[name] = selected[1] if selected else ""
    return chosen


def checked(content, client, **data):
    """A file that was uploaded and tried, its columns as guessed."""
    file = uploaded(content, client, **data)
    answer = client.post(page_of(file) + "columns", columns_as_guessed(client, file))
    assert answer.status_code == 302, text(answer)
    work_on_upload(str(file.pk))
    file.refresh_from_db()
    return file


def imported(content, client, *, options=None, **data):
    file = checked(content, client, **data)
    assert file.state == "waiting", file.error
    answer = client.post(page_of(file) + "import", options or {})
    assert answer.status_code == 302, text(answer)
    work_on_upload(str(file.pk))
    file.refresh_from_db()
    return file


@pytest.fixture
def engineer():
    return client_of("Engineer")


# --- The file ---------------------------------------------------------------------------------------
def test_the_first_file_makes_the_first_source_and_imports_nothing_yet(engineer):
    file = uploaded(GOOD, engineer)
    source = Source.objects.get()
    assert (source.slug, source.name, source.provider, source.kind) == ("okta", "Okta", "OKTA", "identity")
    assert (Account.objects.count(), file.state, file.size) == (0, "waiting", len(GOOD))
    assert said() == ["Added.", "Uploaded okta.csv, 73 bytes."]


def test_the_content_is_sealed_in_parts_of_a_mebibyte(engineer):
    content = b"login,title\n" + b"".join(b"u%d,%s\n" % (n, b"x" * 200) for n in range(12_000))
    file = uploaded(content, engineer)
    parts = list(UploadPart.objects.filter(upload=file).values_list("number", "sealed"))
    assert [number for number, _ in parts] == list(range(-(-len(content) // (1 << 20))))
    # Sixteen bytes: ciphertext of megabytes holds any three by chance.
    assert not any(b"x" * 16 in bytes(sealed) for _, sealed in parts)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [("slug", "", "Write a short name for the new source."), ("slug", "a b", "valid “slug”")],
)
def test_a_mistake_in_the_form_is_shown_beside_its_field(field, value, problem):
    answer = upload(GOOD, **{field: value})
    assert answer.status_code == 200
    assert problem in beside(text(answer), field)
    assert not Source.objects.exists()


def test_an_empty_file_is_refused_beside_the_field_and_leaves_no_source():
    answer = upload(b"")
    assert "The file is empty." in beside(text(answer), "file")
    assert not Source.objects.exists()


@pytest.mark.parametrize(
    ("content", "name", "problem"),
    [
        (b"PK\x03\x04zip", "users.csv", "ZIP archive"),
        (gzip.compress(GOOD, mtime=0), "users.csv", "compressed with gzip"),
        (gzip.compress(GOOD, mtime=0), "users.jsonl", "compressed with gzip"),
        ("login,größe\nkim,1\n".encode("latin-1"), "users.csv", "most likely Latin-1"),
        (GOOD.decode().encode("utf-16-le"), "users.csv", "UTF-16 without a byte order mark"),
        (b"login\0,email\nkim,x\n", "users.csv", "binary data"),
        (b"[" * 300_000, "users.json", "nested more than 32 levels deep"),
        (b"login,email\n", "users.csv", "no rows"),
        (b"a,a,b\n1,2,3\n", "users.csv", "twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_for_what_it_is(engineer, content, name, problem):
    answer = engineer.post(
        URL, {"source": "new", "slug": "okta", "file": SimpleUploadedFile(name, content)}, follow=True
    )
    assert problem in text(answer)
    assert "This file cannot be read" in text(answer)


@pytest.mark.parametrize("name", ["a\udcff.csv", "a\u0085.csv", "a\x01.csv", "x" * 300 + ".csv"])
def test_the_name_of_a_file_is_made_valid_before_it_is_stored(name):
    source = Source(slug="okta", name="Okta")
    done = import_accounts([(1, {"login": "ann"})], source=source, file_name=name)
    kept = Import.objects.get(pk=done.pk).file_name
    assert kept.isprintable()
    assert len(kept) <= 255


def test_a_file_of_large_records_is_staged_in_small_batches():
    sizes = []
    records = ((n, {"login": f"u{n}", "groups": ["g" * 200] * 5_000}) for n in range(60))
    import_accounts(records, source=Source(slug="okta", name="Okta"), progress=sizes.append)
    assert len(sizes) > 3


# --- Its columns ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("sample", "vendor", "expected"),
    [
        ("okta.csv", "Okta", {"id": "source_key", "lastLogin": "last_sign_in_at", "factors": "mfa_factors"}),
        ("entra.csv", "Microsoft Entra ID", {"id": "source_key", "accountEnabled": "status"}),
        ("ad-powershell.csv", "Active Directory (PowerShell)", {"ObjectGUID": "source_key"}),
        ("aws-credential-report.csv", "AWS IAM", {"arn": "source_key", "mfa_active": "mfa_enabled"}),
    ],
)
def test_the_columns_of_a_vendors_export_are_filled_in(engineer, sample, vendor, expected):
    file = uploaded((SAMPLES / sample).read_bytes(), engineer)
    page = text(engineer.get(page_of(file)))
    assert f"This looks like an export of {vendor}" in page
    for column, field in expected.items():
        place = re.search(rf'<label for="(id_column-\d+)">{re.escape(column)}</label>', page)
        assert place
        select = re.search(rf'<select[^>]*id="{place[1]}".*?</select>', page, re.S)
        assert f'value="{field}" selected' in select[0]


def test_ten_rows_are_shown_each_cell_cut(engineer):
    rows = b"".join(b"user%d,%s\n" % (n, b"x" * 500) for n in range(50))
    page = text(engineer.get(page_of(uploaded(b"login,title\n" + rows, engineer))))
    assert ("user9<" in page, "user10<" in page, "x" * 100 in page) == (True, False, False)


def test_an_unknown_export_needs_a_login_and_one_column_for_each_field(engineer):
    file = uploaded(b"Konto,Mail,Other\nann,ann@example.com,x\n", engineer)
    assert "This export is not recognized" in text(engineer.get(page_of(file)))
    post = page_of(file) + "columns"
    assert "Choose Login for the column" in text(engineer.post(post, {"column-1": "email"}))
    twice = {"column-0": "login", "column-1": "email", "column-2": "email"}
    page = text(engineer.post(post, twice))
    assert "E-mail is read from “Mail” already" in page
    assert not SourceMapping.objects.exists()
    assert engineer.post(post, {**twice, "column-2": ""}).status_code == 302
    assert SourceMapping.objects.get().columns == {"Konto": "login", "Mail": "email", "Other": ""}


def test_dates_of_two_readings_need_an_order_beside_the_field(engineer):
    file = uploaded((SAMPLES / "ad-powershell.csv").read_bytes(), engineer)
    given = columns_as_guessed(engineer, file)
    page = text(engineer.post(page_of(file) + "columns", given))
    assert "can be read in two ways" in beside(page, "date_order")
    page = text(engineer.post(page_of(file) + "columns", {**given, "date_order": "mdy", "zone": "Mars"}))
    assert "Unknown time zone “Mars”" in beside(page, "zone")
    assert engineer.post(page_of(file) + "columns", {**given, "date_order": "mdy"}).status_code == 302
    work_on_upload(str(file.pk))
    file.refresh_from_db()
    assert (file.preview["created"], file.preview["rejected"]) == (3, 0)


def test_the_mapping_is_kept_and_fills_in_the_next_file(engineer):
    file = uploaded(b"Konto,Mail\nann,ann@example.com\n", engineer)
    engineer.post(page_of(file) + "columns", {"column-0": "login", "column-1": "email"})
    again = uploaded(b"Mail,Konto\nann,ann@example.com\n", engineer, source="okta")
    assert "as kept with Okta" in text(engineer.get(page_of(again)))
    assert columns_as_guessed(engineer, again)["column-1"] == "login"


def test_an_operator_imports_by_the_guess_and_changes_no_mapping():
    operator = client_of("Operator")
    file = uploaded((SAMPLES / "okta.csv").read_bytes(), operator)
    page = text(operator.get(page_of(file)))
    assert "Engineers can change" in page
    assert operator.post(page_of(file) + "columns", {"column-0": "title"}).status_code == 302
    work_on_upload(str(file.pk))
    file.refresh_from_db()
    assert (file.state, file.preview["created"], SourceMapping.objects.exists()) == ("waiting", 5, False)


# --- Its words --------------------------------------------------------------------------------------
def test_a_word_that_is_not_understood_is_given_a_meaning_that_is_kept(engineer):
    file = checked(b"login,status\nann,Zzyzx\nbob,Zzyzx\neve,active\n", engineer)
    page = text(engineer.get(page_of(file)))
    assert "Zzyzx" in page
    assert engineer.post(page_of(file) + "words", {"word-0": "on_leave"}).status_code == 302
    work_on_upload(str(file.pk))
    assert SourceMapping.objects.get().words == {"status": {"Zzyzx": "on_leave"}}
    page = text(engineer.get(page_of(file)))
    assert "every word is understood" in page
    engineer.post(page_of(file) + "import")
    work_on_upload(str(file.pk))
    assert sorted(Account.objects.values_list("status", flat=True)) == ["active", "on_leave", "on_leave"]


def test_a_word_may_stay_unknown(engineer):
    file = checked(b"login,status\nann,Zzyzx\neve,active\n", engineer)
    answer = engineer.post(page_of(file) + "words", {"word-0": ""}, follow=True)
    assert "This is what the import would do now" in text(answer)
    assert not SourceMapping.objects.get().words


# --- The dry run ------------------------------------------------------------------------------------
def test_a_dry_run_counts_and_changes_nothing(engineer):
    imported(GOOD + b"cid,cid@example.com,active\n", engineer)
    before = list(Account.objects.order_by("pk").values()), Import.objects.count()
    change = b"login,email,status\nann,ann@example.com,suspended\nbob,bob@example.com,active\ndan,x,active\neve,,\n"
    file = checked(change, engineer, source="okta")
    found = {name: file.preview[name] for name in ("created", "changed", "unchanged", "missing", "rejected")}
    assert found == {"created": 1, "changed": 1, "unchanged": 1, "missing": 1, "rejected": 1}
    assert (list(Account.objects.order_by("pk").values()), Import.objects.count()) == before
    assert "Import 3 rows" in text(engineer.get(page_of(file)))


def test_where_no_row_can_be_used_there_is_nothing_to_import(engineer):
    file = checked(b"login,created_at\nann,yesterday\n", engineer)
    page = text(engineer.get(page_of(file)))
    assert "No row can be used" in page
    assert "yesterday" in page
    assert f"{page_of(file)}import" not in page


# --- The import -------------------------------------------------------------------------------------
def test_an_import_has_its_own_page_and_its_file_is_deleted(engineer):
    file = imported(GOOD, engineer)
    assert (file.state, UploadPart.objects.exists(), Account.objects.count()) == ("done", False, 2)
    answer = engineer.get(page_of(file))
    assert answer["Location"] == f"/integrations/imports/{file.result_id}/"
    assert "2 rows read: 2 new" in " ".join(text(engineer.get(answer["Location"])).split())
    assert said()[-1] == "Imported okta.csv: 2 read, 0 rejected."


def test_rejected_rows_are_shown_with_line_column_value_and_what_was_expected(engineer):
    done = imported(BAD, engineer).result
    page = text(engineer.get(f"/integrations/imports/{done.pk}/"))
    rows = re.findall(r'data-label="Line">(\d+)</td><td data-label="Column">(\w+)</td>', page)
    assert rows == [("3", "login"), ("4", "created_at")]
    assert "yesterday" in page


def csv_of(client, done):
    answer = client.get(f"/integrations/imports/{done.pk}/rejected.csv")
    return list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))


def test_rejected_rows_are_downloaded_by_the_files_own_names_and_no_cell_is_a_formula(engineer):
    content = b'User,Since,Note\n=cmd|x,yesterday,"=HYPERLINK(1)"\nann,2024-01-01,ok\n'
    file = uploaded(content, engineer)
    engineer.post(page_of(file) + "columns", {"column-0": "login", "column-1": "created_at"})
    work_on_upload(str(file.pk))
    engineer.post(page_of(file) + "import")
    work_on_upload(str(file.pk))
    file.refresh_from_db()
    (row,) = csv_of(engineer, file.result)
    assert (row["line"], row["User"], row["Since"], row["Note"]) == (
        "2",
        "'=cmd|x",
        "yesterday",
        "'=HYPERLINK(1)",
    )
    assert "created_at" in row["problems"]
    assert said()[-1] == "Exported the rejected rows as CSV."


def test_a_complete_file_that_lacks_too_much_has_to_be_allowed(engineer):
    rows = b"".join(b"user%d,user%d@example.com,active\n" % (n, n) for n in range(20))
    imported(b"login,email,status\n" + rows, engineer)
    file = checked(GOOD, engineer, source="okta")
    post = page_of(file) + "import"
    assert "over a fifth" in beside(text(engineer.post(post, {"full": "on"})), "force")
    assert engineer.post(post, {"full": "on", "force": "on"}).status_code == 302
    work_on_upload(str(file.pk))
    assert Account.objects.filter(status="deleted").count() == 20


def test_a_strict_import_with_a_rejected_row_changes_nothing_and_can_be_tried_again(engineer):
    file = imported(BAD, engineer, options={"strict": "on"})
    assert (file.state, Account.objects.count()) == ("failed", 0)
    page = text(engineer.get(page_of(file)))
    assert "nothing was changed, since the import is strict" in page
    engineer.post(page_of(file) + "import")
    work_on_upload(str(file.pk))
    assert Account.objects.count() == 1


def test_a_task_that_comes_twice_imports_once(engineer):
    file = imported(GOOD, engineer)
    assert work_on_upload(str(file.pk)) == "nothing to do"
    assert Import.objects.count() == 1


def test_a_worker_that_was_killed_leaves_a_state_that_says_so(engineer):
    file = checked(GOOD, engineer)
    Upload.objects.filter(pk=file.pk).update(
        state="running", started_at=timezone.now(), host="", pid=None, options={"task": "import"}
    )
    assert "Importing" in text(engineer.get(page_of(file)))
    long_ago = timezone.now() - timedelta(minutes=11)
    Upload.objects.filter(pk=file.pk).update(heartbeat_at=long_ago, started_at=long_ago)
    page = text(engineer.get(page_of(file)))
    assert "The worker that read this file was stopped. Nothing was changed" in page
    assert "Import 2 rows" in page


def test_a_worker_of_this_host_that_is_gone_is_seen_at_once(engineer):
    file = checked(GOOD, engineer)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    Upload.objects.filter(pk=file.pk).update(
        state="running",
        started_at=timezone.now(),
        heartbeat_at=timezone.now(),
        host=platform.node(),
        pid=ended.pid,
        options={"task": "import"},
    )
    assert "Nothing was changed" in text(engineer.get(page_of(file)))


def test_a_worker_that_was_killed_after_its_import_leaves_the_import(engineer):
    file = checked(GOOD, engineer)
    started = timezone.now() - timedelta(minutes=11)
    import_accounts([(1, {"login": "ann"})], source=file.source, file_name=file.file_name)
    # Of another host, where only its silence tells that it is gone.
    Upload.objects.filter(pk=file.pk).update(
        state="running",
        started_at=started,
        heartbeat_at=started,
        host="",
        pid=None,
        options={"task": "import"},
    )
    answer = engineer.get(page_of(file))
    assert answer["Location"] == f"/integrations/imports/{Import.objects.get().pk}/"


def test_a_source_that_is_deleted_while_it_is_read_stays_deleted(engineer):
    file = checked(GOOD, engineer)

    def records():
        yield 1, {"login": "ann"}
        engineer.post("/integrations/sources/okta/delete", headers=HTMX)

    with pytest.raises(ImportRefused, match="was deleted while this import was reading"):
        import_accounts(records(), source=file.source)
    assert Source.objects.get().deleted_at
    assert not Account.objects.exists()


def test_only_so_many_files_wait_at_once(engineer):
    uploaded(GOOD, engineer)
    source = Source.objects.get()
    Upload.objects.bulk_create(Upload(source=source, file_name="x.csv", size=1) for _ in range(MOST_WAITING))
    answer = upload(GOOD, client=engineer, source="okta")
    assert "files wait for their import already" in beside(text(answer), "file")


def test_an_hr_export_in_an_identity_source_is_pointed_out(engineer):
    file = uploaded(b"Employee ID,Worker Type,Work Email\n1,Employee,ann@example.com\n", engineer)
    assert "Workday is an HR system, but Okta" in text(engineer.get(page_of(file)))


def test_the_progress_is_polled_and_ends_at_what_came_of_it(engineer):
    file = uploaded(GOOD, engineer)
    engineer.post(page_of(file) + "columns", columns_as_guessed(engineer, file))
    part = engineer.get(page_of(file) + "progress", headers=HTMX)
    assert "Waiting for a worker" in text(part)
    work_on_upload(str(file.pk))
    answer = engineer.get(page_of(file) + "progress", headers=HTMX)
    assert (answer.status_code, answer["HX-Redirect"]) == (204, page_of(file))


def test_files_go_after_a_day_and_rejected_rows_after_thirty(engineer):
    file = checked(GOOD, engineer)
    assert remove_old_uploads() == 0
    Upload.objects.update(created_at=timezone.now() - timedelta(hours=25))
    assert remove_old_uploads() == 1
    assert engineer.get(page_of(file)).status_code == 404
    done = imported(BAD, engineer, source="okta").result
    Import.objects.update(started_at=timezone.now() - timedelta(days=29))
    retention()
    assert RejectedRow.objects.count() == 2
    Import.objects.update(started_at=timezone.now() - timedelta(days=31))
    retention()
    assert not RejectedRow.objects.exists()
    assert "no longer kept" in text(engineer.get(f"/integrations/imports/{done.pk}/"))


# --- Sources ----------------------------------------------------------------------------------------
def test_a_source_is_renamed(engineer):
    imported(GOOD, engineer)
    answer = engineer.post("/integrations/sources/okta/rename", {"name": "Okta EU"}, headers=HTMX)
    assert answer["HX-Redirect"] == "/integrations/sources/okta/"
    assert "Okta EU" in text(engineer.get(URL))
    assert said()[-1] == "Renamed from “Okta” to “Okta EU”."


def test_a_deleted_source_takes_its_accounts_and_leaves_its_history(engineer):
    done = imported(GOOD, engineer).result
    assert "2 accounts are" in text(engineer.get("/integrations/sources/okta/delete", headers=HTMX))
    engineer.post("/integrations/sources/okta/delete", headers=HTMX)
    assert set(Account.objects.values_list("status", flat=True)) == {"deleted"}
    assert engineer.get("/integrations/sources/okta/").status_code == 404
    assert engineer.get(f"/integrations/imports/{done.pk}/").status_code == 200
    assert said()[-1] == "Deleted, with 2 accounts."


def test_a_deleted_source_can_be_added_again_and_revives_its_accounts(engineer):
    imported(GOOD, engineer)
    engineer.post("/integrations/sources/okta/delete", headers=HTMX)
    imported(GOOD, engineer)
    assert Source.objects.count() == 1
    assert set(Account.objects.values_list("status", flat=True)) == {"active"}


def test_what_is_kept_of_a_file_can_be_forgotten(engineer):
    checked(GOOD, engineer)
    assert "Order of dates" in text(engineer.get("/integrations/sources/okta/"))
    engineer.post("/integrations/sources/okta/forget")
    assert not SourceMapping.objects.exists()


def test_the_sample_file_is_imported_as_it_is(engineer):
    sample = engineer.get("/integrations/sample-accounts.csv").content
    file = imported(sample, engineer)
    assert (file.result.created, file.result.rejected, file.result.unknown_words) == (3, 0, [])


def test_a_viewer_sees_the_sources_but_imports_nothing():
    client = client_of("Viewer")
    assert 'type="file"' not in text(client.get(URL))
    assert upload(GOOD, client=client).status_code == 403
    assert not Source.objects.exists()


def test_no_page_names_a_command(engineer):
    file = imported(BAD, engineer)
    pages = [
        URL,
        "/integrations/sources/okta/",
        f"/integrations/imports/{file.result_id}/",
        page_of(checked(BAD, engineer, source="okta")),
    ]
    for page in pages:
        assert "manage.py" not in text(engineer.get(page))
        assert " --" not in text(engineer.get(page)).split("<main")[1]


def test_nested_keys_of_json_are_columns(engineer):
    graph = b"""{"value": [{"id": "6f1c0b0e-1", "userPrincipalName": "ann@example.com", "accountEnabled": true,
      "signInActivity": {"lastSignInDateTime": "2026-11-01T08:00:00Z"}, "mail": null},
      {"id": "6f1c0b0e-2", "userPrincipalName": "bob@example.com", "accountEnabled": false}]}"""
    file = uploaded(graph, engineer, file_name="users.json")
    assert "export of Microsoft Entra ID" in text(engineer.get(page_of(file)))
    engineer.post(page_of(file) + "columns", columns_as_guessed(engineer, file))
    work_on_upload(str(file.pk))
    engineer.post(page_of(file) + "import")
    work_on_upload(str(file.pk))
    ann = Account.objects.get(login="ann@example.com")
    assert (ann.status, ann.source_key, str(ann.last_sign_in_at)[:10]) == (
        "active",
        "6f1c0b0e-1",
        "2026-11-01",
    )


def test_the_file_of_an_installation_whose_keys_changed_has_to_be_uploaded_again(engineer, settings):
    file = uploaded(GOOD, engineer)
    settings.FIELD_KEYS = [Fernet.generate_key().decode()]
    assert "the keys of this installation have changed" in text(engineer.get(page_of(file)))


@pytest.mark.parametrize(("options", "title"), [({}, "CEO"), ({"replace": "on"}, "")])
def test_a_field_that_the_file_lacks_keeps_its_value_or_becomes_unknown(engineer, options, title):
    imported(b"login,title\nann,CEO\n", engineer)
    file = checked(b"login,email\nann,ann@example.com\n", engineer, source="okta")
    assert "the last values stay: Title" in text(engineer.get(page_of(file)))
    engineer.post(page_of(file) + "import", options)
    work_on_upload(str(file.pk))
    assert Account.objects.get().title == title


def test_a_source_names_the_fields_that_an_import_made_unknown():
    source = Source.objects.create(slug="okta", name="Okta", provider="OKTA")
    good = [{"login": f"u{n}", "status": "active", "mfa_enabled": "true"} for n in range(4)]
    import_accounts(enumerate(good, 2), source=source)
    worse = import_accounts(enumerate([{**row, "status": "?"} for row in good], 2), source=source)
    client = client_of("Viewer")
    assert "Status unknown for 4 of 4</span>" in text(client.get(URL))
    shown = text(client.get(f"{URL}okta/"))
    assert "Status: unknown for 4 of 4 accounts since" in shown
    assert f"/integrations/imports/{worse.pk}/" in shown
    report = text(client.get(f"/integrations/imports/{worse.pk}/"))
    assert "unknown now for 4 of 4 accounts (100%) of which the source had a value before" in report


NESTED = {
    "okta": [
        {
            "id": f"00u{n}",
            "status": "ACTIVE",
            "created": "2020-01-01T00:00:00.000Z",
            "lastLogin": None,
            "profile": {
                "login": f"u{n}@x.example",
                "email": f"u{n}@x.example",
                "userType": "Employee",
                "address": {},
            },
            "credentials": {"provider": {"type": "OKTA", "name": {"deep": "er"}}},
        }
        for n in range(3)
    ],
    "entra": {
        "value": [
            {
                "id": f"guid-{n}",
                "userPrincipalName": f"u{n}@x.example",
                "displayName": f"User {n}",
                "accountEnabled": n != 2,
                "userType": "Member",
                "manager": {"id": "guid-0", "userPrincipalName": "u0@x.example"},
                "signInActivity": {"lastSuccessfulSignInDateTime": "2026-11-01T00:00:00Z"},
            }
            for n in range(3)
        ]
    },
}


@pytest.mark.parametrize("vendor", NESTED)
@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_nested_json_is_read_alike_by_the_command_and_in_the_browser(vendor, form, engineer, tmp_path):
    given = NESTED[vendor]
    records = given if isinstance(given, list) else given["value"]
    content = json.dumps(given) if form == "json" else "\n".join(map(json.dumps, records))
    imported(content.encode(), engineer, file_name=f"users.{form}", slug="browser", provider=vendor)
    path = tmp_path / f"users.{form}"
    path.write_text(content)
    call_command("import_users", str(path), source="command", provider=vendor.upper(), stdout=io.StringIO())

    def accounts(slug):
        own = ("id", "source_id", "user_id", "join_reason", "joined_at", "fingerprint")
        rows = Account.objects.filter(source__slug=slug).order_by("login").values()
        return [{name: value for name, value in row.items() if name not in own} for row in rows]

    assert [row["login"] for row in accounts("command")] == [f"u{n}@x.example" for n in range(3)]
    assert accounts("command") == accounts("browser")
    if vendor == "entra":
        assert {row["manager"] for row in accounts("command")} == {"u0@x.example"}
        assert accounts("command")[2]["status"] == "disabled"


def test_the_page_of_an_import_leads_to_its_doubtful_joins(engineer):
    load([{"login": "w1", "email": "m@x.org", "employee_id": "1"}], "hr", "hr")
    load([{"login": "w2", "email": "m@x.org", "employee_id": "2"}], "other")
    done = load([{"login": "b", "email": "m@x.org"}], "entra")
    page = text(engineer.get(f"/integrations/imports/{done.pk}/"))
    assert f'href="/joining/?import={done.pk}"' in page
    assert "b</a> and" in text(engineer.get(f"/joining/?import={done.pk}"))
    assert "b</a> and" not in text(engineer.get(f"/joining/?import={done.pk + 1}"))
