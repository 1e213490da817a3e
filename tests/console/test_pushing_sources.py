"""Sources that push, as members add, rotate, pause and delete them."""

import html
import re

import pytest
from django.urls import reverse

from checks.models import Source
from integrations.models import PushToken, ScimResource, SourceConnection
from integrations.services import live_push_tokens
from tests.console.checks_world import client_of
from tests.scim.worlds import Sender, connect

pytestmark = pytest.mark.django_db(transaction=True)


def page(name, *args):
    return reverse(f"console:{name}", args=args)


def text(answer):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode())))


def token_in(answer) -> str:
    found = re.findall(r'value="(scim_[\w-]+)"', answer.content.decode())
    return found[0] if found else ""


@pytest.fixture
def added(admin_client):
    form = {"name": "Okta pushes", "slug": "okta-push", "kind": "identity"}
    return admin_client.post(page("source-new", "scim"), form, follow=True)


def test_the_gallery_leads_to_a_form_without_a_schedule(admin_client):
    assert page("source-new", "scim") in admin_client.get(page("source-add")).content.decode()
    form = admin_client.get(page("source-new", "scim")).content.decode()
    assert "Prepare SCIM 2.0" in form
    for absent in ("period_hours", "rate_share", "Save and test"):
        assert absent not in form


def test_a_new_source_shows_base_url_and_token_once(admin_client, added):
    assert "“Okta pushes” is added." in text(added)
    assert "http://testserver/scim/v2/okta-push" in added.content.decode()
    token = token_in(added)
    connection = SourceConnection.objects.get()
    assert connection.next_sync_at is None
    assert Sender(connection, token).get("Users").status_code == 200
    again = admin_client.get(page("source", "okta-push"))
    assert token_in(again) == ""
    assert token not in again.content.decode()
    assert added["Cache-Control"] == "no-store"


def test_a_rotation_shows_the_new_token_once(admin_client, added):
    assert "until the old one ends" in text(admin_client.get(page("source-rotate", "okta-push")))
    rotated = admin_client.post(page("source-rotate", "okta-push"), {"hours": "2"})
    connection = SourceConnection.objects.get()
    for token in (token_in(added), token_in(rotated)):
        assert Sender(connection, token).get("Users").status_code == 200
    shown = text(admin_client.get(page("source", "okta-push")))
    assert shown.count("made") == len(live_push_tokens(connection)) == 2
    assert "valid until" in shown
    refused = admin_client.post(page("source-rotate", "okta-push"), {"hours": "999"})
    assert token_in(refused) == ""
    assert PushToken.objects.count() == 2


def test_the_page_shows_the_last_push_and_what_waits(admin_client):
    sender = Sender(*connect())
    assert "Nothing pushed yet" in text(admin_client.get(page("sources")))
    sender.create()
    sender.create_group("Payroll")
    shown = text(admin_client.get(page("source", "push")))
    assert "Receiving" in shown
    assert "Waiting 1 imported within two minutes" in shown
    assert "Groups 1 pushed" in shown
    sender.imported()
    shown = text(admin_client.get(page("source", "push")))
    assert "Accounts 1" in shown
    assert "Waiting 0" in shown


def test_it_is_neither_synced_nor_tested_nor_edited(admin_client):
    connect()
    shown = admin_client.get(page("source", "push")).content.decode()
    listed = admin_client.get(page("sources")).content.decode()
    for name in ("source-sync", "source-test", "source-edit"):
        assert page(name, "push") not in shown + listed
    assert admin_client.post(page("source-test", "push")).status_code == 404
    assert admin_client.get(page("source-edit", "push")).status_code == 404
    admin_client.post(page("source-sync", "push"))
    assert not SourceConnection.objects.get().syncs.exists()


def test_it_is_paused_and_deleted(admin_client):
    sender = Sender(*connect())
    sender.create()
    admin_client.post(page("source-pause", "push"))
    assert "what it pushes is stored" in text(admin_client.get(page("source", "push")))
    admin_client.post(page("source-resume", "push"))
    assert "with its tokens" in text(admin_client.get(page("source-delete", "push")))
    admin_client.post(page("source-delete", "push"))
    assert not ScimResource.objects.exists()
    assert not Source.objects.filter(deleted_at__isnull=True).exists()
    answer = sender.client.get("/scim/v2/push/Users", headers={"Authorization": f"Bearer {sender.token}"})
    assert answer.status_code == 401


def test_an_operator_sees_it_and_makes_no_token(admin_client):
    connect()
    operator = client_of("Operator")
    assert "Rotate token" not in text(operator.get(page("source", "push")))
    assert operator.get(page("source-rotate", "push")).status_code == 403
    assert operator.post(page("source-rotate", "push"), {"hours": "0"}).status_code == 403


def test_a_source_that_is_read_has_no_token(admin_client):
    assert admin_client.get(page("source-rotate", "nobody")).status_code == 404
