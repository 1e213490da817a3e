"""Data sources in the browser: a file of accounts is uploaded, and its bad rows are told."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from checks.models import Account, Import, Source
from tests.console.checks_world import beside, client_of, said, text

pytestmark = pytest.mark.django_db
URL = "/integrations/sources/"
GOOD = b"login,email,status\nann,ann@example.com,active\nbob,bob@example.com,active\n"
BAD = b"login,email,status\nann,ann@example.com,active\n,no-login@example.com,active\ncid,cid@example.com,sideways\n"


def upload(content, name="okta.csv", client=None, **data):
    given = {"source": "new", "slug": "okta", "name": "Okta", "kind": "identity", "provider": "okta", **data}
    client = client or client_of("Operator")
    return client.post(URL, {**given, "file": SimpleUploadedFile(name, content)})


def test_the_first_file_makes_the_first_source():
    page = text(upload(GOOD))
    source = Source.objects.get()
    assert (source.slug, source.name, source.provider, source.kind) == ("okta", "Okta", "OKTA", "identity")
    assert Account.objects.count() == 2
    assert "2 records read: 2 new" in " ".join(page.split())
    assert said() == ["Imported okta.csv: 2 read, 0 rejected."]


def test_bad_rows_are_told_with_line_column_value_and_what_was_expected():
    page = " ".join(text(upload(BAD)).split())
    assert "2 rejected" in page
    rows = re.findall(r'data-label="Line">(\d+)</td><td data-label="Column">(\w+)</td>', page)
    assert rows == [("3", "login"), ("4", "status")]
    assert "sideways" in page
    assert Account.objects.count() == 1


def test_a_strict_import_with_a_bad_row_changes_nothing_and_leaves_no_new_source():
    answer = upload(BAD, strict="on")
    assert answer.status_code == 200
    assert "Nothing was changed" in text(answer)
    assert not Source.objects.exists()
    assert not Import.objects.exists()


def test_a_complete_file_that_would_delete_too_much_is_refused_until_it_is_forced():
    client = client_of("Operator")
    rows = b"".join(b"user%d,user%d@example.com,active\n" % (n, n) for n in range(20))
    upload(b"login,email,status\n" + rows, client=client)
    refused = upload(GOOD, client=client, source="okta", full="on")
    assert (refused.status_code, "Nothing was changed" in text(refused)) == (200, True)
    assert upload(GOOD, client=client, source="okta", full="on", force="on").status_code == 200
    assert Account.objects.filter(status="deleted").count() == 20


def test_foreign_column_names_are_mapped():
    upload(b"UserName,Mail\nann,ann@example.com\n", mapping="login=UserName\nemail = Mail\n")
    assert Account.objects.get().email == "ann@example.com"


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("slug", "", "Write a short name for the new source."),
        ("slug", "a b", "valid “slug”"),
        ("mapping", "login", "Write one such as login=UserName."),
        ("mapping", "nickname=Nick", "There is no field “nickname”."),
    ],
)
def test_a_mistake_in_the_form_is_told_beside_its_field(field, value, problem):
    answer = upload(GOOD, **{field: value})
    assert answer.status_code == 200
    assert problem in beside(text(answer), field)
    assert not Source.objects.exists()


def test_a_file_that_is_no_text_is_refused_with_what_to_do():
    answer = upload(b"PK\x03\x04zip", name="users.csv")
    assert answer.status_code == 200
    assert "save it as CSV in UTF-8" in text(answer)


def test_a_viewer_sees_the_sources_but_imports_nothing():
    client = client_of("Viewer")
    assert 'type="file"' not in text(client.get(URL))
    assert upload(GOOD, client=client).status_code == 403
    assert not Source.objects.exists()


def test_a_misspelt_column_is_told():
    client = client_of("Operator")
    page = text(upload(b"login,staus\nann,active\n", client=client))
    assert "Ignored, since they are no fields: staus (did you mean status?)." in page
    assert "Ignored" not in text(upload(GOOD, slug="entra", client=client))
