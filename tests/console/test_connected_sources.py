"""Sources that are read through their provider's API, as members add, test, sync, pause and delete them."""

import csv
import html
import io
import re

import pytest
from django.urls import reverse

from checks.models import Account, Source
from checks.services import sync_catalogue
from cii_project.tools.scripted_sources.okta import okta_user
from integrations.models import SourceConnection, Sync
from tests.sync.worlds import connect, serving, small_okta, sync, work

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "00scripted-token-0123456789"


def page(name, *args):
    return reverse(f"console:{name}", args=args)


def text(answer):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def filled_form(server, **values):
    return {
        "name": "Okta production",
        "slug": "okta-production",
        "kind": "identity",
        "url": server.url,
        "authorization": "api_token",
        "api_token": SECRET,
        "passes.groups": "on",
        "period_hours": "24",
        "rate_share": "50",
    } | values


@pytest.fixture
def okta():
    return small_okta()


@pytest.fixture
def server(okta):
    with serving(okta) as running:
        yield running


def test_the_gallery_leads_to_a_form_with_a_guide(admin_client):
    gallery = admin_client.get(page("source-add"))
    assert page("source-new", "okta") in gallery.content.decode()
    form = text(admin_client.get(page("source-new", "okta")))
    assert "Prepare Okta" in form
    assert "okta.users.read, okta.roles.read, okta.groups.read and okta.logs.read" in form


def test_a_field_for_another_text_than_pem_says_what_to_paste(admin_client):
    form = html.unescape(admin_client.get(page("source-new", "google")).content.decode())
    assert 'placeholder="Paste the whole JSON file of the key' in form


def test_a_source_is_added_tested_and_synced(admin_client, server):
    added = admin_client.post(page("source-new", "okta"), filled_form(server), follow=True)
    assert "“Okta production” is added." in text(added)

    tested = text(admin_client.post(page("source-test", "okta-production")))
    assert "4 users on the first page" in tested
    assert tested.count("Granted") == 4

    admin_client.post(page("source-sync", "okta-production"))
    work(Sync.objects.get())
    shown = text(admin_client.get(page("source", "okta-production")))
    assert "Healthy" in shown
    assert "MFA factors 3 read" in shown
    assert Account.objects.count() == 4


def test_the_secret_is_in_no_page_and_an_empty_field_keeps_it(admin_client, server):
    connection = connect(server)
    pages = [admin_client.get(page(name, "okta")) for name in ("source", "source-edit")]
    pages.append(admin_client.get(page("integrations")))
    assert not any(SECRET in each.content.decode() for each in pages)
    changed = filled_form(server, api_token="", period_hours="12")
    admin_client.post(page("source-edit", "okta"), changed)
    connection.refresh_from_db()
    assert connection.period_hours == 12
    assert sync(connection).state == Sync.State.SUCCEEDED


def test_another_address_needs_the_secret_again(admin_client, server):
    connect(server)
    other = filled_form(server, url="https://other.okta.com", api_token="")
    answer = text(admin_client.post(page("source-edit", "okta"), other))
    assert "Enter it again: it was stored for another address." in answer


def test_a_wrong_form_says_what_is_wrong_beside_the_field(admin_client, server):
    wrong = filled_form(server, url="https://example.okta.com/admin", slug="Okta")
    answer = text(admin_client.post(page("source-new", "okta"), wrong))
    assert "Write lower case." in answer
    wrong = filled_form(server, url="https://example.okta.com/admin")
    answer = text(admin_client.post(page("source-new", "okta"), wrong))
    assert "Write the address without a path" in answer
    assert not Source.objects.exists()
    assert not SourceConnection.objects.exists()


def test_a_test_names_what_is_missing_and_which_checks_it_makes_unknown(admin_client, okta, server):
    sync_catalogue()
    connect(server)
    okta.forbidden = ("/api/v1/iam",)
    tested = text(admin_client.post(page("source-test", "okta")))
    assert "Missing" in tested
    assert "Unknown without it: Administrator roles. Checks: " in tested
    assert "Guest With Administrator Role" in tested


def test_the_test_names_the_missing_administrator_role_of_an_app(admin_client, okta, server):
    connect(server)
    okta.users.clear()
    tested = text(admin_client.post(page("source-test", "okta")))
    assert "Okta cannot be synced yet." in tested
    assert "needs an administrator role in addition to its scopes" in tested


def test_the_integrations_page_lists_a_connected_source_with_its_menu(admin_client, server):
    sync(connect(server))
    shown = admin_client.get(page("integrations")).content.decode()
    row = shown[shown.index('id="sources"') :]
    assert "sources/okta/logo.svg" in row
    for name in ("source-edit", "source-test", "source-sync", "source-pause", "source-delete"):
        assert page(name, "okta") in row


def test_a_paused_source_is_not_synced_until_it_is_resumed(admin_client, server):
    connect(server)
    admin_client.post(page("source-pause", "okta"))
    answer = admin_client.post(page("source-sync", "okta"), follow=True)
    assert "okta is paused: resume it first." in text(answer)
    admin_client.post(page("source-resume", "okta"))
    admin_client.post(page("source-sync", "okta"))
    assert Sync.objects.count() == 1


def test_the_syncs_are_listed_searched_filtered_and_exported(admin_client, server):
    done = sync(connect(server))
    Sync.objects.filter(pk=done.pk).update(state="failed", error="Okta answered 429 for an hour.")
    address = page("syncs")
    assert f'href="{address}?source=okta"' in admin_client.get(page("source", "okta")).content.decode()
    for query in (
        {"source": "okta"},
        {"state": "failed"},
        {"q": "answered 429"},
        {"q": "okta", "sort": "calls"},
    ):
        assert page("source-one-sync", done.pk) in admin_client.get(address, query).content.decode(), query
    for query in ({"state": "succeeded"}, {"q": "nothing like it"}):
        assert "No sync matches" in text(admin_client.get(address, query)), query
    assert "Unknown value “gone” of the filter State." in text(admin_client.get(address, {"state": "gone"}))
    chosen = admin_client.get(address, {"columns": "trigger"}).content.decode()
    assert ("Started by</" in chosen, 'data-label="Calls"' in chosen) == (True, False)
    content = b"".join(admin_client.get(address, {"format": "csv"}).streaming_content).decode()
    (row,) = csv.DictReader(io.StringIO(content))
    assert (row["source"], row["state"], row["error"]) == ("Okta", "failed", "Okta answered 429 for an hour.")
    assert int(row["seen"]) == Account.objects.count()


@pytest.fixture
def held(okta, server):
    for number in range(10, 30):
        okta.users[f"00u{number}"] = okta_user(f"00u{number}", f"user{number}@example.com")
    connection = connect(server)
    sync(connection)
    for key in list(okta.users)[:10]:
        del okta.users[key]
    return sync(connection)


def test_a_held_listing_names_its_accounts_and_is_applied_by_a_member(admin_client, held):
    shown = text(admin_client.get(page("source-one-sync", held.pk)))
    assert "The listing lacks 10 of 24 accounts." in shown
    assert "ann.ames@example.com" in shown
    admin_client.post(page("source-release", held.pk))
    work(held)
    assert Account.objects.filter(status="deleted").count() == 10
    assert "Released by admin." in text(admin_client.get(page("source-one-sync", held.pk)))


def test_a_held_listing_is_dropped_by_a_member(admin_client, held):
    admin_client.post(page("source-drop", held.pk))
    assert not Account.objects.filter(status="deleted").exists()
    again = admin_client.post(page("source-release", held.pk), follow=True)
    assert "This listing was decided already." in text(again)


def test_deleting_a_source_removes_its_connection_and_secret(admin_client, server):
    sync(connect(server))
    admin_client.post(page("source-delete", "okta"))
    assert not SourceConnection.objects.exists()
    assert not Account.objects.exclude(status="deleted").exists()


def test_the_second_of_two_tabs_does_not_silently_restore_the_old_values(admin_client, server):
    connection = connect(server)
    first = admin_client.get(page("source-edit", "okta")).content.decode()
    version = html.unescape(re.search(r'name="version" value="([^"]*)"', first)[1])
    admin_client.post(page("source-edit", "okta"), filled_form(server, period_hours="12"))
    late = filled_form(server, rate_share="70", version=version)
    answer = text(admin_client.post(page("source-edit", "okta"), late))
    assert "admin" in answer
    assert "changed this while you were editing" in answer
    assert "Now stored: 12" in answer
    connection.refresh_from_db()
    assert (connection.period_hours, connection.rate_share) == (12, 50)


def test_two_renames_of_a_source_meet(admin_client, server):
    connect(server)
    drawn = admin_client.get(page("source-rename", "okta")).content.decode()
    version = html.unescape(re.search(r'name="version" value="([^"]*)"', drawn)[1])
    admin_client.post(page("source-rename", "okta"), {"name": "First"})
    answer = text(admin_client.post(page("source-rename", "okta"), {"name": "Second", "version": version}))
    assert "Now stored: First" in answer
    assert Source.objects.get().name == "First"
