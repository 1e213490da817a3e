"""What every list of the console can do: unknown filters, order, page size, columns, CSV, saved filters."""

import csv
import io
import re

import pytest

from checks.models import User
from cii_project.audit.models import AuditEntry
from cii_project.console.core import list_view
from cii_project.console.core.list_query import Column, Filter, read_list_query
from cii_project.models import SavedFilter
from tests.console.checks_world import HTMX, client_of, fail, failing_run, text

pytestmark = pytest.mark.django_db


def shown(page):
    return re.findall(r'class="c-name" href="/users/\d+/">(.*?)</a>', page)


def csv_of(answer):
    return list(csv.reader(io.StringIO(b"".join(answer.streaming_content).decode())))


# --- The address -------------------------------------------------------------------------------------
FILTERS = [
    Filter("state", "State", [("dead", "Dead"), ("due", "Due")]),
    Filter("run", "Run", accepts=str.isdigit),
]
COLUMNS = [
    Column("name", "Name", str, ("name",), is_indexed=True, is_fixed=True),
    Column("size", "Size", str),
    Column("secret", "Secret", str, is_csv_only=True),
]


def read(**given):
    return read_list_query(given, filters=FILTERS, columns=COLUMNS)


def test_an_address_is_read_and_written_again():
    asked = read(
        q=" ann ", state="dead", run="12", sort="-name", size="100", columns="size", page="x", seen="1"
    )
    assert asked.problems == ()
    assert asked.query == "q=ann&state=dead&run=12&sort=-name&size=100&columns=name%2Csize"
    assert asked.filter_query == "q=ann&state=dead&run=12"


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"state": "ded"}, "Unknown value “ded” of the filter State. Use one of: dead, due."),
        ({"run": "x"}, "Unknown value “x” of the filter Run. Choose one of the list's own filters."),
        ({"stauts": "dead"}, "Unknown filter “stauts”. This list has: q, state, run."),
    ],
)
def test_an_unknown_filter_matches_nothing_and_says_what_is_known(given, problem):
    asked = read(**given)
    assert asked.problems == (problem,)
    assert asked.matches_nothing
    assert asked.is_filtered


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"sort": "colour"}, "Unknown order “colour”. Use one of: name, with - before it to turn it."),
        ({"sort": "size"}, "Unknown order “size”"),
        ({"size": "51"}, "Unknown page size “51”. Use one of: 25, 50, 100."),
        ({"columns": "name,hat"}, "Unknown column “hat”. Use some of: name, size."),
        ({"columns": "secret"}, "Unknown column “secret”"),
    ],
)
def test_an_unknown_order_size_or_column_is_named_and_the_usual_one_is_used(given, problem):
    asked = read(**given)
    assert asked.problems[0].startswith(problem)
    assert not asked.matches_nothing
    assert (asked.sort, asked.size) == ("", 0)


def test_a_list_says_that_a_filter_is_unknown_and_shows_exports_and_saves_nothing():
    failing_run("ann@example.com")
    client = client_of("Operator")
    page = text(client.get("/users/?status=asleep"))
    assert "Unknown value “asleep” of the filter Status." in page
    assert shown(page) == []
    assert "Save this filter" not in page
    answer = client.get("/users/?status=asleep&format=csv")
    assert answer.status_code == 400
    assert "Unknown value “asleep”" in text(answer)


# --- Order, size, total, columns -----------------------------------------------------------------------
def departments():
    for name, department in (("ann", "Sales"), ("bob", ""), ("cid", "Law"), ("dan", "Law")):
        fail(f"{name}@example.com", department=department)


def test_a_list_sorts_by_each_head_both_ways_and_its_pages_join():
    departments()
    client = client_of("Viewer")
    up = ["bob", "cid", "dan", "ann"]
    for sort, wanted in (("department", up), ("-department", up[::-1])):
        page = text(client.get(f"/users/?sort={sort}"))
        assert [name.partition("@")[0] for name in shown(page)] == wanted
    head = re.search(r'<th[^>]*aria-sort="descending"><a class="c-sort" href="([^"]*)">Department', page)
    assert head
    assert head[1].endswith("?sort=department")


def test_an_order_without_an_index_has_its_pages_too(monkeypatch):
    User.objects.bulk_create(User(name=f"user{n:03}", department=f"d{n % 7}") for n in range(60))
    client, address, found = client_of("Viewer"), "?sort=department&size=25", []
    while address:
        page = text(client.get(f"/users/{address}"))
        found += shown(page)
        following = re.search(r'href="(\?[^"]*)" rel="next"', page)
        address = following[1].replace("&amp;", "&") if following else ""
    assert found == list(User.objects.order_by("department", "name").values_list("name", flat=True))
    assert "60 users" in page


def test_the_users_who_fail_most_come_first():
    failing_run("ann@example.com", "bob@example.com", slugs=("no-mfa",))
    fail("zoe@example.com")
    page = text(client_of("Viewer").get("/users/?sort=-failing"))
    assert shown(page) == ["bob@example.com", "ann@example.com", "zoe@example.com"]


def test_a_list_that_is_too_long_to_be_sorted_says_so_and_how_many_there_are(monkeypatch):
    monkeypatch.setattr(list_view, "MOST_COUNTED", 2)
    departments()
    page = text(client_of("Viewer").get("/users/?sort=-department"))
    assert "More than 2 users match: too many to sort by “Department”. Filter the list first." in page
    assert "More than 2 users</p>" in page
    assert shown(page) == sorted(User.objects.values_list("name", flat=True))
    assert 'href="/users/?sort=department"' not in page


def test_the_chosen_columns_are_shown_and_kept_for_the_session():
    departments()
    client = client_of("Viewer")

    def heads(address):
        table = text(client.get(address)).partition("<thead>")[2].partition("</thead>")[0]
        return re.findall(r"<th[^>]*>(?:<a[^>]*>)?([^<]*)", table)

    usual = heads("/users/")
    assert usual == ["User", "Type", "Status", "Department", "Sources", "Last sign-in", "Failing"]
    assert heads("/users/?columns=&columns=manager&columns=failing") == ["User", "Manager", "Failing"]
    assert heads("/users/") == ["User", "Manager", "Failing"]
    assert heads("/users/?columns=default") == usual
    assert heads("/users/") == usual


# --- CSV ---------------------------------------------------------------------------------------------
def test_the_csv_has_every_row_that_matches_and_every_column_and_no_formula(monkeypatch):
    monkeypatch.setattr(list_view, "EXPORT_CHUNK", 2)
    departments()
    User.objects.filter(name="dan@example.com").update(title="=cmd()")
    client = client_of("Viewer")
    rows = csv_of(client.get("/users/?flag=protected&size=25&columns=failing&format=csv"))
    assert rows[0][:5] == ["name", "display_name", "type", "status", "department"]
    assert [row[0].partition("@")[0] for row in rows[1:]] == ["ann", "bob", "cid", "dan"]
    assert rows[4][5] == "'=cmd()"
    assert csv_of(client.get("/users/?q=cid&sort=-department&format=csv"))[1][0] == "cid@example.com"
    entry = AuditEntry.objects.filter(action="export").latest("id")
    assert entry.text == "Exported the list of users as CSV."
    assert entry.after == {"filters": {"q": "cid"}}


# --- Saved filters -------------------------------------------------------------------------------------
def save(client, query="flag=admin", name="Admins", **more):
    return client.post("/filters/users/save", {"name": name, "query": query, **more}, headers=HTMX)


def test_a_filter_is_kept_by_name_for_its_member_alone():
    client = client_of("Viewer")
    assert 'value="flag=admin&amp;sort=-name"' in text(
        client.get("/filters/users/save?flag=admin&sort=-name", headers=HTMX)
    )
    assert save(client)["HX-Refresh"] == "true"
    save(client, "flag=nhi")
    assert SavedFilter.objects.get().query == "flag=nhi"
    assert 'href="?flag=nhi"' in text(client.get("/users/"))
    assert "Admins" not in text(client.get("/runs/"))
    other = client_of("Engineer")
    assert "Admins" not in text(other.get("/users/"))
    address = f"/filters/{SavedFilter.objects.get().pk}/delete"
    assert other.post(address).status_code == 404
    client.post(address)
    assert not SavedFilter.objects.exists()


def test_an_operator_shares_a_filter_and_an_engineer_may_delete_it():
    save(client_of("Viewer"), name="Own", is_shared="on")
    assert not SavedFilter.objects.get().is_shared
    operator = client_of("Operator")
    save(operator, is_shared="on")
    shared = SavedFilter.objects.get(is_shared=True)
    client = client_of("Administrator")
    page = text(client.get("/users/?flag=admin"))
    assert re.search(r'href="\?flag=admin" aria-current="true" title="Shared by operator"', page)
    viewer = client_of("")
    viewer.force_login(SavedFilter.objects.get(name="Own").member)
    page = text(viewer.get("/users/"))
    assert "Admins" in page
    assert "Delete the filter Own" in page
    assert "Delete the filter Admins" not in page
    assert viewer.post(f"/filters/{shared.pk}/delete").status_code == 404
    client.post(f"/filters/{shared.pk}/delete")
    assert not SavedFilter.objects.filter(is_shared=True).exists()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [({"name": ""}, "This field is required."), ({"query": ""}, "Save this filter")],
)
def test_a_filter_without_a_name_or_a_query_is_refused_in_the_dialog(values, complaint):
    answer = save(client_of("Viewer"), **{"query": "q=a", **values})
    assert answer.status_code == 200
    assert complaint in text(answer)
    assert not SavedFilter.objects.exists()


def test_only_so_many_filters_are_kept_and_one_of_an_unknown_list_is_not_found():
    client = client_of("Viewer")
    for number in range(21):
        answer = save(client, name=f"f{number}")
    assert "Delete one first." in text(answer)
    assert SavedFilter.objects.count() == 20
    assert save(client, name="f3")["HX-Refresh"] == "true"
    assert client.get("/filters/hats/save").status_code == 404
