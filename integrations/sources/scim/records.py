"""A pushed user becomes an account record (docs/importing.md). What was not pushed is left out: it is unknown. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from integrations.json_types import JsonMapping, JsonObject
from integrations.sources.scim.documents import moment_of
from integrations.sources.scim.schemas import CHECKS, CII_AD, ENTERPRISE
from integrations.sources.shared.directory_values import filetime, moment_text, number

# Attribute of the project's extension → field of the record.
EXTENSION_FIELDS = {
    "status": "status",
    "owner": "owner",
    "lastSignInCountry": "last_sign_in_country",
    "lastSignInIp": "last_sign_in_ip",
    "statusChangedAt": "status_changed_at",
    "createdAt": "created_at",
    "passwordChangedAt": "password_changed_at",
    "lastSignInAt": "last_sign_in_at",
    "passwordNeverExpires": "password_never_expires",
    "mfaEnabled": "mfa_enabled",
    "mfaBypass": "mfa_bypass",
    "credentialsExposed": "credentials_exposed",
    "failedSignIns": "failed_sign_ins",
    "mfaFactors": "mfa_factors",
    "adminRoles": "admin_roles",
    "forwarding": "forwarding",
}
CORE_FIELDS = {"externalId": "source_anchor", "title": "title", "userType": "user_type"}
ENTERPRISE_FIELDS = {"employeeNumber": "employee_id", "department": "department"}
# Of the collector's words for its own classes: the flags beside them say the same.
COLLECTOR_TYPES = {
    "admin": "internal",
    "executive": "internal",
    "employee": "internal",
    "service": "service_account",
}
LONGEST_LANGUAGE = 35
DISABLED_BIT, LOCKED_BIT, NEVER_EXPIRES_BIT = 0x2, 0x10, 0x10000


def account_record(
    scim_id: str, document: JsonMapping, *, groups: Sequence[str], manager: str, now: datetime
) -> JsonObject:
    """``groups``: names of the pushed groups that it is a member of; ``manager``: the login of its manager, or what was
    pushed as one, "" where nothing was."""
    record: JsonObject = {
        "source_key": scim_id,
        "login": document.get("userName", ""),
        **_person(document),
        **_work(document.get(ENTERPRISE) or {}),
    }
    if isinstance(document.get("active"), bool):
        record["status"] = "active" if document["active"] else "disabled"
    if manager:
        record["manager"] = manager
    if document.get(CII_AD):
        record |= _collected(document[CII_AD], record, document.get("active"), now)
    record |= _own_fields(document.get(CHECKS) or {}, is_active=document.get("active"))
    if groups:
        # The groups that were pushed, seldom all: none of them is unknown.
        record["groups"] = sorted({*groups, *record.get("groups", ())})
    return record


def _person(document: JsonMapping) -> JsonObject:
    name = document.get("name") or {}
    found = {
        **{field: document.get(attribute) for attribute, field in CORE_FIELDS.items()},
        "display_name": document.get("displayName") or name.get("formatted"),
        "first_name": name.get("givenName"),
        "last_name": name.get("familyName"),
        "email": preferred(document.get("emails"), "work"),
        "phone": preferred(document.get("phoneNumbers"), "mobile", "work"),
        "locale": _language(document.get("locale") or document.get("preferredLanguage") or ""),
    }
    return {field: value for field, value in found.items() if value}


def _language(tag: str) -> str:
    """A language tag; "" for a text that is longer than any (RFC 5646, section 4.4.1)."""
    return tag if len(tag) <= LONGEST_LANGUAGE else ""


def _work(said: Mapping[str, object]) -> JsonObject:
    found = {field: said.get(name) for name, field in ENTERPRISE_FIELDS.items()}
    found["company"] = said.get("organization") or said.get("company")
    return {field: value for field, value in found.items() if value}


def deleted_record(scim_id: str, document: JsonMapping) -> JsonObject:
    return {"source_key": scim_id, "login": document.get("userName", ""), "status": "deleted"}


def preferred(items: object, *types: str) -> str:
    """The value of the primary item, else of the first type that is there, else of the first item; "" without any."""
    found = [each for each in items if each.get("value")] if isinstance(items, list) else []
    ranked = sorted(
        found,
        key=lambda each: (
            not each.get("primary"),
            next(
                (place for place, name in enumerate(types) if each.get("type", "").lower() == name),
                len(types),
            ),
        ),
    )
    return str(ranked[0]["value"]) if ranked else ""


def _own_fields(said: JsonMapping, *, is_active: object) -> JsonObject:
    fields = {field: said[name] for name, field in EXTENSION_FIELDS.items() if name in said}
    if is_active is False:
        # Whatever the status said before: the account was deactivated since.
        fields.pop("status", None)
    if said.get("neverSignedIn") and "last_sign_in_at" not in fields:
        fields["last_sign_in_at"] = "never"
    if "applications" in said:
        fields["applications"] = [
            {"name": each.get("name", "")}
            | ({"last_used_at": each["lastUsedAt"]} if each.get("lastUsedAt") else {})
            for each in said["applications"]
        ]
    return fields


def _collected(
    said: JsonMapping, record: Mapping[str, object], is_active: object, now: datetime
) -> JsonObject:
    """What Cisco's collector adds. Its times of sign-ins and failures are those of one domain controller."""
    ad, cii = said.get("adAttributes") or {}, said.get("ciiAttributes") or {}
    fields: JsonObject = _account_state(ad, cii, is_active, now)
    for field, moment in (
        ("created_at", _moment(cii.get("isoCreated"))),
        ("password_changed_at", _moment(cii.get("isoLastPasswordChange")) or filetime(ad.get("pwdLastSet"))),
        ("last_sign_in_at", _last_sign_in(ad, cii)),
    ):
        if moment:
            fields[field] = moment_text(moment)
    if isinstance(cii.get("isAdmin"), bool):
        fields["admin_roles"] = ["Administrator"] if cii["isAdmin"] else []
    if kind := _user_type(str(record.get("user_type", "")).lower(), cii):
        fields["user_type"] = kind
    if "groupNames" in said:
        fields["groups"] = said["groupNames"]
    return fields


def _account_state(
    ad: JsonMapping, cii: Mapping[str, object], is_active: object, now: datetime
) -> JsonObject:
    fields: JsonObject = {}
    bits = number(ad.get("userAccountControl"))
    if bits is not None:
        fields["password_never_expires"] = bool(bits & NEVER_EXPIRES_BIT)
        if is_active is False and bits & LOCKED_BIT and not bits & DISABLED_BIT:
            fields["status"] = "locked_out"
    end = _moment(cii.get("isoAccountExpiry"))
    if is_active is True and end and end <= now:
        fields["status"] = "disabled"
    if (failed := number(ad.get("badPwdCount"))) is not None:
        fields["failed_sign_ins"] = failed
    return fields


def _user_type(word: str, cii: Mapping[str, object]) -> str:
    if cii.get("isServiceAccount"):
        return "service_account"
    if cii.get("isExternalAccount") and word != "guest":
        return "external"
    return COLLECTOR_TYPES.get(word, word)


def _last_sign_in(ad: JsonMapping, cii: Mapping[str, object]) -> datetime | None:
    """The latest of what this domain controller and what the replicated attribute say."""
    moments = (_moment(cii.get("isoLastSuccessfulLogin")), filetime(ad.get("lastLogonTimestamp")))
    return max((each for each in moments if each), default=None)


def _moment(text: object) -> datetime | None:
    """A moment of .NET's round-trip format; without a zone it is UTC."""
    try:
        found = moment_of(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found and found.tzinfo is None else found
