"""Why a user fails, in words: dates with their age, names instead of slugs; and who stands first."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from django.conf import settings

from checks.importing import spellings
from integrations.target_data import MessageFrame
from integrations.targets.shared import formatting, summary
from integrations.translation import translator_for
from tests.integrations.targets import events

NOW = datetime(2026, 11, 25, 23, 30, tzinfo=UTC)


def value(key, given, tag="en", zone="UTC", now=NOW):
    return formatting.value_of(key, json.dumps(given), formatting.Reader(translator_for(tag), zone, now))


@pytest.mark.parametrize(
    ("key", "given", "words"),
    [
        ("lastSignIn", "2026-08-03T10:15:00.000Z", "3 August 2026, 114 days ago"),
        ("lastSignIn", "2026-11-24T23:59:00Z", "24 November 2026, 1 day ago"),
        ("lastSignIn", "2026-11-25T00:00:00Z", "25 November 2026, today"),
        ("lastSignIn", "2027-01-02T00:00:00Z", "2 January 2027"),
        ("lastSignIn", "never", "never"),
        ("terminatedAt", "2026-11-01", "1 November 2026, 24 days ago"),
        ("createdAt", "0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("createdAt", "2026-13-01T00:00:00Z", "2026-13-01T00:00:00Z"),
        ("sourcesWithoutMfa", ["okta", "My source", "workday"], "Okta, My source, Workday"),
        ("factors", ["sms", "totp", "new_kind"], "text message, authenticator app, new kind"),
        ("statuses", {"okta": "on_leave", "hr": "active"}, "Okta: on leave, HR: active"),
        ("userTypes", {"okta": "service_account"}, "Okta: service account"),
        ("applications", [{"name": "Wiki", "lastUsed": "2026-08-03T00:00:00Z"}, {"name": "CRM", "lastUsed": "never"}],
         "Wiki (3 August 2026, 114 days ago), CRM (never)"),
        ("authenticators", [{"kind": "sms", "device": "…1234"}], "text message …1234"),
        ("authenticators", [{"kind": "fido2", "device": "…009c"}] * 2, "security key …009c"),
        ("country", "KP", "North Korea"),
        ("country", "XQ", "XQ"),
        ("adminRoles", [f"Role {number}" for number in range(10)], ", ".join(f"Role {number}" for number in range(10))),
        ("adminRoles", [f"Role {number}" for number in range(1012)],
         ", ".join(f"Role {number}" for number in range(10)) + " and 1,002 more"),
        ("usersSharing", 12345, "12,345"),
        ("isAdmin", True, "yes"),
        ("department", "2026", "2026"),
        ("factors", [], ""),
        ("manager", None, ""),
    ],
)  # fmt: skip
def test_a_value_reads_like_words(key, given, words):
    assert value(key, given) == words


def test_a_day_is_that_of_the_installations_zone():
    assert value("lastSignIn", "2026-08-03T20:00:00Z", zone="Asia/Tokyo") == "4 August 2026, 114 days ago"


def test_a_country_is_named_in_the_readers_language():
    assert value("country", "KP", "de-AT") == "Nordkorea"


def test_dates_are_written_as_in_the_readers_region():
    assert value("lastSignIn", "2026-08-03T10:15:00Z", "en-US").startswith("August 3, 2026")
    assert translator_for("xx-nonsense").long_date(NOW) == "25 November 2026"


def test_every_detail_of_the_catalogue_has_a_label():
    keys = set()
    for module in (settings.BASE_DIR / "checks" / "catalogue").glob("*.py"):
        explain = module.read_text(encoding="utf-8").partition("def explain(")[2]
        keys |= set(re.findall(r'"([a-z][A-Za-z]*)":', explain))
    assert len(keys) > 25
    # What stands within a detail needs no label.
    assert keys - {"name", "lastUsed", "kind", "device"} <= set(formatting.LABELS)


def test_every_factor_that_is_stored_has_a_name():
    kinds = set(spellings.FACTOR_KINDS.values()) - {spellings.NO_FACTOR, ""}
    assert kinds <= set(formatting.FACTORS)


def test_another_key_is_split_into_its_words():
    assert formatting.label_of("someNewKey", translator_for("en")) == "Some new key"


def test_users_stand_by_name_with_their_login():
    people = [events.user("z@example.com"), events.user("b@example.com"), events.user("a@example.com")]
    frame = MessageFrame(names=["Ann Lee", "", "a@example.com"])
    said = summary.summarize(events.failed(people), frame, people=2)
    assert [person.who for person in said.people] == ["a@example.com", "Ann Lee (z@example.com)"]
    assert said.more == 1


def test_what_is_not_named_is_a_click_away():
    frame = MessageFrame(users_url="https://identity.example.com/users/?check=no-mfa")
    many = summary.summarize(events.failed(events.users(50)), frame, people=20)
    assert (many.link, many.link_label) == (frame.users_url, "Show all 50 users")
    assert many.and_more == "… and 30 more; the page shows all of them."
    few = summary.summarize(events.failed(events.users(5)), frame, people=20)
    assert (few.link, few.link_label) == (events.LINK, "Open the check")
    assert (
        summary.summarize(events.failed(events.users(50)), replace(frame, users_url="")).link == events.LINK
    )
