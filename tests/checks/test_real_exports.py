"""Values as real exports write them: words for nothing, leftovers, separators, sentinels and vendors' words, in every field."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from checks.catalogue import catalogue_check
from checks.importing import countries, spellings
from checks.importing.records import (
    COLUMNS,
    FIELDS,
    LISTS,
    Problem,
    Record,
    RecordParser,
    parse,
    source_key_of,
)
from checks.importing.rules import Note, NoteKind, ReadingRules
from checks.importing.values import FLAGS, REFERENCES, TIMES

NOW = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)


def read(raw: dict[str, Any], **rules: Any) -> Record:
    found = RecordParser(ReadingRules(**rules), NOW).parse({"login": "ann"} | raw)
    assert isinstance(found, Record), found
    return found


def columns(raw: dict[str, Any], **rules: Any) -> dict[str, Any]:
    return dict(zip(COLUMNS, read(raw, **rules).values, strict=True))


def problems(raw: dict[str, Any], **rules: Any) -> list[Problem]:
    found = RecordParser(ReadingRules(**rules), NOW).parse({"login": "ann"} | raw)
    assert isinstance(found, list), found
    return found


# --- Lists ---

NOTHING = [
    *(
        "none",
        "None",
        "NONE",
        "n/a",
        "N/A",
        "na",
        "-",
        "--",
        "null",
        "NULL",
        "[]",
        "{}",
        "()",
        "0",
        "false",
        "False",
        "no",
    ),
    *(
        "disabled",
        "Disabled",
        "nil",
        "(none)",
        "<none>",
        "Not enrolled",
        "notRegistered",
        "not configured",
        "[null]",
        '[""]',
        *("(blank)", "N", "0 factors", "Nothing enrolled", "No roles assigned", "MFA not enabled"),
    ),
    *("None|None", "none;none", "-,-", '["none"]', "[]|", "off"),
]


@pytest.mark.parametrize("word", NOTHING)
def test_a_word_for_nothing_is_no_entry_of_a_list(word: str) -> None:
    assert {field: columns({field: word})[field] for field in LISTS} == dict.fromkeys(LISTS, "[]")


@pytest.mark.parametrize("field", LISTS)
@pytest.mark.parametrize("value", [[], [None], ["None"], ["n/a"], False, 0, {}, None, [[]], [""]])
def test_nothing_in_json_is_no_entry_of_a_list(field: str, value: Any) -> None:
    assert columns({field: value})[field] == "[]"


@pytest.mark.parametrize("field", LISTS)
@pytest.mark.parametrize(
    "value", ["unknown", "Undefined", "NaN", "not available", "?", ["unknown"], '["unknown"]']
)
def test_a_list_that_the_source_cannot_tell_is_unknown(field: str, value: Any) -> None:
    assert columns({field: value})[field] is None


def test_no_factor_is_no_mfa_and_an_unknown_list_is_unknown() -> None:
    assert columns({"mfa_factors": "None"})["mfa"] is False
    assert columns({"mfa_factors": "unknown"})["mfa"] is None


LEFTOVERS = [
    *(
        "System.Object[]",
        "System.String[]",
        "System.Collections.Generic.List`1[System.String]",
        "System.Collections.Hashtable",
    ),
    "Microsoft.ActiveDirectory.Management.ADPropertyValueCollection",
    "Microsoft.Graph.PowerShell.Models.MicrosoftGraphUser",
    *(
        "Deserialized.System.Object[]",
        "@{Method=sms; State=on}",
        "{sms, push, totp...}",
        "[object Object]",
        "Array",
    ),
    *(
        "#REF!",
        "#N/A",
        "#VALUE!",
        "#NAME?",
        "#DIV/0!",
        "#########",
        "{{user.factors}}",
        "<Factor object at 0x7f3a10>",
    ),
    *("[object Object],[object Object]", "[object Object]; [object Object]", "System.Xml.XmlElement"),
    *("System.Linq.Enumerable+WhereArrayIterator`1[System.String]", "<class 'list'>", "%!s(<nil>)"),
    *("#\u00a1REF!", "#\u00bfNOMBRE?", "Err:502", "<QuerySet [<Factor: sms>]>"),
    *("=VLOOKUP(A2,Sheet2!B:C,2,FALSE)", "=A1"),
]


@pytest.mark.parametrize("field", ["mfa_factors", "admin_roles"])
@pytest.mark.parametrize("text", LEFTOVERS)
def test_a_leftover_of_a_broken_export_rejects_factors_and_roles(field: str, text: str) -> None:
    (problem,) = problems({field: text})
    assert problem.column == field
    assert "export again" in problem.expected


@pytest.mark.parametrize("text", ["sms|System.Object[]", "sms;#REF!", '["sms", "System.Object[]"]'])
def test_a_leftover_among_factors_rejects_them_all(text: str) -> None:
    assert problems({"mfa_factors": text})[0].column == "mfa_factors"
    assert problems({"mfa_factors": ["sms", "System.Object[]"]})[0].column == "mfa_factors"


@pytest.mark.parametrize("text", LEFTOVERS)
def test_a_leftover_elsewhere_is_unknown_with_a_sentence_on_how_to_export(text: str) -> None:
    for field in set(FIELDS) - {"login", "mfa_factors", "admin_roles"}:
        found = read({field: text})
        assert found.values == read({}).values, field
        (note,) = found.notes
        assert (note.field, note.kind, note.word[:50]) == (field, NoteKind.LEFTOVER, text[:50])
        assert "export again" in note.text


def test_a_leftover_is_no_login() -> None:
    assert problems({"login": "System.Object[]"})[0].column == "login"


@pytest.mark.parametrize(
    "text",
    ["Microsoft.Teams", "C# developers", "Ann #2", "System Administrators", "{Staff}", "a...", "#EXT#"],
)
def test_an_ordinary_name_is_no_leftover(text: str) -> None:
    found = read({"department": text, "groups": [text]})
    assert found.notes == []
    assert dict(zip(COLUMNS, found.values, strict=True))["department"] == text


@pytest.mark.parametrize(
    "text",
    [
        *(
            "sms|push",
            "sms,push",
            "sms, push",
            "sms;push",
            "sms; push",
            "sms\npush",
            "sms\r\npush",
            "sms push",
        ),
        *(
            '["sms","push"]',
            '["sms", "push"]',
            "['sms', 'push']",
            "{sms, push}",
            "[sms, push]",
            '"sms","push"',
            "(sms; push)",
        ),
        *(
            "sms,None,push",
            "|sms||push|",
            '["sms", null, "push"]',
            '[{"kind": "sms"}, {"kind": "push"}]',
            '["sms,push"]',
        ),
    ],
)
def test_methods_are_split_in_every_form_that_exports_use(text: str) -> None:
    assert json.loads(columns({"mfa_factors": text})["mfa_factors"]) == [{"kind": "sms"}, {"kind": "push"}]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "Keine",
            "Aucun",
            "Ninguno",
            "Nessuno",
            "geen",
            "なし",
            "无",
            "None registered yet",
            "Not an administrator",
        ),
        *("No administrator role", "keine Rollen", "Kein"),
    ],
)
def test_a_word_for_no_role_makes_no_administrator(text: str) -> None:
    assert columns({"admin_roles": text})["is_admin"] is False


@pytest.mark.parametrize("field", ["groups", "admin_roles"])
@pytest.mark.parametrize("text", ["A b|C", "A b;C", "A b, C", "A b\nC", '["A b", "C"]', "{A b, C}"])
def test_names_are_split_in_every_form_that_exports_use(field: str, text: str) -> None:
    assert json.loads(columns({field: text})[field]) == ["A b", "C"]


@pytest.mark.parametrize(
    "text", ["a@x.org|b@y.org", "a@x.org,b@y.org", "smtp:a@x.org; mailto:b@y.org", '["a@x.org","b@y.org"]']
)
def test_forwarding_addresses_are_split(text: str) -> None:
    assert json.loads(columns({"forwarding": text})["forwarding"]) == ["a@x.org", "b@y.org"]


@pytest.mark.parametrize(
    "text", ["Jira=2026-01-02|Figma=", "Jira=2026-01-02, Figma=", "Jira=2026-01-02;Figma=never"]
)
def test_applications_are_split(text: str) -> None:
    found = json.loads(columns({"applications": text})["applications"])
    assert found == [
        {"name": "Jira", "last_used_at": "2026-01-02 00:00:00"},
        {"name": "Figma", "last_used_at": None},
    ]


def test_a_distinguished_name_is_one_group() -> None:
    text = "CN=Admins,OU=Groups,DC=x;CN=Staff,OU=Groups,DC=x"
    assert json.loads(columns({"groups": text})["groups"]) == text.split(";")


def test_a_group_may_be_called_as_a_word_for_nothing_beside_others() -> None:
    assert json.loads(columns({"groups": "Staff|Disabled|None"})["groups"]) == ["Staff", "Disabled"]


def test_a_nul_within_json_in_a_cell_is_refused() -> None:
    assert "NUL" in problems({"groups": '["a\\u0000"]'})[0].expected


# --- Factors ---

OFF = [
    *("sms:disabled", "SMS: No", "push:false", "totp:0", "sms:none", "fido2:not enrolled", "push:inactive"),
    *("sms:n/a", "sms:-", "push:off", "sms:pending", "totp:PENDING_ACTIVATION", "fido2:revoked"),
    *("sms: disabled; push: disabled", "sms:false|push:false|totp:false"),
    *("sms:disabled none", "sms:disabled sms:disabled", "sms:disabled push:off", "sms:off disabled"),
    *(
        "sms:disabled by policy",
        "sms:n/a push:n/a",
        "sms:disabled / push:disabled",
        "sms:disabled+push:disabled",
    ),
    *("sms:disabled 2024-01-01", "sms:1:disabled", "sms:+4912 disabled", "sms:disabled & totp:none"),
    *("sms:0000", "voice:+00 000"),
    # In other languages.
    *(
        "sms:keine",
        "phone:未登録",
        "push:nicht aktiviert",
        "totp:désactivé",
        "fido2:ninguna",
        "push:не настроено",
    ),
    *("Keine", "aucune", "Nessuno", "geen", "なし", "无", "Nein", "Deaktiviert", "sms:FALSCH", "push:нет"),
]
FACTORS_OFF = [
    {"type": "push", "enabled": False},
    {"factorType": "push", "active": False},
    {"type": "sms", "confirmed": False},
    {"type": "phone", "activated": "false"},
    {"name": "totp", "isUsable": 0},
    {"kind": "sms", "state": "disabled"},
    {"kind": "sms", "status": False},
    {"kind": "sms", "status": "-"},
    {"kind": "sms", "device": "not enrolled"},
    {"kind": "push", "device": "+15550100", "verified": False, "status": "ACTIVE"},
    {"kind": "sms", "Status": "Disabled"},
    {"kind": "sms", "enrollmentStatus": "NOT_ENROLLED"},
    {"factorType": "sms", "registration_state": "none"},
    {"factorType": "sms", "phoneNumber": "none"},
    {"type": "push", "value": "off"},
]


@pytest.mark.parametrize("text", OFF)
def test_a_factor_in_csv_whose_state_stands_beside_it_counts_only_if_it_is_on(text: str) -> None:
    assert columns({"mfa_factors": text})["mfa"] is False


@pytest.mark.parametrize("factor", FACTORS_OFF)
def test_a_factor_in_json_that_is_switched_off_does_not_count(factor: dict[str, Any]) -> None:
    assert columns({"mfa_factors": [factor]})["mfa"] is False
    assert columns({"mfa_factors": json.dumps([factor])})["mfa"] is False


@pytest.mark.parametrize(
    "value",
    [
        *("sms:unknown", "sms: ?", "password|push:unknown", "sms:disabled unknown", "sms:unknown none"),
        *("push:? sms:disabled", "sms:never used", "sms:Ann's lost phone", "sms:no longer used"),
        *([{"kind": "sms", "status": "unknown"}], [{"type": "push", "state": "Not available"}]),
        # A word that is no telephone number, and words of other languages.
        *(
            "sms:noch keine Nummer",
            "sms:to be set",
            "voice:geen nummer",
            "mobilePhone:x",
            "push:setup required",
        ),
        *("push:exempt until May", "totp:access denied", "push:opted out"),
        # Marks beside a kind.
        *("sms ?", "SMS \u274c", "sms=-", "sms ()", "push [none]", "sms ***", "\u2713", "***"),
        *([{"kind": "sms", "enabled": "maybe"}], [{"type": "push", "isRegistered": "#REF!"}]),
        [{"type": "phone", "number": "see HR"}],
    ],
)
def test_mfa_is_unknown_where_the_source_cannot_say_whether_a_factor_is_on(value: Any) -> None:
    found = columns({"mfa_factors": value})
    assert (found["mfa"], found["assurance"]) == (None, None)


@pytest.mark.parametrize("text", ["push:enabled", "push:true", "push: Yes", "push:Enrolled", "push:active"])
def test_a_word_for_on_is_no_device_that_users_could_share(text: str) -> None:
    found = read({"mfa_factors": text})
    assert (dict(zip(COLUMNS, found.values, strict=True))["mfa"], found.devices) == (True, [])


@pytest.mark.parametrize(
    ("value", "assurance"),
    [
        *(
            ("sms:+1 555 0100", 1),
            ("sms:***34", 1),
            ("sms:\u2022\u2022\u2022\u2022 7", 1),
            ("voice:x1234", 1),
        ),
        *(("push:iPhone", 2), ("push:Ann's Pixel 8", 2), ("security key:blue", 3), ("Okta Verify (Push)", 2)),
        *(
            ("FIDO2 (security key)", 3),
            ("Microsoft Authenticator - push", 2),
            ("X.509", 3),
            ("RSA/SecurID", 3),
        ),
        ([{"kind": "webauthn", "device": "aGk_no-4xZ-f_Q-ne-Ab"}], 3),
        ([{"kind": "sms", "enabled": True, "phoneNumber": "+15550100"}], 1),
        ([{"factorType": "push", "status": "ACTIVE", "vendorStatus": "x", "profile": {}}], 2),
        ([{"type": "push", "isRegistered": "Yes", "active": 1}], 2),
    ],
)
def test_a_factor_with_a_device_or_a_flag_that_is_on_counts(value: Any, assurance: int) -> None:
    found = columns({"mfa_factors": value})
    assert (found["mfa"], found["assurance"]) == (True, assurance)


@pytest.mark.parametrize("enabled", [None, "", "unknown", "Enabled"])
@pytest.mark.parametrize(
    "factors", ["retina", "retina|password", "Yes", "enrolled", "2FA", "retina:left", "qr_code|retina"]
)
def test_an_unknown_kind_never_makes_mfa_true(enabled: str | None, factors: str) -> None:
    found = columns({"mfa_factors": factors, "mfa_enabled": enabled})
    assert (found["mfa"], found["assurance"], found["phishing_resistant"]) == (None, None, None)


def test_each_unknown_kind_is_noted() -> None:
    found = read({"mfa_factors": "retina|sms|iris|retina"})
    assert found.notes == [
        Note("mfa_factors", NoteKind.UNKNOWN_WORD, "retina"),
        Note("mfa_factors", NoteKind.UNKNOWN_WORD, "iris"),
    ]


@pytest.mark.parametrize(
    ("kind", "mfa", "assurance", "resistant"),
    [
        # Okta
        ("signed_nonce", True, 3, True),
        ("push", True, 2, False),
        ("okta_verify", True, 2, False),
        ("web", True, None, None),
        ("custom_app", True, 2, False),
        ("custom_otp", True, 2, False),
        ("okta_email", True, 1, False),
        ("okta_password", False, 1, False),
        ("external_idp", True, None, None),
        ("tac", False, None, False),
        # Entra
        ("macOsSecureEnclaveKey", True, 3, True),
        ("platformCredential", True, 3, True),
        ("temporaryAccessPass", False, None, False),
        ("externalAuthMethod", True, None, None),
        ("appNotification", True, 2, False),
        ("oneTimePasscode", True, 2, False),
        ("qrCode", False, 1, False),
        ("appPassword", False, None, False),
        ("mobileCall", True, 1, False),
        ("mobilePhone", True, 1, False),
        ("x509CertificateSingleFactor", False, 1, False),
        ("x509CertificateMultiFactor", True, 3, True),
        ("passKeyDeviceBoundWindowsHello", True, 3, True),
        ("#microsoft.graph.fido2AuthenticationMethod", True, 3, True),
        ("#microsoft.graph.passwordAuthenticationMethod", False, 1, False),
        # Duo
        *((kind, True, 2, False) for kind in ("yk", "d1", "h6", "t6")),
        ("desktoptoken", True, None, None),
        ("platform", True, 3, True),
        ("roaming", True, 3, True),
        # AWS, Auth0
        ("virtual", True, 2, False),
        ("hardware", True, 2, False),
        ("sms-mfa", True, 1, False),
        ("guardian", True, 2, False),
        ("recovery-code", False, None, False),
    ],
)
def test_the_assurance_of_vendors_kinds(
    kind: str, mfa: bool, assurance: int | None, resistant: bool | None
) -> None:
    found = read({"mfa_factors": kind})
    assert found.notes == []
    row = dict(zip(COLUMNS, found.values, strict=True))
    assert (row["mfa"], row["assurance"], row["phishing_resistant"]) == (mfa, assurance, resistant)


@pytest.mark.parametrize(
    ("factors", "rules", "mfa"),
    [
        ("email", {}, True),
        ("email", {"entra": True}, False),
        ("securityQuestion", {"entra": True}, False),
        ("email, securityQuestion", {}, False),
        ("email|mobilePhone", {"entra": True}, True),
        (["email", "securityQuestion"], {}, False),
        ([{"@odata.type": "#microsoft.graph.emailAuthenticationMethod"}], {}, False),
        ("question|email", {}, True),
    ],
)
def test_what_serves_password_reset_in_entra_is_no_factor(
    factors: Any, rules: dict[str, Any], mfa: bool
) -> None:
    assert columns({"mfa_factors": factors}, **rules)["mfa"] is mfa


@pytest.mark.parametrize(
    ("word", "mfa"),
    [("Enabled", None), ("enabled", None), ("Enforced", True), ("Disabled", False), ("true", True)],
)
def test_the_per_user_mfa_state_of_entra(word: str, mfa: bool | None) -> None:
    found = read({"mfa_enabled": word})
    assert dict(zip(COLUMNS, found.values, strict=True))["mfa"] is mfa
    assert [note.word for note in found.notes] == ([word] if mfa is None else [])


@pytest.mark.parametrize(
    "factors", ["", "none", "tac", [{"kind": "sms", "status": "NOT_SETUP"}], "password", "retina"]
)
def test_mfa_that_is_enabled_without_a_named_factor_is_true_with_unknown_assurance(factors: Any) -> None:
    found = columns({"mfa_enabled": True, "mfa_factors": factors})
    assert (found["mfa"], found["assurance"], found["phishing_resistant"]) == (True, None, None)


# --- Times ---

SENTINELS = [
    *(
        "1970-01-01T00:00:00.000Z",
        "1970-01-01",
        "1970-01-01 01:00:00",
        "1969-12-31 19:00:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01",
    ),
    *(
        "0001-01-01T00:00:00+14:00",
        "1601-01-01T00:00:00Z",
        "1601-01-01 01:00",
        "1600-12-31T19:00:00",
        "1900-01-01",
        "1899-12-30",
    ),
    *(
        "0",
        0,
        "9223372036854775807",
        9_223_372_036_854_775_807,
        "0000-00-00 00:00:00",
        "0000-00-00",
        "/Date(0)/",
        "00000000",
    ),
]
NEVER = [
    *(
        "never",
        "Never",
        "Never logged in",
        "Never active",
        "never signed in",
        "has never logged in",
        "no_information",
        "none",
    ),
    *("null", "-", "(never)", "<never>", "**Never logged in**", "no sign-in", "", "  "),
    *(
        "Not logged in yet",
        "User never logged in",
        "Hasn't signed in yet",
        "has not signed in",
        "Nicht angemeldet",
    ),
    *(
        "Hat sich noch nie angemeldet",
        "Nunca ha accedido",
        "Nunca se ha conectado",
        "Jamais connectée",
        "Aucune connexion",
    ),
    *(
        "Nessun accesso",
        "Nooit ingelogd",
        "Aldrig inloggad",
        "Никогда не входил",
        "从未登录",
        "ログイン履歴なし",
    ),
    # SAP and MySQL, in any order of day, month and year.
    *("00.00.0000", "00/00/0000", "00/00/0000 00:00:00", "0000/00/00", "00-00-0000", "0000-00-00 00:00:00"),
]


@pytest.mark.parametrize("value", [*SENTINELS, *NEVER])
def test_a_sentinel_or_a_word_for_never_is_never_for_a_sign_in(value: Any) -> None:
    found = read({"last_sign_in_at": value})
    row = dict(zip(COLUMNS, found.values, strict=True))
    assert (row["last_sign_in_at"], row["last_sign_in_known"], found.notes) == (None, True, [])


@pytest.mark.parametrize("field", TIMES)
@pytest.mark.parametrize(
    "value", [*SENTINELS, *NEVER, "9999-12-31", "9999-12-31T23:59:59.9999999Z", "N/A", "not_supported"]
)
def test_a_sentinel_or_a_word_for_never_is_unknown_for_other_times(field: str, value: Any) -> None:
    found = read({field: value})
    assert (dict(zip(COLUMNS, found.values, strict=True))[field], found.notes) == (None, [])


@pytest.mark.parametrize("word", ["N/A", "not_supported", "unknown", "not available", "?"])
def test_a_sign_in_that_the_source_does_not_record_is_unknown(word: str) -> None:
    found = columns({"last_sign_in_at": word})
    assert (found["last_sign_in_at"], found["last_sign_in_known"]) == (None, False)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(
            ("last_sign_in_at", v)
            for v in (
                "9999-12-31T23:59:59.9999999Z",
                "2026-11-30",
                "12/31/2099 1:00 PM",
                "9999-12-31T23:59:59-05:00",
            )
        ),
        ("created_at", "2027-01-01"),
        ("password_changed_at", "2027-01-01"),
        ("status_changed_at", "2027-01-01"),
    ],
)
def test_a_time_in_the_future_is_unknown_with_a_warning(field: str, value: str) -> None:
    found = read({field: value}, dates="mdy")
    row = dict(zip(COLUMNS, found.values, strict=True))
    assert (row[field], row["last_sign_in_known"]) == (None, False)
    assert [(note.field, note.kind) for note in found.notes] == [(field, NoteKind.FUTURE)]


def test_a_clock_that_is_fast_by_less_than_a_day_is_believed() -> None:
    ahead = (NOW + timedelta(hours=23)).isoformat()
    assert columns({"last_sign_in_at": ahead})["last_sign_in_at"] == "2026-11-29 11:00:00"


FORMS = [
    ("2026/11/01 10:11:12", "2026-11-01 10:11:12"),
    ("2026/11/01", "2026-11-01 00:00:00"),
    ("2026.11.01 10:11", "2026-11-01 10:11:00"),
    ("2021-01-01 10:00:00 UTC", "2021-01-01 10:00:00"),
    ("2021-01-01 10:00:00 +0200", "2021-01-01 08:00:00"),
    ("2021-01-01 10:00:00 GMT+2", "2021-01-01 08:00:00"),
    ("2021-01-01T10:00:00.1234567Z", "2021-01-01 10:00:00.123456"),
    ("2021-01-01T10:00:00.123456789+01:00", "2021-01-01 09:00:00.123456"),
    ("134080000000000000", "2025-11-19 04:26:40"),
    (134_080_000_000_000_000, "2025-11-19 04:26:40"),
    ("20261102150405.0Z", "2026-11-02 15:04:05"),
    ("20261102150405Z", "2026-11-02 15:04:05"),
    ("20261102150405", "2026-11-02 15:04:05"),
    # Python's fromisoformat takes any digit for the mark between date and time.
    ("20261101101112Z", "2026-11-01 10:11:12"),
    ("20261101201112.5Z", "2026-11-01 20:11:12.500000"),
    ("20261101101112+0100", "2026-11-01 09:11:12"),
    ("202611011011Z", "2026-11-01 10:11:00"),
    ("2026110110Z", "2026-11-01 10:00:00"),
    ("20261101T101112Z", "2026-11-01 10:11:12"),
    ("2026-W44-7", "2026-11-01 00:00:00"),
    ("1 Feb 2026", "2026-02-01 00:00:00"),
    ("01-Feb-2026 15:04:05", "2026-02-01 15:04:05"),
    ("Feb 1, 2026 3:04 PM", "2026-02-01 15:04:00"),
    ("February 1, 2026 at 12:04 AM", "2026-02-01 00:04:00"),
    ("Sunday, November 1, 2026 3:04:05 PM", "2026-11-01 15:04:05"),
    ("Mon, 02 Nov 2026 15:04:05 +0100", "2026-11-02 14:04:05"),
    ("Mon Nov 02 15:04:05 UTC 2026", "2026-11-02 15:04:05"),
    ("/Date(1764000000000)/", "2025-11-24 16:00:00"),
]


@pytest.mark.parametrize("field", [*TIMES, "last_sign_in_at"])
@pytest.mark.parametrize(("value", "stored"), FORMS)
def test_an_unambiguous_form_is_read(field: str, value: Any, stored: str) -> None:
    assert columns({field: value})[field] == stored


@pytest.mark.parametrize("field", [*TIMES, "last_sign_in_at"])
@pytest.mark.parametrize(
    "value", ["1/2/2026 3:04:05 PM", "13.02.2026", "01/02/2026", "1-2-2026", "11/2/26", "13/02/2026 15:04"]
)
def test_an_ambiguous_form_is_refused_with_the_way_to_name_its_order(field: str, value: str) -> None:
    (problem,) = problems({field: value})
    assert (problem.column, "name the order" in problem.expected) == (field, True)
    assert "--" not in problem.expected


@pytest.mark.parametrize(
    ("order", "value", "stored"),
    [
        ("mdy", "1/2/2026 3:04:05 PM", "2026-01-02 15:04:05"),
        ("mdy", "1/2/2026 12:04:05 AM", "2026-01-02 00:04:05"),
        ("mdy", "1/2/2026 3:04:05\u202fPM", "2026-01-02 15:04:05"),
        ("mdy", "01/02/26", "2026-01-02 00:00:00"),
        ("dmy", "1/2/2026 15:04", "2026-02-01 15:04:00"),
        ("dmy", "13.02.2026", "2026-02-13 00:00:00"),
        ("dmy", "13.02.2026, 15:04:05", "2026-02-13 15:04:05"),
        ("dmy", "13-02-2026 15:04:05 +01:00", "2026-02-13 14:04:05"),
        ("ymd", "26/11/02", "2026-11-02 00:00:00"),
        ("mdy", "2026-01-31", "2026-01-31 00:00:00"),
        ("mdy", "12/31/1600 7:00:00 PM", None),
    ],
)
def test_a_named_order_is_followed(order: str, value: str, stored: str | None) -> None:
    assert columns({"created_at": value}, dates=order)["created_at"] == stored


@pytest.mark.parametrize(
    ("order", "value"),
    [("mdy", "13/02/2026"), ("dmy", "1/13/2026"), ("ymd", "1/2/2026"), ("mdy", "1/2/2026 13:00 PM")],
)
def test_a_date_that_is_not_in_the_named_order_is_refused(order: str, value: str) -> None:
    (problem,) = problems({"created_at": value}, dates=order)
    assert f"in the order {order}" in problem.expected


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("2026-07-01 10:00", "2026-07-01 08:00:00"),
        ("2026-01-01 10:00", "2026-01-01 09:00:00"),
        ("1/7/2026 10:00", "2026-07-01 08:00:00"),
        ("2026-07-01T10:00Z", "2026-07-01 10:00:00"),
        ("2026-07-01", "2026-07-01 00:00:00"),
    ],
)
def test_times_without_an_offset_are_of_the_named_zone(value: str, stored: str) -> None:
    assert columns({"created_at": value}, dates="dmy", zone="Europe/Berlin")["created_at"] == stored


# --- Words ---


@pytest.mark.parametrize(
    ("word", "status"),
    [
        *(
            ("Accepted", "active"),
            ("ACTIVATED", "active"),
            ("Parental Leave", "active"),
            ("512", "active"),
            (512, "active"),
        ),
        *(
            ("514", "disabled"),
            ("66050", "disabled"),
            ("66048", "active"),
            ("528", "locked_out"),
            ("8389120", "password_expired"),
        ),
        *(
            ("Future Hire", "staged"),
            ("Deceased", "disabled"),
            ("PendingAcceptance", "staged"),
            ("On Leave", "on_leave"),
        ),
        *(
            ("Leave of Absence", "on_leave"),
            ("LOA", "on_leave"),
            ("Maternity Leave", "on_leave"),
            ("Sabbatical", "on_leave"),
        ),
        *(
            ("ACTIVATING", "transient"),
            ("bypass", "active"),
            ("pending deletion", "deleted"),
            ("Unactivated", "staged"),
        ),
        *(
            ("unlicensed", "active"),
            ("password pending", "provisioned"),
            ("security lock", "locked_out"),
            ("Frozen", "suspended"),
        ),
        *(
            ("LOCKED_OUT", "locked_out"),
            ("Retired", "disabled"),
            ("n/a", None),
            ("-", None),
            ("none", None),
            ("unknown", None),
        ),
    ],
)
def test_vendors_words_of_status(word: Any, status: str | None) -> None:
    found = read({"status": word})
    assert (dict(zip(COLUMNS, found.values, strict=True))["status"], found.notes) == (status, [])


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        *(
            ("LEGACY_SERVICE", "service_account"),
            ("Standard", "internal"),
            ("CloudIntegrationUser", "service_account"),
        ),
        *(
            ("AutomatedProcess", "service_account"),
            ("UserMailbox", "internal"),
            ("LinkedMailbox", "internal"),
        ),
        *(
            ("RoomMailbox", "conference_room"),
            ("Member", "internal"),
            ("none", ""),
            ("-", ""),
            ("N/A", ""),
            ("?", None),
        ),
    ],
)
def test_vendors_words_of_user_type(word: str, kind: str | None) -> None:
    assert columns({"user_type": word})["user_type"] == kind


def test_duos_bypass_lets_a_user_in_without_a_second_factor() -> None:
    assert columns({"status": "bypass"})["mfa_bypass"] is True
    assert columns({"status": "active"})["mfa_bypass"] is None


@pytest.mark.parametrize("field", ["status", "user_type", *FLAGS])
def test_an_unseen_word_is_unknown_and_noted(field: str) -> None:
    found = read({field: " Zzyzx "})
    assert dict(zip(COLUMNS, found.values, strict=True))[field] is None
    assert found.notes == [Note(field, NoteKind.UNKNOWN_WORD, "Zzyzx")]


@pytest.mark.parametrize(
    ("field", "word", "meaning", "stored"),
    [
        ("status", "Parental Leave", "on_leave", "on_leave"),
        ("status", "zzyzx", "disabled", "disabled"),
        ("status", "~", "suspended", "suspended"),
        ("user_type", "Zzyzx", "none", ""),
        ("user_type", "Employee", "external", "external"),
        ("mfa_enabled", "Enabled", "true", True),
        ("mfa_bypass", "maybe", "false", False),
        ("last_sign_in_at", "not once", "never", None),
        ("last_sign_in_country", "France", "FR", "FR"),
        ("status", "Active", "unknown", None),
    ],
)
def test_a_source_can_say_what_its_words_mean(field: str, word: str, meaning: str, stored: Any) -> None:
    found = read({field: word}, words=((field, word, meaning),))
    assert (dict(zip(COLUMNS, found.values, strict=True))[field], found.notes) == (stored, [])


@pytest.mark.parametrize(("meaning", "mfa"), [("webauthn", True), ("none", False), ("password", False)])
def test_a_source_can_say_what_its_factors_are(meaning: str, mfa: bool) -> None:
    assert columns({"mfa_factors": "retina:left"}, words=(("mfa_factors", "Retina", meaning),))["mfa"] is mfa


def test_a_termination_in_the_future_is_not_yet_one() -> None:
    raw = {"status": "Terminated", "status_changed_at": "2026-12-31"}
    found = read(raw, hr=True)
    row = dict(zip(COLUMNS, found.values, strict=True))
    assert (row["status"], row["status_changed_at"]) == ("active", None)
    assert [note.kind for note in found.notes] == [NoteKind.AHEAD]
    later = RecordParser(ReadingRules(hr=True), datetime(2027, 1, 1, tzinfo=UTC)).parse(
        {"login": "ann"} | raw
    )
    assert isinstance(later, Record)
    assert dict(zip(COLUMNS, later.values, strict=True))["status"] == "disabled"
    assert later.fingerprint != found.fingerprint


@pytest.mark.parametrize(
    "sentinel",
    [
        *("9999-12-31", "9999-12-31T23:59:59Z", "12/31/9999", "31.12.9999", "99991231", "2999-12-31"),
        9_223_372_036_854_775_807,
    ],
)
@pytest.mark.parametrize("is_hr", [True, False])
@pytest.mark.parametrize(("word", "status"), [("Terminated", "disabled"), ("Active", "active")])
def test_a_sentinel_is_no_time_of_a_termination(sentinel: Any, is_hr: bool, word: str, status: str) -> None:
    found = read({"status": word, "status_changed_at": sentinel}, hr=is_hr)
    row = dict(zip(COLUMNS, found.values, strict=True))
    assert (row["status"], row["status_changed_at"], found.notes) == (status, None, [])


@pytest.mark.parametrize("field", [field for field in FIELDS if field != "login"])
def test_nan_in_json_is_a_value_that_the_record_lacks(field: str) -> None:
    found = read({field: float("nan")})
    assert (found.values, found.notes) == (read({}).values, [])


@pytest.mark.parametrize("field", ["employee_id", "source_key", "mfa_enabled", "failed_sign_ins", "status"])
def test_a_whole_number_with_a_fraction_is_the_number(field: str) -> None:
    """pandas writes 1.0 where a column lacks a value."""
    assert columns({field: 1.0}) == columns({field: 1})


# --- Addresses, references and other scalars ---


@pytest.mark.parametrize(
    "text",
    [
        *(
            "SMTP:Kim@x.example",
            "smtp:Kim@x.example",
            "mailto:Kim@x.example",
            "Kim Lee <Kim@x.example>",
            "\ufeffKim@x.example",
        ),
        *(
            "Kim@x.example\u200b",
            "Kim@x.example.",
            "Kim@\u200bx.example",
            " Kim@x.example\xa0",
            "SMTP:Kim@x.example;smtp:other@x.example",
            "SMTP:Kim@x.example+smtp:other@x.example",
            "smtp:other@x.example+SMTP:Kim@x.example",
            "SMTP:Kim@x.example|X500:/o=x/ou=y",
            "SMTP:Kim@x.example|SIP:kim@x.example",
        ),
    ],
)
def test_an_address_in_the_forms_of_exports(text: str) -> None:
    found = columns({"email": text})
    assert (found["email"], found["email_key"]) == ("Kim@x.example", "kim@x.example")
    assert json.loads(columns({"forwarding": [text]})["forwarding"]) == ["Kim@x.example"] or ";" in text


@pytest.mark.parametrize(
    "text",
    ["Kim@x.example;", "Kim@x.example, ", "'Kim@x.example'", "{SMTP:Kim@x.example, smtp:kim@y.example}"],
)
def test_separators_quotes_and_braces_around_an_address_are_no_part_of_it(text: str) -> None:
    assert columns({"email": text})["email"] == "Kim@x.example"


@pytest.mark.parametrize("between", [", ", ";", " ", "\n", "|"])
def test_the_first_of_several_addresses_is_the_accounts(between: str) -> None:
    found = columns({"email": between.join(["Kim@x.example", "kim@y.example"])})
    assert (found["email"], found["email_key"]) == ("Kim@x.example", "kim@x.example")
    refused = problems({"email": between.join(["Kim@x.example", "no address"])})
    assert [problem.column for problem in refused] == ["email"]


@pytest.mark.parametrize("field", ["login", "email", "manager", "owner", "employee_id"])
def test_invisible_characters_are_removed_from_what_joins(field: str) -> None:
    visible = "kim@x.example"
    raw = {field: "\ufeffkim\u200b@x.\u00adexample\u200e"}
    assert columns(raw)[field] == visible
    if field == "login":
        assert read(raw).login_key == visible


def test_joiners_that_a_script_needs_stay_in_names() -> None:
    name = "\u0645\u06cc\u200c\u062e\u0648"
    assert columns({"display_name": name})["display_name"] == name


@pytest.mark.parametrize("field", REFERENCES)
@pytest.mark.parametrize("word", ["none", "N/A", "-", "null", "(none)", "0", "", "No manager", "Unassigned"])
def test_a_word_for_nothing_names_nobody(field: str, word: str) -> None:
    assert columns({field: word})[field] == ""


@pytest.mark.parametrize("field", ["department", "title", "company", "phone", "email", "employee_id"])
@pytest.mark.parametrize("word", ["none", "N/A", "-", "null"])
def test_a_word_for_nothing_is_no_text(field: str, word: str) -> None:
    assert columns({field: word})[field] == ""


def test_a_surname_may_be_a_word_for_nothing() -> None:
    assert columns({"last_name": "Null", "first_name": "None"})["display_name"] == "None Null"


@pytest.mark.parametrize("field", ["last_sign_in_country", "last_sign_in_ip", "failed_sign_ins", *FLAGS])
@pytest.mark.parametrize(
    "word", ["n/a", "-", "none", "null", "unknown", "not_supported", "no_information", "?"]
)
def test_a_word_for_nothing_is_unknown_in_the_other_fields(field: str, word: str) -> None:
    assert read({field: word}).values == read({}).values


@pytest.mark.parametrize(
    ("text", "code"),
    [
        *(("DE", "DE"), ("de", "DE"), ("UK", "GB"), ("GBR", "GB"), ("USA", "US"), ("U.S.", "US")),
        *(("France", "FR"), ("United States", "US"), ("united states of america", "US"), ("Russia", "RU")),
        *(
            ("Russian Federation", "RU"),
            ("South Korea", "KR"),
            ("Korea, Republic of", "KR"),
            ("Türkiye", "TR"),
        ),
        *(("North Korea", "KP"), ("Ivory Coast", "CI"), ("Côte d'Ivoire", "CI"), ("Viet Nam", "VN")),
        *(("DR Congo", "CD"), ("Congo-Brazzaville", "CG"), ("Hong Kong", "HK"), ("Kosovo", "XK")),
        *(("Iran, Islamic Republic of", "IR"), ("Guinea", "GN"), ("Niger", "NE"), ("Scotland", "GB")),
    ],
)
def test_a_country_by_its_code_or_a_name_that_means_one(text: str, code: str) -> None:
    found = read({"last_sign_in_country": text})
    assert dict(zip(COLUMNS, found.values, strict=True))["last_sign_in_country"] == code
    assert found.notes == []


@pytest.mark.parametrize(
    "text",
    ["Congo", "Korea", "Virgin Islands", "America", "Frankreich", "XX", "ZZ", "EU", "T1", "A1", "Europe"],
)
def test_a_name_of_several_countries_or_of_none_is_unknown_and_counted(text: str) -> None:
    found = read({"last_sign_in_country": text})
    assert dict(zip(COLUMNS, found.values, strict=True))["last_sign_in_country"] == ""
    assert found.notes == [Note("last_sign_in_country", NoteKind.UNKNOWN_WORD, text)]


def test_the_denied_territories_are_countries() -> None:
    assert set(catalogue_check("denied-territory").fields["countries"].initial) <= countries.CODES


def test_namibia_is_a_country() -> None:
    assert columns({"last_sign_in_country": "NA"})["last_sign_in_country"] == "NA"


# --- No user without a factor passes ---

NOT_FACTORS = st.sampled_from(
    [
        *NOTHING,
        *LEFTOVERS,
        "unknown",
        "?",
        "password",
        "retina",
        "Yes",
        "enabled",
        "tac",
        "recovery code",
        "qrCode",
        "\u200b",
        " ",
        "true",
        *OFF,
        *("sms:unknown", "push:?", "push:+4912 off", "security key:inactive"),
    ]
)


@given(
    st.lists(NOT_FACTORS, max_size=5),
    st.sampled_from(
        ["|", ",", ";", "\n", ", ", "; ", " ", " / ", "+", " & ", "\t", "||", "json", "list", "objects"]
    ),
    st.sampled_from([None, "", "false", "Disabled", "Enabled", "unknown", "n/a", "#REF!", "maybe"]),
)
@example(["sms:disabled", "none"], " ", None)
@example(["sms:0000", "n/a"], " ", None)
def test_no_mixture_of_placeholders_and_leftovers_is_mfa(
    words: list[str], form: str, enabled: str | None
) -> None:
    value: Any = words
    if form == "json":
        value = json.dumps(words)
    elif form == "objects":
        value = [{"kind": word} for word in words if word.strip()]
    elif form != "list":
        value = form.join(words)
    if form == "objects" and value:
        value += FACTORS_OFF
    found = parse({"login": "ann", "mfa_factors": value, "mfa_enabled": enabled})
    if isinstance(found, Record):
        assert dict(zip(COLUMNS, found.values, strict=True))["mfa"] is not True


def test_every_kind_is_classified() -> None:
    kinds = set(spellings.FACTOR_KINDS.values()) - {spellings.NO_FACTOR}
    assert kinds == spellings.SECOND_FACTORS | spellings.SINGLE_FACTORS


# --- Spreadsheets and other languages ---


@pytest.mark.parametrize("word", ["WAHR", "Vrai", "VERDADERO", "vero", "Waar", "ja", "oui", "sí"])
def test_a_spreadsheet_writes_true_in_the_language_of_its_user(word: str) -> None:
    assert {name: columns({name: word})[name] for name in FLAGS} == dict.fromkeys(FLAGS, True)


@pytest.mark.parametrize("word", ["FALSCH", "Faux", "FALSO", "Onwaar", "nein", "non", "não", "unenrolled"])
def test_a_spreadsheet_writes_false_in_the_language_of_its_user(word: str) -> None:
    assert {name: columns({name: word})[name] for name in FLAGS} == dict.fromkeys(FLAGS, False)


@pytest.mark.parametrize("mark", ["\u2713", "\u2705", "\u274c"])
def test_a_tick_or_cross_is_a_word_to_be_reported(mark: str) -> None:
    for field in (*FLAGS, "status", "user_type"):
        found = read({field: mark})
        assert found.notes == [Note(field, NoteKind.UNKNOWN_WORD, mark)]
        assert dict(zip(COLUMNS, found.values, strict=True))[field] is None


@pytest.mark.parametrize(
    "text",
    [
        *(
            "1/1/0001 12:00:00 AM",
            "1/1/1601 12:00:00 AM",
            "12/31/1600 4:00:00 PM",
            "31.12.1969 19:00",
            "1/1/1970",
        ),
        *("9.22337203685478E+18", "9,22337E+18", "9,223,372,036,854,775,807", "0.0", "Never (invited)"),
        *("never been used", "No sign-ins recorded", "Nie angemeldet", "Jamais", "Nunca", "从未", "никогда"),
    ],
)
def test_a_sentinel_is_never_in_each_form_and_order_of_dates(text: str) -> None:
    found = columns({"last_sign_in_at": text} | dict.fromkeys(TIMES, text))
    assert (found["last_sign_in_known"], found["last_sign_in_at"]) == (True, None)
    assert [found[name] for name in TIMES] == [None] * len(TIMES)


@pytest.mark.parametrize("text", ["12/31/9999 11:59:59 PM", "31.12.9999", "1/1/3000"])
def test_a_sentinel_of_the_far_future_is_unknown_in_each_order_of_dates(text: str) -> None:
    found = read({"last_sign_in_at": text})
    assert dict(zip(COLUMNS, found.values, strict=True))["last_sign_in_known"] is False
    assert [note.kind for note in found.notes] == [NoteKind.FUTURE]


@pytest.mark.parametrize("text", ["1/1/2026", "1/2/1970", "45/45/1900", "nevertheless", "1/1/69"])
def test_no_other_date_is_read_without_its_order(text: str) -> None:
    assert problems({"last_sign_in_at": text})[0].column == "last_sign_in_at"


@pytest.mark.parametrize(
    "text",
    [
        *(
            "CWR",
            "EXT",
            "Non-Employee",
            "see HR",
            "HR to confirm",
            "Contractor - ACME",
            "Sin asignar",
            "k.A.",
            "S/N",
        ),
        *(
            "EMP000000",
            "E-000",
            "9999",
            "-1",
            "0x0",
            "2147483647",
            "1900-01-00",
            "12/31/9999",
            "Leaver",
            "A",
            "=A2",
        ),
        *("EMP-TBD", "ID-PENDING", "tbd1", "unknown1", "emp_unknown_2", "-999", "ZZZZ", "aaa"),
        *(
            "entfällt",
            "Aucune",
            "ninguna",
            "pendiente",
            "intérimaire",
            "Zeitarbeit",
            "нет",
            "なし",
            "未定",
            "없음",
            "s/d",
        ),
        *(
            "Pending-HR",
            "NoEmpID",
            "UNSET",
            "NN",
            "HR",
            "Staff",
            "nobody",
            "WAHR",
            "FALSCH",
            "dummy1",
            "test1",
        ),
        *("Contractor-ACME", "Vendor: Initech", "temp_agency"),
    ],
)
def test_an_employee_id_that_names_nobody_joins_nobody(text: str) -> None:
    assert columns({"employee_id": text})["employee_key"] == ""


@pytest.mark.parametrize(
    "text",
    [
        "7",
        "K7",
        "1111",
        "E100",
        "JDOE",
        "AB-12",
        "100000",
        "1.5",
        "NA12345",
        "EMP-1001",
        "TBDX9",
        "PEN1",
        "AA-1",
    ],
)
def test_an_ordinary_employee_id_is_kept(text: str) -> None:
    assert columns({"employee_id": text})["employee_key"] == text.lower()


IDENTIFY_NOBODY = [
    *(
        "System.Byte[]",
        "#REF!",
        "Microsoft.ActiveDirectory.Management.ADPropertyValueCollection",
        "[object Object]",
    ),
    *(
        "00000000-0000-0000-0000-000000000000",
        "0",
        "0000",
        "1.04858E+20",
        "TBD",
        "undefined",
        "n/a",
        "nan",
        "?",
        "None",
    ),
]


@pytest.mark.parametrize("text", IDENTIFY_NOBODY)
def test_an_immutable_id_that_identifies_nobody_is_unknown(text: str) -> None:
    raw = {"login": "ann", "source_key": text}
    assert (columns(raw)["source_key"], source_key_of(raw)) == ("", "")


@pytest.mark.parametrize(
    "text", ["7", "1000001", "12345678", "999999", "AAAA", "MDQ6VXNlcjE=", "arn:aws:iam::1:user/a"]
)
def test_an_ordinary_immutable_id_is_kept(text: str) -> None:
    raw = {"login": "ann", "source_key": text}
    assert (columns(raw)["source_key"], source_key_of(raw)) == (text, text)


@pytest.mark.parametrize(
    ("field", "key"), [("employee_id", "employee_key"), ("manager", "manager_key"), ("owner", "owner_key")]
)
def test_a_number_that_a_spreadsheet_made_of_an_id_is_the_id(field: str, key: str) -> None:
    assert columns({field: "1001.0"})[key] == "1001"


@pytest.mark.parametrize(
    "text",
    ["SMTP:SMTP:k@x.org", "mailto:SMTP:k@x.org", "mailto://k@x.org", "E-mail: k@x.org", "PRIMARY:k@x.org"],
)
def test_each_prefix_of_an_address_is_removed(text: str) -> None:
    assert columns({"email": text})["email"] == "k@x.org"
