"""Why a user fails, in the reader's words: labels, dates with their age, names of sources and factors. Pure.

The contract's ``details`` stay as they are; this is what people read of them in mails, chats and tickets.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from integrations.json_types import Json, JsonMapping
from integrations.translation import Translator

# Key of the contract → label. Another key is split into its words.
LABELS: Mapping[str, str] = {
    "adminRoles": "Administrator roles",
    "applications": "Unused applications",
    "authenticators": "Shared devices",
    "country": "Country",
    "createdAt": "Created",
    "department": "Department",
    "employeeId": "Employee number",
    "factors": "Second steps",
    "failedSignIns": "Failed sign-ins",
    "forwardedTo": "Forwarded to",
    "hrStatus": "Status in HR",
    "ipAddress": "IP address",
    "lastSignIn": "Last sign-in",
    "manager": "Manager",
    "managerState": "State of the manager",
    "passwordAgeDays": "Age of the password in days",
    "passwordChangedAt": "Password changed",
    "reportedBy": "Reported by",
    "resolution": "Reason",
    "sourcesStillActive": "Still open at",
    "sourcesWithBypass": "Second step off at",
    "sourcesWithExemption": "Password does not expire at",
    "sourcesWithOldPassword": "Old password at",
    "sourcesWithWeakMfa": "Weak second step at",
    "sourcesWithoutMfa": "No second step at",
    "sourcesWithoutResistantMfa": "No step that resists fake pages at",
    "sourcesWithoutType": "No user type at",
    "statusChangedAt": "In this state since",
    "statuses": "Status",
    "terminatedAt": "Left",
    "title": "Job title",
    "userType": "User type",
    "userTypes": "User types",
    "usersSharing": "Users who share it",
}
# The keys whose value names sources.
_SOURCES = frozenset(key for key in LABELS if key.startswith("sources")) | {"reportedBy"}
# The name of a source that was added without one is its slug; the usual ones have a name that people know.
SOURCE_NAMES: Mapping[str, str] = {
    "ad": "Active Directory",
    "active-directory": "Active Directory",
    "aws": "AWS",
    "azure-ad": "Microsoft Entra ID",
    "bamboohr": "BambooHR",
    "duo": "Duo",
    "entra": "Microsoft Entra ID",
    "entra-id": "Microsoft Entra ID",
    "github": "GitHub",
    "google": "Google Workspace",
    "google-workspace": "Google Workspace",
    "hr": "HR",
    "jumpcloud": "JumpCloud",
    "okta": "Okta",
    "onelogin": "OneLogin",
    "personio": "Personio",
    "ping": "Ping Identity",
    "salesforce": "Salesforce",
    "workday": "Workday",
}
# The factors of checks/importing/spellings.py; another one is shown as it is stored.
FACTORS: Mapping[str, str] = {
    "certificate": "certificate",
    "desktop_token": "code on the computer",
    "email": "e-mail",
    "external": "second step of another system",
    "fastpass": "Okta FastPass",
    "fido2": "security key",
    "hardware_otp": "code token",
    "hardware_otp_pin": "code token with PIN",
    "passkey": "passkey",
    "password": "password",
    "phone": "phone",
    "platform_credential": "sign-in of the device",
    "push": "app with approval",
    "qr_code": "QR code",
    "security_question": "security question",
    "single_factor_certificate": "certificate alone",
    "sms": "text message",
    "software_oath": "authenticator app",
    "totp": "authenticator app",
    "voice": "phone call",
    "webauthn": "security key or passkey",
    "windows_hello": "Windows Hello",
}
_TIME = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d.*)?")
# Items of a list that are named; the others are counted.
MOST_ITEMS = 10
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Reader:
    """The reader of the values: the language, the zone of dates, and the time of the message."""

    translate: Translator
    zone: str
    now: datetime | None


def label_of(key: str, translate: Translator) -> str:
    """``lastSignIn`` → “Last sign-in”."""
    if key in LABELS:
        return translate(LABELS[key])
    split = _WORDS.sub(" ", key).lower()
    return split[:1].upper() + split[1:]


def value_of(key: str, text: Json, reader: Reader) -> str:
    """A ``value`` of the contract (JSON text) in words; empty where there is nothing to say."""
    try:
        value = json.loads(text)
    except (TypeError, ValueError):
        value = text
    return _in_words(key, value, reader)


def fact_lines(details: JsonMapping, keys: Sequence[str], reader: Reader) -> list[str]:
    """“No second step at: Okta”: those ``details`` (key → value, decoded) that ``keys`` name, in the order of ``keys``."""
    # A line break in a value would look like a line of the message.
    found = ((key, " ".join(_in_words(key, details.get(key), reader).split())) for key in keys)
    return [f"{label_of(key, reader.translate)}: {value}" for key, value in found if value]


def _in_words(key: str, value: Json, reader: Reader) -> str:
    translate = reader.translate
    if value is None or value == [] or value == "":
        return ""
    if isinstance(value, bool):
        return translate("yes") if value else translate("no")
    if isinstance(value, int):
        return translate.number(value)
    if isinstance(value, Mapping):
        return _mapping(key, value, reader)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _listed([found for item in value if (found := _in_words(key, item, reader))], translate)
    return _text_in_words(key, str(value), reader)


def _text_in_words(key: str, text: str, reader: Reader) -> str:
    translate = reader.translate
    if key in _SOURCES:
        return source_name(text)
    if key == "resolution":
        return translate(RESOLUTIONS.get(text, text))
    if key == "country":
        return translate.country(text)
    if key == "factors":
        return translate(FACTORS[text]) if text in FACTORS else text.replace("_", " ")
    if _TIME.fullmatch(text):
        return _time(text, reader)
    return translate(text.replace("_", " ")) if text in VALUES else text


def _listed(items: Sequence[str], translate: Translator) -> str:
    """The items, each once, the first ``MOST_ITEMS`` of them by name."""
    items = list(dict.fromkeys(items))
    named = ", ".join(items[:MOST_ITEMS])
    if len(items) <= MOST_ITEMS:
        return named
    return translate("{names} and {count} more", names=named, count=translate.number(len(items) - MOST_ITEMS))


# Why a finding ended, by the contract's word; the usual reason needs no words.
RESOLUTIONS: Mapping[str, str] = {
    "cured": "",
    "unknown": "no longer known",
    "out_of_scope": "no longer checked",
}
# Values of the contract that are words of ours.
VALUES = frozenset({
    "never", "active", "on_leave", "staged", "provisioned", "recovery", "password_expired", "locked_out", "suspended",
    "disabled", "deprovisioned", "deleted", "transient", "internal", "guest", "external", "service_account",
    "shared_mailbox", "unknown",
})  # fmt: skip


def _mapping(key: str, value: Mapping[str, Json], reader: Reader) -> str:
    """``{"okta": "active"}`` → “Okta: active”; an application or device → its values."""
    if key == "applications":
        name, used = str(value.get("name") or ""), _in_words("lastUsed", value.get("lastUsed"), reader)
        return f"{name} ({used})" if name and used else name
    if key == "authenticators":
        return " ".join(found for name, item in value.items() if (found := _in_words(
            "factors" if name == "kind" else name, item, reader)))  # fmt: skip
    rows = ((source_name(str(name)), _in_words("", item, reader)) for name, item in value.items())
    return ", ".join(f"{name}: {found}" for name, found in rows if found)


def source_name(name: str) -> str:
    """The name of a source for people: “Okta” for ``okta``."""
    return SOURCE_NAMES.get(name.casefold(), name)


def _time(text: str, reader: Reader) -> str:
    """A date with its age, without the time of day."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if "T" not in text:
        moment = moment.replace(tzinfo=ZoneInfo(reader.zone))
    elif moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    zone = ZoneInfo(reader.zone)
    try:
        day = moment.astimezone(zone)
    except (OverflowError, ValueError):
        return text
    if reader.now is None:
        return reader.translate.long_date(day)
    return reader.translate.date_and_age(day, reader.now.astimezone(zone))
