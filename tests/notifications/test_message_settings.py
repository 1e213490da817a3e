"""What an installation and a check set for messages to people: what is accepted, which value holds, what people read."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from cii_project.audit.models import AuditEntry
from cii_project.configuration import ConfigurationErrors, apply_config
from cii_project.configuration.reading import parse_document
from integrations.models import Integration
from integrations.services import save_integration
from notifications import services, validators
from notifications.models import CheckMessageSettings, Configuration, Event
from notifications.planning import loading
from notifications.rendering.render import render
from notifications.rendering.templates import DEFAULTS
from notifications.sample_batches import sample_batch

pytestmark = pytest.mark.django_db
PAGE = "https://intranet.example.com/mfa?from=mail&x=1#start"
INSTALLATION = {
    "tenant_name": "Acme",
    "instructions_url": PAGE,
    "contact": "the IT help desk, phone 4357",
    "due_days": 10,
    "signature": "Your IT team",
}


@pytest.fixture(autouse=True)
def today(monkeypatch):
    monkeypatch.setattr(timezone, "now", lambda: datetime(2026, 11, 28, 23, 30, tzinfo=UTC))


def message(check, audience="user"):
    return services.preview_message(check, DEFAULTS[audience], audience=audience).text


def mail(check, **document):
    """The mail about a sample user, by a target with this document."""
    target = {"host": "127.0.0.1", "security": "none", "sender": "checks@example.com"} | document
    name = f"Mail {Integration.objects.count()}"
    integration = save_integration(name=name, kind="email", document=target).integration
    event = Event(origin=Event.Origin.RUN, check_ref=check, created_at=timezone.now())
    batch, _ = sample_batch(loading.event_context(event, check), check, "user")
    body = render(loading.destination(integration, "user", check), batch).rendered.body
    return message_from_bytes(body, policy=policy.default)


# --- What people read -------------------------------------------------------------------------------
def test_an_employee_reads_the_instructions_the_date_the_contact_and_the_signature(no_mfa):
    services.update_configuration(INSTALLATION)
    assert message(no_mfa).endswith(
        f"How to do it: {PAGE}\n\n"
        "Please do this by Tuesday, 8 December 2026. If you have questions, ask the IT help desk, phone 4357.\n\n"
        "Your IT team"
    )


def test_a_manager_reads_the_instructions_the_contact_and_the_signature(no_mfa):
    services.update_configuration(INSTALLATION)
    assert message(no_mfa, "manager").endswith(
        f"How to do it: {PAGE}\n\nIf you have questions, ask the IT help desk, phone 4357.\n\nYour IT team"
    )


def test_the_date_is_one_of_the_installations_zone(no_mfa):
    services.update_configuration({"due_days": 1, "run_zone": "Asia/Tokyo"})
    assert "Please do this by Monday, 30 November 2026." in message(no_mfa)


def test_a_check_has_its_own_settings_before_those_of_the_installation(no_mfa):
    services.update_configuration(INSTALLATION)
    own = {"instructions_url": "https://id.example.com/enrol", "due_days": 1, "contact": "the MFA team"}
    assert services.change_message_settings(no_mfa, own)
    text = message(no_mfa)
    assert "How to do it: https://id.example.com/enrol\n" in text
    assert "by Sunday, 29 November 2026. If you have questions, ask the MFA team." in text
    assert text.endswith("\nYour IT team")


def test_without_settings_the_check_says_who_to_ask_and_by_when(no_mfa):
    text = message(no_mfa)
    assert "How to do it" not in text
    assert text.endswith("by Saturday, 5 December 2026. If you have questions, ask your IT help desk.")


def test_a_mail_comes_from_the_checks_sender_else_from_the_targets(no_mfa):
    found = mail(no_mfa, sender_name="Identity checks", reply_to="soc@example.com")
    assert (found["From"], found["Reply-To"]) == ("Identity checks <checks@example.com>", "soc@example.com")
    own = {"sender": "mfa@example.com", "sender_name": "The MFA team", "reply_to": "help@example.com"}
    services.change_message_settings(no_mfa, own)
    found = mail(no_mfa, sender_name="Identity checks", reply_to="soc@example.com")
    assert (found["From"], found["Reply-To"]) == ("The MFA team <mfa@example.com>", "help@example.com")


def test_the_subject_of_a_mail_to_an_employee_is_in_plain_words(no_mfa):
    assert mail(no_mfa)["Subject"] == "Your account: no second sign-in step"


def test_a_stored_value_that_would_break_a_header_breaks_none(no_mfa):
    CheckMessageSettings.objects.create(
        check_ref=no_mfa,
        sender="a@example.com\r\nBcc: v@example.com",
        sender_name="MFA\r\nBcc: v@example.com",
        reply_to="b@example.com\r\nBcc: v@example.com",
    )
    found = mail(no_mfa)
    assert (found["Bcc"], found["Reply-To"]) == (None, None)
    assert [address.addr_spec for address in found["From"].addresses] == ["checks@example.com"]


# --- Changing them ----------------------------------------------------------------------------------
def test_an_empty_value_returns_to_the_installation_and_the_trail_has_both(no_mfa):
    assert services.change_message_settings(no_mfa, {"contact": "the MFA team", "due_days": 3})
    entry = AuditEntry.objects.latest("id")
    assert entry.text == "Changed contact, due days of its messages."
    assert (entry.before, entry.after) == (
        {"contact": "", "due_days": None},
        {"contact": "the MFA team", "due_days": 3},
    )
    assert not services.change_message_settings(no_mfa, {"contact": "the MFA team"})
    assert services.change_message_settings(no_mfa, {"contact": "", "due_days": None})
    assert not CheckMessageSettings.objects.exists()


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("http://example.com/", "instructions_url"),
        ("javascript:alert(1)", "instructions_url"),
        ("https://user:secret@example.com/", "instructions_url"),
        ('https://example.com/"onclick=x', "instructions_url"),
        ("https://example.com/a b", "instructions_url"),
        ("two\nlines", "contact"),
        ("x" * 201, "contact"),
        (0, "due_days"),
        (366, "due_days"),
        ("soon", "due_days"),
        (True, "due_days"),
        ("1\n2\n3\n4\n5\n6\n7", "signature"),
        ("a\x00b", "signature"),
        ("x" * 501, "signature"),
        ("ann@example.com\r\nBcc: v@example.com", "sender"),
        ("Ann <ann@example.com>", "sender"),
        ("a@example.com, b@example.com", "reply_to"),
        ("Ann\r\nBcc: v@example.com", "sender_name"),
        (["a"], "contact"),
        ("x", "color"),
    ],
)
def test_what_is_not_accepted_names_its_setting_and_changes_nothing(no_mfa, value, name):
    with pytest.raises(ValidationError) as caught:
        services.change_message_settings(no_mfa, {"contact": "the MFA team", name: value})
    assert list(caught.value.message_dict) == [name]
    assert not CheckMessageSettings.objects.exists()


@pytest.mark.parametrize(
    ("colour", "accepted"),
    [("#000000", True), ("#0b5cad", True), ("#767676", True), ("#777777", False), ("#ffffff", False),
     ("#0B5CAD", True), ("#fff", False), ("red", False), ("#0b5cad;x:y", False)],
)  # fmt: skip
def test_a_colour_has_to_bear_white_text(colour, accepted):
    try:
        validators.validate_accent(colour)
    except ValidationError:
        assert not accepted
    else:
        assert accepted


def test_contrast_is_that_of_wcag():
    assert validators.contrast_to_white("#000000") == pytest.approx(21)
    assert validators.contrast_to_white("#ffffff") == pytest.approx(1)
    assert validators.contrast_to_white("#767676") == pytest.approx(4.54, abs=0.01)


def test_a_file_sets_them_for_the_installation_and_for_a_check(no_mfa):
    document = {
        "installation": {"contact": "the help desk", "due_days": 10, "accent_colour": "#7a1fa2"},
        "checks": {"no-mfa": {"message_settings": {"contact": "the MFA team", "sender": "mfa@example.com"}}},
    }
    assert apply_config(document, {}).changes == [
        "installation.contact: the help desk",
        "installation.due_days: 10",
        "installation.accent_colour: #7a1fa2",
        "check no-mfa: message settings contact, sender",
    ]
    assert apply_config(document, {}).changes == []
    assert Configuration.load().accent_colour == "#7a1fa2"
    assert CheckMessageSettings.objects.get().sender == "mfa@example.com"


def test_the_example_of_the_documentation_is_accepted(no_mfa):
    page = (settings.BASE_DIR / "docs" / "messages.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert apply_config(parse_document(example, as_json=False), {}).changes
    assert Configuration.load().signature == "Your IT team\nAcme\n"
    own = CheckMessageSettings.objects.values_list("check_ref__slug", flat=True)
    assert set(own) == {"no-mfa", "leaked-credentials"}


def test_a_mistake_in_the_file_stands_at_its_key(no_mfa):
    document = {
        "installation": {"logo_url": "http://example.com/logo.png", "accent_colour": "#ffd700"},
        "checks": {"no-mfa": {"message_settings": {"sender": "nobody", "colour": "red"}}},
    }
    with pytest.raises(ConfigurationErrors) as caught:
        apply_config(document, {})
    assert set(caught.value.errors) == {
        "installation.logo_url",
        "installation.accent_colour",
        "checks.no-mfa.message_settings.colour",
    }
