"""HR reports by URL: what is read, what is refused, and that a file which has not changed is not read again."""

import gzip
import json

import pytest

from checks.models import Account, Import, Source
from checks.services import add_source, save_mapping
from cii_project.sync import driver
from cii_project.sync.preview import preview_sync
from cii_project.tools.scripted_sources.server import Answer, ScriptedServer
from integrations.models import Sync
from integrations.services import InvalidDocument, probe_connection, save_connection
from integrations.sources.shared import file_source
from tests.console.checks_world import client_of, text
from tests.doubles.report import WORKERS, ScriptedReport
from tests.sync.worlds import sync, work

pytestmark = pytest.mark.django_db(transaction=True)

REPORT = {
    "Report_Entry": [
        {
            "Employee_ID": "1001",
            "Work_Email": "ann.ames@example.com",
            "First_Name": "Ann",
            "Last_Name": "Ames",
            "Worker_Status": "Active",
            "Manager_ID": "1002",
            "Hire_Date": "2020-03-01",
        },
        {
            "Employee_ID": "1002",
            "Work_Email": "bob.bell@example.com",
            "First_Name": "Bob",
            "Last_Name": "Bell",
            "Worker_Status": "Terminated",
            "Termination_Date": "2026-01-31",
        },
    ]
}


def connect(server, **document):
    if not Source.objects.filter(slug="hr").exists():
        add_source(slug="hr", name="HR", kind="hr", provider="HR")
    settings = {"url": f"{server.url}/report", "username": "isu", "password": ScriptedReport.password}
    given = {name: value for name, value in (settings | document).items() if value != ""}
    return save_connection(slug="hr", kind="hr", document=given)[0]


def account(key):
    return Account.objects.get(employee_id=key)


# --- What is read -----------------------------------------------------------------------------------------


def test_a_report_of_workday_brings_employee_ids_managers_and_terminations():
    report = ScriptedReport(content=json.dumps(REPORT).encode(), content_type="application/json")
    with ScriptedServer(report) as server:
        done = sync(connect(server))

    assert done.state == Sync.State.SUCCEEDED, done.error
    ann, bob = account("1001"), account("1002")
    assert (ann.login, ann.status, ann.manager) == ("ann.ames@example.com", "active", "1002")
    assert (bob.status, bob.status_changed_at.date().isoformat()) == ("disabled", "2026-01-31")
    assert (ann.source.kind, ann.created_at.year) == ("hr", 2020)


def test_columns_words_order_of_dates_and_zone_are_those_of_the_source():
    content = "Nr;Konto;Zustand;Eintritt\n7;kim;Elternzeit;03/04/2026 00:30\n"
    with ScriptedServer(ScriptedReport(content=content.encode())) as server:
        connection = connect(
            server,
            columns=["login=Konto", "employee_id=Nr", "status=Zustand", "created_at=Eintritt"],
            words=["status:Elternzeit=on_leave"],
            dates="dmy",
            zone="Europe/Berlin",
        )
        sync(connection)

    kim = Account.objects.get(login="kim")
    assert (kim.employee_id, kim.status) == ("7", "on_leave")
    assert kim.created_at.isoformat() == "2026-04-02T22:30:00+00:00"


@pytest.mark.parametrize(
    ("content", "columns", "login", "employee_id"),
    [
        (b"Nr,Status\n7,Active\n", ["login=Nr", "employee_id=Nr"], "7", "7"),
        (b"Nr,Status\n7,Active\n", ["employee_id=Nr", "login=Nr"], "7", "7"),
        (b"Employee ID,Worker,Worker Status\n7,Kim,Active\n", [], "7", "7"),
        (b"Employee ID,Work Email,Worker Status\n7,k@x.example,Active\n", ["email=Work Email"], "7", "7"),
        (b"Nr,Status\n7,Active\n", ["employee_id=Nr"], "7", "7"),
    ],
)  # fmt: skip
def test_one_column_may_be_the_login_and_another_field(content, columns, login, employee_id):
    with ScriptedServer(ScriptedReport(content=content)) as server:
        sync(connect(server, columns=columns))
    kim = Account.objects.get()
    assert (kim.login, kim.employee_id, kim.status) == (login, employee_id, "active")


def test_what_the_source_keeps_of_an_uploaded_file_holds_for_its_report():
    with ScriptedServer(ScriptedReport(content=b"Konto,Abteilung\nkim,Finance\n")) as server:
        connection = connect(server)
        save_mapping(Source.objects.get(), columns={"Konto": "login", "Abteilung": "department"})
        sync(connection)
    assert Account.objects.get(login="kim").department == "Finance"


def test_a_column_that_is_missing_in_a_later_report_was_not_read():
    report = ScriptedReport(content=b"login,department,title\nkim,Finance,Clerk\n")
    with ScriptedServer(report) as server:
        connection = connect(server, columns=["login=login", "department=department"])
        sync(connection)
        report.content = b"login,title\nkim,Director\n"
        sync(connection)
    kim = Account.objects.get(login="kim")
    assert (kim.department, kim.title) == ("Finance", "Director")
    assert "department" in Import.objects.latest("id").unread_fields


def test_a_row_that_cannot_be_read_is_rejected_and_the_others_are_imported():
    content = b"login,title\nkim,Clerk\nlee\nmax,\xff\n\xe4nn,x\n" + b"sam,Director\n"
    with ScriptedServer(ScriptedReport(content=content)) as server:
        done = sync(connect(server))
    listing = done.passes.get()
    assert (listing.records, listing.created, listing.rejected) == (5, 2, 3)
    assert set(Account.objects.values_list("login", flat=True)) == {"kim", "sam"}


def test_a_report_that_is_sent_compressed_is_read():
    report = ScriptedReport(content=gzip.compress(WORKERS.encode()), headers={"Content-Encoding": "gzip"})
    with ScriptedServer(report) as server:
        done = sync(connect(server))
    assert done.passes.get().created == 5


def test_a_dry_run_counts_and_stores_nothing():
    with ScriptedServer(ScriptedReport()) as server:
        connection = connect(server)
        found = preview_sync(connection, Source.objects.get())
    assert (found.done.created, Account.objects.count()) == (5, 0)


# --- One download ------------------------------------------------------------------------------------------


def test_a_report_of_many_pages_is_downloaded_once(monkeypatch):
    monkeypatch.setattr(file_source, "PAGE_RECORDS", 2)
    with ScriptedServer(ScriptedReport()) as server:
        done = sync(connect(server))
    listing = done.passes.get()
    assert (listing.pages, listing.created, done.calls, len(server.asked)) == (3, 5, 1, 1)
    assert listing.note == f"report: CSV, {len(WORKERS)} bytes, 5 records."


def test_a_worker_that_dies_in_a_download_leaves_it_to_be_started_again_once(monkeypatch):
    monkeypatch.setattr(file_source, "PAGE_RECORDS", 2)
    original, pages = driver._Worker._fence, []

    class Killed(BaseException):
        pass

    def dying(self, **values):
        pages.append(values)
        if len(pages) == 4:
            raise Killed
        original(self, **values)

    monkeypatch.setattr(driver._Worker, "_fence", dying)
    with ScriptedServer(ScriptedReport()) as server:
        connection = connect(server)
        with pytest.raises(Killed):
            sync(connection)
        started = Sync.objects.get()
        Sync.objects.update(claim="of the dead", claimed_until=started.created_at)
        done = work(started)
    assert (done.state, done.passes.get().restarts, len(server.asked)) == (Sync.State.SUCCEEDED, 1, 2)
    assert Account.objects.count() == 5


def test_a_report_that_has_not_changed_is_not_read_again_and_the_history_says_so():
    with ScriptedServer(ScriptedReport()) as server:
        connection = connect(server)
        sync(connection)
        connection.refresh_from_db()
        before = connection.last_success_at
        done = sync(connection)

    assert (done.state, Import.objects.count()) == (Sync.State.SUCCEEDED, 1)
    assert done.passes.get().note == "The file has not changed: it was not read again."
    connection.refresh_from_db()
    assert connection.last_success_at > before


@pytest.mark.parametrize("change", ["content", "mapping", "settings", "no etag"])
def test_a_report_is_read_again_after_a_change_of(change):
    report = ScriptedReport(has_etag=change != "no etag")
    with ScriptedServer(report) as server:
        connection = connect(server)
        sync(connection)
        connection.refresh_from_db()
        if change == "content":
            report.content += b"9,user9@example.com,User,Nine,Active,0\n"
        elif change == "mapping":
            save_mapping(Source.objects.get(), words=[("status", "Active", "disabled")])
        elif change == "settings":
            document = {**connection.settings, "words": ["status:Active=disabled"]}
            save_connection(slug="hr", kind="hr", document=document, connection=connection)
        sync(connection)
    assert Import.objects.count() == 2
    if change in ("mapping", "settings"):
        assert set(Account.objects.values_list("status", flat=True)) == {"disabled"}


# --- What is refused ---------------------------------------------------------------------------------------

HTML = b"<!DOCTYPE html><html><body>Sign in</body></html>"
REFUSED = {
    "a sign-in page": (Answer(200, HTML, {"Content-Type": "text/html"}), "web page, perhaps a sign-in page"),
    "a sign-in page as text": (Answer(200, HTML), "an HTML page, perhaps a sign-in page"),
    "an empty file": (Answer(200, b""), "the file is empty"),
    "a header alone": (Answer(200, b"login,title\n"), "holds no records"),
    "an empty list": (Answer(200, b'{"Report_Entry": []}'), "holds no records"),
    "a workbook": (Answer(200, b"PK\x03\x04....[Content_Types].xml"), "an Excel workbook"),
    "gzip": (Answer(200, gzip.compress(b"login\nkim\n")), "compressed with gzip"),
    "XML": (Answer(200, b"<?xml version='1.0'?><a/>"), "an XML document"),
    "half a body": (Answer(200, b"login\n" + b"kim\n" * 999, breaks=True), "broke off"),
    "half of a list": (Answer(200, b'[{"login": "kim"}, {"log'), "not a JSON array"),
    "another answer": (Answer(204), "204"),
    "no login": (Answer(200, b"name\nKim\n"), "No column of the file is the login"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_report_fails_the_sync_with_a_sentence_and_deletes_nobody(name):
    answer, sentence = REFUSED[name]
    with ScriptedServer(ScriptedReport()) as server:
        connection = connect(server)
        sync(connection)
        before = list(Account.objects.order_by("pk").values())
        server.disturb = lambda asked: answer
        done = sync(connection)
    assert done.state == Sync.State.FAILED
    assert sentence in done.error
    assert list(Account.objects.order_by("pk").values()) == before


def test_a_report_with_bad_records_alone_fails_the_sync_at_once():
    with ScriptedServer(ScriptedReport(content=b"login,status\n,x\n")) as server:
        done = sync(connect(server))
    assert (done.state, Account.objects.count(), len(server.asked)) == (Sync.State.FAILED, 0, 1)
    assert "all 1 records are bad" in done.error


def test_a_compressed_answer_that_never_ends_inflating_is_refused(monkeypatch):
    monkeypatch.setattr("integrations.sources.shared.file_call.MAX_FILE", 1024 * 1024)
    bomb = gzip.compress(b"login\n" + b"kim\n" * 1_000_000)
    report = ScriptedReport(content=bomb, headers={"Content-Encoding": "gzip"})
    with ScriptedServer(report) as server:
        done = sync(connect(server))
    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert "larger than 1 MiB" in done.error


def test_a_report_that_lacks_over_a_fifth_of_the_workers_is_held():
    report = ScriptedReport()
    with ScriptedServer(report) as server:
        connection = connect(server)
        sync(connection)
        report.content = "\n".join(WORKERS.splitlines()[:3]).encode()
        done = sync(connection)
        connection.refresh_from_db()
        # The held file is not the one that was imported last: the next sync reads it again.
        again = sync(connection)
    assert (done.state, again.state) == (Sync.State.HELD, Sync.State.HELD)
    assert done.held["missing"] == 3
    assert Account.objects.filter(status="active").count() == 5


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"columns": ["login"]}, "columns"),
        ({"zone": "Mars/Olympus"}, "zone"),
        ({"url": "http://hr.example.com/report"}, "url"),
        ({"words": ["status=active"]}, "words"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(document, field):
    with ScriptedServer(ScriptedReport()) as server, pytest.raises(InvalidDocument) as raised:
        connect(server, **document)
    assert field in raised.value.errors


# --- Authorization -----------------------------------------------------------------------------------------


def oauth(server, way="refresh_token", **document):
    base = {
        "username": "",
        "password": "",
        "authorization": way,
        "token_url": f"{server.url}/token",
        "client_id": "client",
        "client_secret": ScriptedReport.client_secret,
    }
    if way == "refresh_token":
        base["refresh_token"] = ScriptedReport.refresh_token
    return connect(server, **base | document)


@pytest.mark.parametrize("way", ["refresh_token", "client_credentials"])
def test_an_access_token_is_fetched_once_and_renewed_after_a_401(way):
    report = ScriptedReport()
    with ScriptedServer(report) as server:
        connection = oauth(server, way)
        assert sync(connection).state == Sync.State.SUCCEEDED
        assert sync(connection).state == Sync.State.SUCCEEDED
        assert server.paths().count("/token") == 1
        report.tokens.clear()
        done = sync(connection)
    assert done.state == Sync.State.SUCCEEDED
    assert server.paths().count("/token") == 2
    assert server.asked[0].form["grant_type"] == way


def test_a_refresh_token_that_is_refused_fails_the_sync_without_naming_it():
    with ScriptedServer(ScriptedReport()) as server:
        done = sync(oauth(server, refresh_token="wrong-0123456789"))
    assert done.state == Sync.State.FAILED
    assert "unknown refresh token" in done.error
    assert "wrong-0123456789" not in done.error


def test_a_wrong_password_fails_the_sync():
    with ScriptedServer(ScriptedReport()) as server:
        done = sync(connect(server, password="wrong"))
    assert done.state == Sync.State.FAILED
    assert "does not accept the credential" in done.error


# --- Test connectivity -------------------------------------------------------------------------------------


def test_connectivity_shows_each_step_with_columns_and_counts():
    with ScriptedServer(ScriptedReport()) as server:
        found = probe_connection(connect(server))
    assert found.can_list
    assert [(each.name, each.state) for each in found.permissions] == [
        ("File", "granted"),
        ("Records", "granted"),
    ]
    assert found.permissions[1].detail == "report: CSV, 5 records."
    assert (found.users, found.more_users) == (5, False)
    assert list(found.columns)[:2] == ["Employee ID", "Work Email"]


def test_connectivity_names_the_step_that_fails():
    report = ScriptedReport(content=HTML, content_type="text/html")
    with ScriptedServer(report) as server:
        page = probe_connection(connect(server))
    assert not page.can_list
    assert [each.state for each in page.permissions] == ["granted", "unclear"]
    assert "sign-in page" in page.permissions[1].detail


def test_the_form_asks_for_no_kind_of_system_and_the_dialog_shows_what_each_column_becomes():
    with ScriptedServer(ScriptedReport()) as server:
        engineer = client_of("Engineer")
        address = "/integrations/add-source/hr/"
        assert "Kind of system" not in text(engineer.get(address))
        given = {
            "name": "HR",
            "slug": "hr",
            "period_hours": 24,
            "rate_share": 50,
            "format": "auto",
            "dates": "none",
        }
        credential = {"authorization": "basic", "username": "isu", "password": ScriptedReport.password}
        form = given | credential | {"url": f"{server.url}/report"}
        refused = engineer.post(address, form | {"columns": "nothing=Work Email"})
        assert "There is no field “nothing”" in text(refused)
        assert engineer.post(address, form).status_code == 302
        shown = text(engineer.post("/integrations/sources/hr/test"))
    assert Source.objects.get().kind == "hr"
    assert "5 users in the file" in shown
    assert "Manager ID" in shown
    assert "not read" not in shown
