"""In which language people read: their own where a source gives it, else the installation's; and whether it is complete."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from email import message_from_bytes, policy

import pytest

from checks.catalogue import CATALOGUE
from checks.models import Check
from checks.services import audience_texts, sync_catalogue
from cii_project.configuration import ConfigurationErrors, apply_config
from integrations.services import LANGUAGES, language_of, save_integration, translator_for
from integrations.translation import FOLDER
from notifications import services
from notifications.models import Delivery, Event
from notifications.planning import loading
from notifications.rendering.batch import ConnectivityTest, DirectMessage, ListBatch, ResolvedMessage
from notifications.rendering.payloads import BatchPosition, Item, Recipient
from notifications.rendering.render import render
from notifications.rendering.schema import validator
from tests import translations

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 28, 9, tzinfo=UTC)
CATALOGUES = [language for language in LANGUAGES if language != "en"]
GERMAN = translations.read("de", FOLDER / "de.po")
_PLACEHOLDER = re.compile(r"\{\{?\w+\}?\}")


# --- The catalogues -----------------------------------------------------------------------------------
@pytest.mark.parametrize("language", CATALOGUES)
def test_a_catalogue_is_in_step_with_the_sources_and_complete(language):
    path = FOLDER / f"{language}.po"
    stored, now = translations.read(language, path), translations.updated(language, path)
    assert {message.id for message in stored} == {message.id for message in now}, (
        "Run python -m tests.update, then translate what it adds."
    )
    missing = {message.id for message in stored if not all(_strings(message))}
    # A check is translated whole, or not at all.
    english = translations.untranslated_checks(stored)
    assert missing <= {text for slug in english for text in translations.texts_of_check(slug)}


@pytest.mark.parametrize("language", CATALOGUES)
def test_a_translation_has_the_placeholders_and_the_end_of_its_text(language):
    for message in translations.read(language, FOLDER / f"{language}.po"):
        if not message.id:
            continue
        english = message.id if isinstance(message.id, str) else message.id[1]
        for string in _strings(message):
            assert sorted(_PLACEHOLDER.findall(string)) == sorted(_PLACEHOLDER.findall(english)), string
            assert string.endswith(".") == english.endswith("."), string
            assert string == string.strip()


def test_german_is_polite():
    for message in translations.read("de", FOLDER / "de.po"):
        for string in _strings(message):
            assert not re.search(r"\b([Dd]u|[Dd]ein\w*|[Dd]ir|[Dd]ich|[Ee]uch|[Ee]uer)\b", string), string


def _strings(message):
    return [message.string] if isinstance(message.string, str) else list(message.string)


# --- Which language -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("locale", "default", "tag"),
    [
        ("de", "en", "de"), ("de-AT", "en", "de-AT"), ("de_CH", "en", "de-CH"), ("DE", "en", "DE"), ("en-US", "de", "en-US"),
        ("fr-FR", "de", "de"), ("", "de", "de"), ("german", "en", "en"), ("-", "en", "en"), ("x" * 35, "en", "en"),
    ],
)  # fmt: skip
def test_a_reader_gets_the_own_language_or_that_of_the_installation(locale, default, tag):
    assert language_of(locale, default) == tag


def test_dates_and_numbers_follow_the_readers_region():
    day = date(2026, 1, 7)
    assert translator_for("de").full_date(day) == "Mittwoch, 7. Januar 2026"
    assert translator_for("de-AT").long_date(day) == "7. Jänner 2026"
    assert translator_for("en").long_date(day) == "7 January 2026"
    assert translator_for("en-US").long_date(day) == "January 7, 2026"
    assert translator_for("de-Nonsense-x-y").long_date(day) == "7. Januar 2026"
    assert (translator_for("de").number(12345), translator_for("en").number(12345)) == ("12.345", "12,345")
    assert (
        translator_for("de").plural("{date}, {count} day ago", "{date}, {count} days ago", 1, date="X")
        == "X, vor 1 Tag"
    )


# --- What is read -------------------------------------------------------------------------------------
@pytest.fixture
def check_of(db):
    sync_catalogue()
    return lambda slug: Check.objects.get(slug=slug)


@pytest.mark.parametrize("slug", sorted(CATALOGUE.keys() - translations.untranslated_checks(GERMAN)))
def test_users_and_managers_of_every_check_read_german_with_the_settings(check_of, slug):
    check = check_of(slug)
    english, german = audience_texts(check), audience_texts(check, translator_for("de"))
    for audience in ("user", "manager"):
        one, other = english[audience], german[audience]
        pairs = [(one.subject, other.subject), (one.found, other.found), (one.contact, other.contact)]
        pairs += zip(one.actions, other.actions, strict=True)
        pairs += [(one.why, other.why)] if audience == "user" else []
        assert all(text and text != translated for text, translated in pairs)
        assert all("{" not in translated for _, translated in pairs)
        assert re.findall(r"\d+", one.found) == re.findall(r"\d+", other.found)


MAIL = {
    "host": "127.0.0.1",
    "security": "none",
    "sender": "checks@example.com",
    "to": ["soc@example.com"],
}


def mail_of(check, batch, audience="user"):
    integration = save_integration(name="Mail", kind="email", document=MAIL).integration
    body = render(loading.destination(integration, audience, check), batch).rendered.body
    return message_from_bytes(body, policy=policy.default)


def text_of(mail):
    return mail.get_body(("plain",)).get_content().replace("\r\n", "\n")


def context_of(check):
    return loading.event_context(
        Event(origin=Event.Origin.RUN, check_ref=check, created_at=NOW), check
    ).content


def direct(check, locale, kind="user"):
    recipient = Recipient(kind, "kim", "kim@example.com", "Kim Doe", locale)
    user = Item.of({"login": "kim@example.com", "details": []})
    return DirectMessage(Event().id, context_of(check), user, "Kim Doe", "UNKNOWN", recipient)


def test_an_employee_reads_a_mail_in_german(check_of):
    services.update_configuration(
        {"instructions_url": "https://intranet.example.com/mfa", "tenant_name": "Acme"}
    )
    check = check_of("no-mfa")
    mail = mail_of(check, direct(check, "de-DE"))
    assert (mail["Subject"], mail["Content-Language"]) == ("Ihr Konto: kein zweiter Anmeldeschritt", "de-DE")
    assert text_of(mail) == (
        "Ihr Konto: kein zweiter Anmeldeschritt\n\n"
        "Guten Tag, Kim Doe!\n\n"
        "Ihr Konto hat keinen zweiten Anmeldeschritt, zum Beispiel eine App oder einen Sicherheitsschlüssel.\n"
        "Konto: kim@example.com\n\n"
        "Warum das wichtig ist: Ein Passwort kann erraten oder gestohlen werden. Mit einem zweiten Schritt reicht Ihr "
        "Passwort allein nicht aus.\n\n"
        "Was zu tun ist:\n"
        "- Richten Sie einen zweiten Schritt ein: einen Sicherheitsschlüssel oder Passkey, falls vorhanden, sonst eine "
        "Authenticator-App.\n"
        "- Melden Sie sich ab und wieder an, um zu sehen, dass es klappt.\n"
        "- Wenn Sie das Konto nicht mehr verwenden, sagen Sie es uns, und wir schließen es.\n\n"
        "So geht es: https://intranet.example.com/mfa\n\n"
        "Bitte erledigen Sie das bis Samstag, 5. Dezember 2026. Bei Fragen hilft Ihnen Ihr IT-Helpdesk.\n\n"
        "—\n"
        "Acme. Sie erhalten diese Nachricht, weil eine automatische Prüfung etwas an Ihrem Konto gefunden hat.\n"
    )
    html = mail.get_body(("html",)).get_content()
    assert '<html lang="de-DE">' in html
    assert ">So geht es</a>" in html


def test_a_manager_reads_the_own_language_whatever_the_users(check_of):
    check = check_of("no-mfa")
    text = text_of(mail_of(check, direct(check, "de", "manager"), "manager"))
    assert (
        "Es geht um Kim Doe aus Ihrem Team (Konto kim@example.com). Dieses Konto hat keinen zweiten" in text
    )


def test_without_a_known_language_the_installations_holds(check_of):
    check = check_of("no-mfa")
    services.update_configuration({"language": "de"})
    assert text_of(mail_of(check, direct(check, "fr"))).startswith("Ihr Konto: kein zweiter")


def test_a_list_has_the_frame_and_the_dates_of_the_installations_language(check_of):
    services.update_configuration({"language": "de"})
    check = check_of("no-mfa")
    detail = {"key": "lastSignIn", "value": json.dumps("2026-08-06T00:00:00Z")}
    users = [Item.of({"login": "kim@example.com", "details": [detail]}, "Kim Doe")]
    mail = mail_of(check, ListBatch(Event().id, context_of(check), users, BatchPosition(1, 1, 1)), "list")
    assert mail["Subject"] == "[kritisch] 1 Benutzer neu betroffen: Kein zweiter Faktor"
    assert "- Kim Doe (kim@example.com) — Letzte Anmeldung: 6. August 2026, vor 114 Tagen\n" in text_of(mail)


# Sentences and titles of the sources; words such as “Status” are the same in both languages.
ENGLISH_TEXTS = [text for _, text in translations.texts() if isinstance(text, str) and len(text.split()) > 2]


@pytest.fixture
def german(check_of):
    services.update_configuration({"language": "de", "base_url": "https://checks.example.com"})


def said_by(integration, check, audience, batch, template=None):
    """The message as its receiver decodes it: of a mail both parts, else JSON."""
    to = loading.destination(integration, audience, check, template_text=template)
    body = render(to, batch).rendered.body
    if integration.kind != "email":
        return json.dumps(json.loads(body), ensure_ascii=False)
    mail = message_from_bytes(body, policy=policy.default)
    texts = [mail.get_body((name,)).get_content() for name in ("plain", "html")]
    return "\n".join([mail["Subject"], *texts])


def german_batches(check):
    """What can be said about a check, with its audience."""
    details = [
        {"key": key, "value": json.dumps(value)}
        for key, value in {"lastSignIn": "2026-08-06T00:00:00Z", "sourcesWithoutMfa": ["okta"]}.items()
    ]
    users = [
        Item.of({"login": f"kim{number}@example.com", "details": details}, f"Kim {number}", number)
        for number in range(1, 31)
    ]
    yield "list", ListBatch(Event().id, context_of(check), users, BatchPosition(1, 1, 30))
    event = Event(origin=Event.Origin.RESOLVED, check_ref=check, created_at=NOW)
    resolved = replace(loading.event_context(event, check).content, still_failing=2)
    left = [Item.resolved(f"{reason}@example.com", reason) for reason in ("cured", "unknown", "out_of_scope")]
    yield "list", ListBatch(Event().id, resolved, left, BatchPosition(1, 1, 3))
    for kind in ("user", "manager"):
        yield kind, direct(check, "", kind)
        yield (
            kind,
            ResolvedMessage(Event().id, resolved, left[0], Recipient(kind, "kim", "k@example.com", "Kim")),
        )


@pytest.mark.parametrize("kind", ["email", "slack"])
def test_a_german_installation_says_no_english_sentence(german, kind):
    document = {"email": MAIL, "slack": {"mode": "bot", "token": "xoxb-12345", "channel": "#identity"}}[kind]
    integration = save_integration(name="German", kind=kind, document=document).integration
    for check in Check.objects.all():
        for audience, batch in german_batches(check):
            said = said_by(integration, check, audience, batch)
            assert CATALOGUE[check.slug].title not in said
            assert [text for text in ENGLISH_TEXTS if text in said] == [], check.slug


def test_a_customised_message_prints_the_check_in_the_readers_language(check_of):
    check = check_of("stuck-state")
    template = "{{ check.title }}: {{ check.description[0] }} {{ check.recommended_actions[1] }}"
    integration = save_integration(name="German", kind="email", document=MAIL).integration
    said = said_by(integration, check, "user", direct(check, "de-AT"), template)
    assert "In einem Zwischenzustand hängen geblieben: Diese Benutzer haben seit mehr als 14 Tagen" in said
    assert "Deaktivieren Sie das Konto, wenn niemand darauf wartet." in said
    english = said_by(integration, check, "user", direct(check, "en"), template)
    assert "Stuck in a Temporary State: These users have had an account for more than 14 days" in english


def test_a_list_says_why_a_finding_ended(check_of):
    check = check_of("no-mfa")
    text = text_of(mail_of(check, list(german_batches(check))[1][1], "list"))
    assert "3 users no longer failing, 2 still do: No MFA Configured" in text
    assert "- cured@example.com\n" in text
    assert "- out_of_scope@example.com — Reason: no longer checked\n" in text
    assert "- unknown@example.com — Reason: no longer known\n" in text


def test_test_connectivity_is_in_the_installations_language(german):
    integration = save_integration(name="German", kind="email", document=MAIL).integration
    event = Event(origin=Event.Origin.CONNECTIVITY, created_at=NOW)
    batch = ConnectivityTest(Event().id, loading.connectivity_event(event))
    said = said_by(integration, None, "list", batch)
    assert "Test der Verbindung" in said
    assert [text for text in ENGLISH_TEXTS if text in said] == []


def test_a_webhooks_event_has_only_its_message_in_the_recipients_language(
    world, subscribe, webhook, failing_user
):
    subscribe(webhook(), slugs=["no-mfa"])
    people = [failing_user("kim@example.com", locale="de-DE"), failing_user("lee@example.com")]
    world.run(NOW, [("no-mfa", person) for person in people])
    german, english = sorted(
        (json.loads(bytes(delivery.body))["detail"] for delivery in Delivery.objects.all()),
        key=lambda detail: detail["login"],
    )
    for delivery in Delivery.objects.all():
        validator("DIRECT_MESSAGE").validate(json.loads(bytes(delivery.body)))
    assert german.pop("message").startswith("Guten Tag, Kim!\n\nIhr Konto hat keinen zweiten Anmeldeschritt")
    assert english.pop("message").startswith("Hello Lee,\n\nYour account has no second sign-in step")
    for key in ("title", "severity", "description", "recommendedActions", "checkTags"):
        assert german[key] == english[key]


def test_several_checks_are_one_message_in_the_recipients_language(world, subscribe, failing_user):
    document = {"host": "127.0.0.1", "security": "none", "sender": "checks@example.com"}
    mail = save_integration(name="People", kind="email", document=document).integration
    subscribe(mail, slugs=["no-mfa", "password-age"])
    kim = failing_user("kim@example.com", locale="de")
    world.run(NOW, [("no-mfa", kim), ("password-age", kim)])
    found = message_from_bytes(bytes(Delivery.objects.get().body), policy=policy.default)
    assert found["Subject"] == "Ihr Konto: 2 Punkte, die Sie ansehen sollten"
    text = text_of(found)
    for part in (
        "Bitte sehen Sie sich Folgendes zu Ihrem Konto kim@example.com an:",
        "Ihr Konto hat keinen zweiten Anmeldeschritt",
        "Das Passwort Ihres Kontos ist mehr als 365 Tage alt.",
        "Bei Fragen hilft Ihnen Ihr IT-Helpdesk.",
    ):
        assert part in text


def test_a_file_sets_the_language_among_those_that_exist():
    apply_config({"installation": {"language": "de"}}, {})
    with pytest.raises(ConfigurationErrors, match=r"Unknown language “fr”\. Use one of en, de\."):
        apply_config({"installation": {"language": "fr"}}, {})
