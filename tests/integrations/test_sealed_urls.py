"""URLs whose path is a secret: sealed, shown as host and mask, kept while they are left as they are."""

import json

import pytest
import trustme

from cii_project.audit.models import AuditEntry
from integrations import services
from integrations.auth import sealed_urls
from integrations.auth.sealing import seal, unseal
from integrations.models import Integration
from integrations.target_data import InvalidDocument
from integrations.targets import KINDS

SECRET = "hook/s3cret-0123456789?sig=s3cret-signature"
BASIC = {"type": "basic", "username": "cii", "password": "s3cret-pass"}
OAUTH = {
    "type": "oauth", "endpoint": f"https://id.example.com/{SECRET}", "client_id": "abc", "client_secret": "s3cret-client",
}  # fmt: skip
DOCUMENTS = {
    "webhook": {"url": f"https://hooks.example.com:8443/{SECRET}", "authorization": BASIC},
    "webhook with OAuth": {"url": f"https://hooks.example.com:8443/{SECRET}", "authorization": OAUTH},
    "slack": {"mode": "webhook", "url": f"https://hooks.example.com:8443/{SECRET}"},
    "teams": {"url": f"https://hooks.example.com:8443/{SECRET}"},
}
SHOWN = "https://hooks.example.com:8443/…"
every_document = pytest.mark.parametrize("name", DOCUMENTS)


def save(name: str, integration: Integration | None = None, **change) -> Integration:
    kind = name.partition(" ")[0]
    document = services.document_of(integration) if integration else json.loads(json.dumps(DOCUMENTS[name]))
    saved = services.save_integration(
        name="target", kind=kind, document={**document, **change}, integration=integration
    )
    return Integration.objects.get(pk=saved.integration.pk)


def errors_of(*args, **change) -> dict[str, str]:
    with pytest.raises(InvalidDocument) as caught:
        save(*args, **change)
    return caught.value.errors


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://h.example/a?b=c", "https://h.example/…"),
        ("HTTPS://H.example:443/a", "https://h.example/…"),
        ("http://10.0.0.7:8080/a", "http://10.0.0.7:8080/…"),
        ("https://h.example", "https://h.example/"),
        ("https://[2606:4700::1]:8443/?x", "https://[2606:4700::1]:8443/…"),
        ("https://h.example/…", "https://h.example/…"),
        ("no url at all", "•••"),
    ],
)
def test_of_a_url_scheme_host_and_port_are_shown(url, shown):
    assert sealed_urls.masked_url(url) == shown


@pytest.mark.django_db
@every_document
def test_nothing_but_the_sealed_part_holds_the_path(name):
    made = save(name)
    assert made.settings["url"] == SHOWN
    readable = [
        json.dumps(made.settings), repr(KINDS[made.kind].describe(made.settings)), repr(services.document_of(made)),
        repr(services.target_of(made)), made.sealed, *map(str, AuditEntry.objects.values_list("text", "before", "after")),
    ]  # fmt: skip
    assert "s3cret" not in "\n".join(readable)
    assert (("URL", SHOWN) in KINDS[made.kind].describe(made.settings)) == (made.kind == "webhook")
    assert SHOWN in dict(KINDS[made.kind].describe(made.settings)).values()
    target = services.target_of(made)
    assert target.settings["url"] == DOCUMENTS[name]["url"]
    assert "s3cret" not in repr(services.target_without_secrets(made).settings)


@pytest.mark.django_db
@every_document
def test_a_url_that_is_left_as_it_is_shown_is_kept(name):
    made = save(name)
    sealed = made.sealed
    again = save(name, made)
    assert again.sealed == sealed
    assert services.target_of(again).settings == services.target_of(made).settings
    assert not services.save_integration(
        name="target", kind=made.kind, document=services.document_of(made), integration=made
    ).changed


@pytest.mark.django_db
@every_document
@pytest.mark.parametrize(
    "url", ["https://evil.example/…", "http://hooks.example.com:8443/…", "https://hooks.example.com/…"]
)
def test_the_path_does_not_follow_an_edit_of_the_host(name, url):
    made = save(name)
    errors = errors_of(name, made, url=url)
    assert errors["url"].startswith(("Enter it again", "Write the whole URL"))
    assert services.target_of(made).settings["url"] == DOCUMENTS[name]["url"]


@pytest.mark.django_db
def test_a_shown_form_is_no_url_to_begin_with():
    assert "Write the whole URL" in errors_of("teams", url=SHOWN)["url"]
    assert Integration.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["https://other.example/x", "https://hooks.example.com:8443/another"])
def test_another_url_asks_for_the_other_secrets_again(url):
    made = save("webhook")
    assert list(errors_of("webhook", made, url=url)) == ["authorization.password"]
    moved = save("webhook", made, url=url, authorization=BASIC)
    assert services.target_of(moved).settings["url"] == url
    text = AuditEntry.objects.latest("id").text
    assert "path of url" in text


@pytest.mark.django_db
def test_another_authority_asks_for_the_url_again():
    """Whoever issues its certificate could read the path."""
    made = save("webhook")
    authority = trustme.CA().cert_pem.bytes().decode()
    errors = errors_of("webhook", made, tls={"ca": authority})
    assert set(errors) == {"url", "authorization.password"}
    assert all("Enter it again" in text for text in errors.values())
    given = {**DOCUMENTS["webhook"], "tls": {"ca": authority}}
    save("webhook", made, **given)
    entry = AuditEntry.objects.latest("id")
    assert entry.before["tls"] == {}
    assert entry.after["tls"]["ca"].startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.django_db
def test_another_token_endpoint_asks_for_the_client_secret_again():
    made = save("webhook with OAuth")
    shown = services.document_of(made)["authorization"]
    assert shown["endpoint"] == "https://id.example.com/…"
    moved = {**shown, "endpoint": "https://id.example.com/another"}
    assert list(errors_of("webhook with OAuth", made, authorization=moved)) == ["authorization.client_secret"]


@pytest.mark.django_db
def test_a_url_without_a_path_needs_no_seal():
    made = save("teams", url="https://hooks.example.com")
    assert made.settings["url"] == "https://hooks.example.com/"
    assert not services.has_sealed_urls(made)
    assert services.target_of(save("teams", made)).settings["url"] == "https://hooks.example.com"


@pytest.mark.django_db
def test_a_revealed_url_is_on_record():
    made = save("webhook with OAuth")
    assert services.reveal_urls(made) == [
        ("URL", DOCUMENTS["webhook"]["url"]),
        ("Token endpoint", OAUTH["endpoint"]),
    ]
    entry = AuditEntry.objects.latest("id")
    assert (entry.action, entry.text, entry.object_id) == (
        "reveal",
        "Revealed: URL, Token endpoint.",
        str(made.pk),
    )


@pytest.mark.django_db
@every_document
def test_urls_that_an_earlier_version_stored_in_clear_are_sealed_once(name):
    made = save(name)
    secrets = unseal(made.sealed)
    urls = secrets.pop(sealed_urls.KEY)
    Integration.objects.update(
        settings=sealed_urls.with_whole_urls(made.settings, urls), sealed=seal(secrets)
    )
    before = services.target_of(Integration.objects.get())
    assert services.seal_urls() == 1
    assert services.seal_urls() == 0
    after = Integration.objects.get()
    assert "s3cret" not in json.dumps(after.settings)
    assert services.target_of(after) == before
