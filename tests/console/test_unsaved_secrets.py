"""A form with an error on one field: its secrets stay on the server for the next attempt and never come back to the browser."""

import re

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cii_project.console.core import unsaved_secrets
from integrations.auth.sealing import unseal
from integrations.models import Integration, SourceConnection
from tests.console.checks_world import client_of, text
from tests.console.test_integrations import ADD, BASIC, OAUTH, row

pytestmark = pytest.mark.django_db
KEY = (
    rsa.generate_private_key(65537, 2048)
    .private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    .decode()
)
ADD_OKTA = "/integrations/add-source/okta/"
OKTA = {
    "name": "Okta", "slug": "okta", "kind": "identity", "url": "https://example.okta.com/admin",
    "authorization": "service_app", "client_id": "0oa1gjh63g214q0Hq0g4", "private_key": KEY,
    "period_hours": "24", "rate_share": "50",
}  # fmt: skip


def token_in(page: str) -> str:
    found = re.search(r'name="unsaved" value="([^"]+)"', page)
    return found[1] if found else ""


def stored(client) -> str:
    return str(dict(client.session.items()))


def test_a_password_survives_an_error_on_another_field_sealed_and_out_of_the_page():
    client = client_of("Engineer")
    page = text(client.post(ADD, {**BASIC, "url": "ftp://nowhere"}))
    assert "s3cret-pass" not in page
    assert unsaved_secrets.KEPT in page
    assert "s3cret-pass" not in stored(client)
    data = {**BASIC, "password": "", "unsaved": token_in(page)}
    assert client.post(ADD, data).status_code == 302
    assert unseal(Integration.objects.get().sealed)["authorization"] == {"password": "s3cret-pass"}
    assert client.session.get(unsaved_secrets.SESSION_KEY) == {}


def test_the_secrets_of_rows_survive_by_their_place_and_name():
    client = client_of("Engineer")
    rows = {
        **row("call", 0, "query", "", ""),
        **row("call", 3, "header", "X-Key", "s3cret-row", secret=True),
        **row("token", 0, "body", "key", "s3cret-token", secret=True),
    }
    page = text(client.post(ADD, {**OAUTH, "name": "", **rows}))
    assert not re.search("s3cret-(row|token|client)", page)
    # The empty row is gone, so the other has another number now.
    assert 'name="call-name-0" value="X-Key"' in page
    again = {
        **row("call", 0, "header", "X-Key", "", secret=True),
        **row("token", 0, "body", "key", "", secret=True),
    }
    assert (
        client.post(ADD, {**OAUTH, "client_secret": "", **again, "unsaved": token_in(page)}).status_code
        == 302
    )
    secrets = unseal(Integration.objects.get().sealed)
    assert secrets["parameters"] == {"header": {"X-Key": "s3cret-row"}}
    assert secrets["authorization"]["client_secret"] == "s3cret-client"
    assert secrets["authorization"]["parameters"] == {"body": {"key": "s3cret-token"}}


def test_a_new_secret_replaces_the_kept_one_and_a_wrong_one_is_not_kept():
    client = client_of("Engineer")
    page = text(client.post(ADD, {**BASIC, "name": "", "password": "a\x7f", "signing_secret": ""}))
    assert not token_in(page)
    page = text(client.post(ADD, {**BASIC, "name": ""}))
    client.post(ADD, {**BASIC, "password": "another-one", "unsaved": token_in(page)})
    assert unseal(Integration.objects.get().sealed)["authorization"] == {"password": "another-one"}


def test_another_session_an_unknown_entry_and_an_old_one_give_nothing(monkeypatch):
    first, second = client_of("Engineer"), client_of("Administrator")
    token = token_in(text(first.post(ADD, {**BASIC, "name": ""})))
    for client, given in ((second, token), (first, "unknown")):
        answer = client.post(ADD, {**BASIC, "password": "", "unsaved": given})
        assert answer.status_code == 200
    monkeypatch.setattr(unsaved_secrets, "LIFETIME", -1)
    assert first.post(ADD, {**BASIC, "password": "", "unsaved": token}).status_code == 200
    assert not Integration.objects.exists()


def test_two_tabs_keep_their_own_and_a_session_keeps_few():
    client = client_of("Engineer")
    tokens = [
        token_in(text(client.post(ADD, {**BASIC, "name": "", "password": f"password-{number}"})))
        for number in range(unsaved_secrets.MAX_ENTRIES + 1)
    ]
    assert set(client.session[unsaved_secrets.SESSION_KEY]) == set(tokens[1:])
    client.post(ADD, {**BASIC, "password": "", "unsaved": tokens[2]})
    assert unseal(Integration.objects.get().sealed)["authorization"] == {"password": "password-2"}


def test_the_form_of_a_kind_with_declared_fields_keeps_its_token():
    client = client_of("Engineer")
    data = {"name": "", "mode": "bot", "token": "xoxb-s3cret", "channel": "#identity"}
    page = text(client.post("/integrations/add/slack/", data))
    assert "xoxb-s3cret" not in page
    again = {**data, "name": "chat", "token": "", "unsaved": token_in(page)}
    assert client.post("/integrations/add/slack/", again).status_code == 302
    assert unseal(Integration.objects.get().sealed) == {"token": "xoxb-s3cret"}


def test_a_private_key_does_not_come_back_in_its_text_area():
    client = client_of("Engineer")
    page = text(client.post(ADD_OKTA, OKTA))
    assert "PRIVATE KEY-----\n" not in page
    again = {**OKTA, "url": "https://example.okta.com", "private_key": "", "unsaved": token_in(page)}
    assert client.post(ADD_OKTA, again).status_code == 302
    assert unseal(SourceConnection.objects.get().sealed) == {"private_key": KEY.strip()}
    page = text(client.post(ADD, {**BASIC, "name": "", "client_key": KEY}))
    assert "PRIVATE KEY-----\n" not in page


@pytest.mark.parametrize(
    ("path", "required", "optional"),
    [
        (
            "/integrations/add/webhook/",
            ("name", "url", "password", "client_secret"),
            ("description", "template"),
        ),
        ("/integrations/add/slack/", ("name", "token", "url"), ("owner_email", "channel")),
        ("/integrations/add-source/okta/", ("name", "url", "private_key", "client_id"), ("key_id",)),
    ],
)
def test_required_fields_are_marked(path, required, optional):
    page = text(client_of("Engineer").get(path))
    inputs = {
        match[1]: match[0] for match in re.finditer(r'<(?:input|textarea)[^>]*name="([^"]+)"[^>]*>', page)
    }
    assert {name for name in required if "required" not in inputs[name]} == set()
    assert {name for name in optional if " required" in inputs[name]} == set()


def test_a_stored_secret_is_not_required_again():
    client = client_of("Engineer")
    client.post(ADD, BASIC)
    page = text(client.get(f"/integrations/{Integration.objects.get().pk}/edit/"))
    password = re.search(r'<input[^>]*name="password"[^>]*>', page)
    assert password
    assert " required" not in password[0]


def test_save_and_test_tests_once_on_the_page_of_the_target():
    client = client_of("Engineer")
    page = text(client.post(ADD, {**BASIC, "test": "1"}, follow=True))
    made = Integration.objects.get()
    asks = f'hx-post="/integrations/{made.pk}/test/" hx-trigger="load"'
    assert asks in page
    assert asks not in text(client.get(f"/integrations/{made.pk}/"))
