"""Lists of a record: factors, roles, groups, forwarding addresses and applications, in every form that exports have."""

import json
from typing import Any

import pytest

from checks.importing import times
from checks.importing.records import COLUMNS, Problem, Record, RecordParser
from checks.importing.rules import Note, NoteKind, ReadingRules
from checks.models import Assurance

ANY, ENTRA = ReadingRules(), ReadingRules(entra=True)
WITH_WORDS = ReadingRules(
    words=(
        ("mfa_factors", "Yubi", "fido2"),
        ("mfa_factors", "Nix", "none"),
        ("mfa_factors", "acme:otp", "totp"),
    )
)
NO_LIST = "a list (in CSV: items separated by a vertical bar, semicolon, comma or line break)"
NO_FACTOR = 'factors such as {"kind": "sms", "device": "+15550100", "status": "active"} (CSV: sms:+15550100)'
NO_APPLICATION = 'applications such as {"name": "Jira", "last_used_at": "2026-01-02"} (CSV: Jira=2026-01-02)'
POWERSHELL = (
    "PowerShell wrote the type or a shortened form of a list instead of its values. Join the values before "
    "Export-Csv, for example @{n='Roles';e={$_.Roles -join ';'}}, and export again"
)
SPREADSHEET = "this is a spreadsheet's error value. Correct the formula or the column width, and export again"
SMS_1 = {"kind": "sms", "device": "1"}
PUSH, SMS, EMAIL = {"kind": "push"}, {"kind": "sms"}, {"kind": "email"}


def read(rules: ReadingRules, field: str, value: Any) -> tuple[Any, list[Note]]:
    record = RecordParser(rules).parse({"login": "ann", field: value})
    assert isinstance(record, Record), record
    stored = record.values[COLUMNS.index(field)]
    return stored and json.loads(stored), record.notes


def refused(field: str, value: Any) -> str:
    """What was expected instead of the value."""
    problems = RecordParser().parse({"login": "ann", field: value})
    assert isinstance(problems, list), problems
    (problem,) = problems
    assert isinstance(problem, Problem)
    assert problem.column == field
    return problem.expected


# --- Factors ----------------------------------------------------------------------------------------
OKTA_FACTORS: list[tuple[dict[str, str], str, Assurance | None]] = [
    ({"factorType": "token", "provider": "RSA"}, "hardware_otp_pin", Assurance.HIGH),
    ({"factorType": "token", "provider": "SYMANTEC"}, "software_oath", Assurance.MEDIUM),
    ({"factorType": "token", "provider": "symantec", "status": "ACTIVE"}, "software_oath", Assurance.MEDIUM),
    ({"factorType": "token", "provider": "OKTA"}, "hardware_otp", Assurance.MEDIUM),
    ({"factorType": "token"}, "hardware_otp", Assurance.MEDIUM),
    ({"factorType": "token:hardware", "provider": "YUBICO"}, "hardware_otp", Assurance.MEDIUM),
    ({"factorType": "token:software:totp", "provider": "GOOGLE"}, "totp", Assurance.MEDIUM),
    # Duo decides which method is used.
    ({"factorType": "web", "provider": "DUO"}, "external", None),
    ({"factorType": "signed_nonce", "provider": "OKTA"}, "fastpass", Assurance.HIGH),
    ({"factorType": "push", "provider": "OKTA"}, "push", Assurance.MEDIUM),
]


@pytest.mark.parametrize("in_cell", [False, True])
@pytest.mark.parametrize(("factor", "kind", "assurance"), OKTA_FACTORS)
def test_the_provider_decides_the_kind_of_a_token_of_okta(
    in_cell: bool, factor: dict[str, str], kind: str, assurance: Assurance | None
) -> None:
    value = json.dumps([factor]) if in_cell else [factor]
    record = RecordParser().parse({"login": "ann", "mfa_factors": value})
    assert isinstance(record, Record)
    found = dict(zip(COLUMNS, record.values, strict=True))
    stored = json.loads(str(found["mfa_factors"]))
    assert ([each["kind"] for each in stored], found["assurance"], found["mfa"]) == ([kind], assurance, True)


@pytest.mark.parametrize(
    ("value", "factors"),
    [
        # kind:device
        ("sms:+15550100", [{"kind": "sms", "device": "+15550100"}]),
        ("sms:1|push", [SMS_1, PUSH]),
        ("SMS : +1 555 0100", [{"kind": "sms", "device": "+1 555 0100"}]),
        ("sms: 1", [SMS_1]),
        ("sms:", [SMS]),
        ("push::x", [{"kind": "push", "device": "x"}]),
        ("sms::x", [{"kind": "sms", "device": "x", "status": "unknown"}]),
        ("push:ünï", [{"kind": "push", "device": "ünï"}]),
        ("sms:ünï", [{"kind": "sms", "device": "ünï", "status": "unknown"}]),
        ("push:none", []),
        ("push:none1", [{"kind": "push", "device": "none1"}]),
        ("push:Array", [{"kind": "push", "device": "Array", "status": "unknown"}]),
        ("fido2:yubi.key", [{"kind": "fido2", "device": "yubi.key"}]),
        ("app:-- 12", [{"kind": "totp", "device": "-- 12"}]),
        ("app:_x", [{"kind": "totp", "device": "_x"}]),
        # A longer known kind, whatever stands between its words.
        ("push:notification", [PUSH]),
        ("push:Notification", [PUSH]),
        # A state in place of the device, or in its name.
        ("push:(enabled)", [{"kind": "push", "status": "(enabled)"}]),
        ("push:- true", [{"kind": "push", "device": "- true", "status": "unknown"}]),
        ("push:expired phone", [{"kind": "push", "device": "expired phone", "status": "expired"}]),
        ("push:00 phone", [{"kind": "push", "device": "00 phone", "status": "unknown"}]),
        ("push:none phone", [{"kind": "push", "device": "none phone", "status": "unknown"}]),
        ("push:nil phone", [{"kind": "push", "device": "nil phone", "status": "unknown"}]),
        ("push:Ann expired", [{"kind": "push", "device": "Ann expired", "status": "unknown"}]),
        ("push:Ann 00", [{"kind": "push", "device": "Ann 00"}]),
        ("push:Ann - phone", [{"kind": "push", "device": "Ann - phone"}]),
        # The longest known kind wins.
        ("token:software:totp:GOOGLE", [{"kind": "totp", "device": "GOOGLE"}]),
        ("token:software:totp", [{"kind": "totp"}]),
        ("token:hardware:123", [{"kind": "hardware_otp", "device": "123"}]),
        ("token:hotp:x1", [{"kind": "hardware_otp", "device": "x1"}]),
        ("microsoft.graph.fido2AuthenticationMethod:Key 1", [{"kind": "fido2", "device": "Key 1"}]),
        # Several in one text.
        ("push,sms;totp", [PUSH, SMS, {"kind": "totp"}]),
        ("push sms totp", [PUSH, SMS, {"kind": "totp"}]),
        ("windows hello", [{"kind": "windows_hello"}]),
        ("question|sms:1", [{"kind": "security_question"}, SMS_1]),
        ("push:Kim's foo:bar", [{"kind": "push", "device": "Kim's foo:bar"}]),
        ("sms:1 / push:2", [SMS_1, {"kind": "push", "device": "2"}]),
        ("sms:1+push:2|totp", [SMS_1, {"kind": "push", "device": "2"}, {"kind": "totp"}]),
        ("sms:off / push:off", []),
        ("sms/push:off", []),
        ("['push','sms']", [PUSH, SMS]),
        ("(push, sms)", [PUSH, SMS]),
        ('"push"', [PUSH]),
        ("[push", [PUSH]),
        ("push]", [PUSH]),
        ("sms|sms", [SMS, SMS]),
        # JSON in a text.
        ('["push","sms"]', [PUSH, SMS]),
        ('{"kind":"sms","device":"1"}', [SMS_1]),
        ('[{"kind":"sms","device":""}]', [SMS]),
        # No entries.
        ("push|none", [PUSH]),
        ("push|n/a", [PUSH]),
        ("push|disabled", [PUSH]),
        ("push|unknown", [PUSH]),
        ('[null,"push"]', [PUSH]),
        ('["not enrolled","push"]', [PUSH]),
        ("none", []),
        ("n/a", []),
        ("|", []),
        ("[]", []),
        ("{}", []),
        ("[[]]", []),
        ("[null]", []),
        ('["none"]', []),
        # The source cannot say.
        ("unknown", None),
        ("?", None),
        ('["unknown"]', None),
        # Values of JSON.
        (["sms "], [SMS]),
        (["push sms"], [PUSH, SMS]),
        (["push, none"], [PUSH]),
        ([{"kind": " SMS "}], [SMS]),
        ([{"kind": "sms", "factorType": "push"}], [SMS]),
        ([{"factorType": "sms", "status": "ACTIVE"}], [{"kind": "sms", "status": "ACTIVE"}]),
        ([{"@odata.type": "push"}], [PUSH]),
        ([{"type": "push"}], [PUSH]),
        ([{"method": "push"}], [PUSH]),
        ([{"authenticatorName": "push"}], [PUSH]),
        ([{"name": "push"}], [PUSH]),
        ([{"kind": "sms", "device": 1}], [SMS_1]),
        ([{"kind": "sms", "device": " 1 "}], [SMS_1]),
        ([{"kind": "sms", "device": None}], [SMS]),
        ([{"kind": "sms", "device": "unknown"}], [SMS]),
        ([{"kind": "push", "device": "unknown1"}], [{"kind": "push", "device": "unknown1"}]),
        (
            [{"kind": "sms", "device": "unknown1"}],
            [{"kind": "sms", "device": "unknown1", "status": "unknown"}],
        ),
        ([{"kind": "sms", "status": "unknown"}], [{"kind": "sms", "status": "unknown"}]),
        ([{"kind": "sms", "status": "pending"}], [{"kind": "sms", "status": "pending"}]),
        # A state beside the kind.
        ([{"kind": "sms", "status": True}], [{"kind": "sms", "status": "true"}]),
        ([{"kind": "sms", "status": False}], [{"kind": "sms", "status": "false"}]),
        ([{"kind": "sms", "state": "off"}], [{"kind": "sms", "status": "off"}]),
        ([{"kind": "sms", "enrollmentStatus": "off"}], [{"kind": "sms", "status": "off"}]),
        ([{"kind": "sms", "confirmed": False}], [{"kind": "sms", "status": "inactive"}]),
        ([{"kind": "sms", "confirmed": "maybe"}], [{"kind": "sms", "status": "unknown"}]),
        ([{"kind": "sms", "confirmed": None}], [SMS]),
        ([{"kind": "push", "device": "none", "status": "on"}], [{"kind": "push", "status": "on"}]),
        ([{"kind": "push", "device": "off", "status": "on"}], [{"kind": "push", "status": "on"}]),
        ([{"kind": "push", "device": "expired", "status": "on"}], [{"kind": "push", "status": "on"}]),
        (
            [{"kind": "sms", "device": "my phone", "status": "on"}],
            [{"kind": "sms", "device": "my phone", "status": "on"}],
        ),
        (
            [{"kind": "push", "device": "lost phone", "status": "on"}],
            [{"kind": "push", "device": "lost phone", "status": "on"}],
        ),
        ([{"kind": "sms:off"}], []),
        ([{"kind": "sms:1"}], [SMS_1]),
        ([{"type": "sms", "phoneNumber": "off"}], []),
        ([{"type": "sms", "phoneNumber": "lost +1"}], [{"kind": "sms", "status": "unknown"}]),
        ([{"kind": "push"}, {"kind": "none"}], [PUSH]),
        ([{"kind": "none"}], []),
        (False, []),
        (0, []),
        ({}, []),
        ([""], []),
        (["  "], []),
        ([None], []),
        ([False], []),
        ([{}], []),
        ([[]], []),
        # Of a list that names Entra's methods, those that only reset passwords are none.
        (["emailAuthenticationMethod", "push"], [PUSH]),
        (["email:1", "mobilePhone:2"], [{"kind": "phone", "device": "2"}]),
        ([{"@odata.type": "#microsoft.graph.emailAuthenticationMethod"}], []),
        (["email", {"@odata.type": "#microsoft.graph.fido2AuthenticationMethod"}], [{"kind": "fido2"}]),
        (["email", "microsoft.graph.fido2AuthenticationMethod"], [{"kind": "fido2"}]),
        (["email", {"kind": "sms"}], [EMAIL, SMS]),
        ("email|push", [EMAIL, PUSH]),
    ],
)
def test_factors_are_read(value: Any, factors: Any) -> None:
    assert read(ANY, "mfa_factors", value) == (factors, [])


@pytest.mark.parametrize(
    ("value", "factors", "unknown"),
    [
        ("push foo", [{"kind": "push foo"}], ["push foo"]),
        ("a:b:c", [{"kind": "a", "device": "b:c"}], ["a"]),
        ("none:x", [{"kind": "none", "device": "x"}], ["none"]),
        ("Array:1", [{"kind": "Array", "device": "1"}], ["Array"]),
        ("a|", [{"kind": "a"}], ["a"]),
        ([{"kind": "Foo"}], [{"kind": "Foo"}], ["Foo"]),
        (["push", "a,b"], [PUSH, {"kind": "a"}, {"kind": "b"}], ["a", "b"]),
        ("k" * 64, [{"kind": "k" * 64}], ["k" * 59 + "…"]),
    ],
)
def test_an_unknown_kind_is_stored_as_it_is_written_and_reported(
    value: Any, factors: Any, unknown: list[str]
) -> None:
    notes = [Note("mfa_factors", NoteKind.UNKNOWN_WORD, kind, "") for kind in unknown]
    assert read(ANY, "mfa_factors", value) == (factors, notes)


@pytest.mark.parametrize(
    ("value", "factors"),
    [
        ("email|push", [PUSH]),
        ("email", []),
        ("securityQuestion|email|sms", [SMS]),
        ("email:a@b.c|sms:1", [SMS_1]),
    ],
)
def test_methods_of_an_entra_source_that_only_reset_passwords_are_no_factors(
    value: str, factors: list[Any]
) -> None:
    assert read(ENTRA, "mfa_factors", value)[0] == factors


@pytest.mark.parametrize(
    ("value", "factors"),
    [
        ("Yubi", [{"kind": "fido2"}]),
        ("yubi|push", [{"kind": "fido2"}, PUSH]),
        ("yubi:serial1", [{"kind": "fido2", "device": "serial1"}]),
        ("Nix", []),
        ("Nix|push", [PUSH]),
        ("acme:otp:1", [{"kind": "totp", "device": "1"}]),
        ("acme:otp", [{"kind": "totp"}]),
        ([{"kind": "Nix"}], []),
        ([{"kind": "YUBI"}], [{"kind": "fido2"}]),
        ("Yubi:-", []),
        ("Yubi:?", [{"kind": "fido2", "status": "?"}]),
    ],
)
def test_a_source_s_own_words_for_factors(value: Any, factors: list[Any]) -> None:
    assert read(WITH_WORDS, "mfa_factors", value) == (factors, [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (True, NO_LIST),
        (1, NO_LIST),
        (1.5, NO_LIST),
        ({"kind": "sms"}, NO_LIST),
        ([0], NO_FACTOR),
        ([True], NO_FACTOR),
        ([{"kind": 5}], NO_FACTOR),
        ([{"foo": "push"}], NO_FACTOR),
        ("[1]", NO_FACTOR),
        ([{"kind": ""}], "factors whose kind has 1 to 64 characters"),
        ([{"kind": " "}], "factors whose kind has 1 to 64 characters"),
        (":x", "factors whose kind has 1 to 64 characters"),
        ("k" * 65, "factors whose kind has 1 to 64 characters"),
        ("push:" + "d" * 256, "factors whose device has at most 255 characters"),
        ("push:" + "ß" * 128, "factors whose device has at most 255 characters"),
        # It would take minutes to look for the longest known kind in these.
        ("a:" * 100_000, "factors of at most 500 characters"),
        ([{"kind": ":" * 100_000}], "factors of at most 500 characters"),
        ("sms:1|" + "/:" * 100_000, "factors of at most 500 characters"),
        ([{"kind": "sms", "device": [1]}], "text"),
        ('["\\u0000"]', "text without NUL characters"),
        (["sms"] * 10_001, "a list of at most 10,000 items (it has 10,001)"),
        ("push|System.Object[]", f"a list of values; {POWERSHELL}"),
        ([{"kind": "System.Object[]"}], f"a list of values; {POWERSHELL}"),
        ("sms System.Object[]", f"a list of values; {POWERSHELL}"),
        ("sms:System.Object[]", f"a list of values; {POWERSHELL}"),
        ("sms:#REF!", f"a list of values; {SPREADSHEET}"),
        # Folded, these would be words for nothing.
        (["#N/A"], f"a list of values; {SPREADSHEET}"),
        ("push|#N/A", f"a list of values; {SPREADSHEET}"),
        ("push|#####", f"a list of values; {SPREADSHEET}"),
        ('["push", "#NULL!"]', f"a list of values; {SPREADSHEET}"),
    ],
)
def test_what_is_no_list_of_factors_is_refused_with_what_was_expected(value: Any, expected: str) -> None:
    assert refused("mfa_factors", value) == expected


def test_the_longest_lists_and_devices_are_taken() -> None:
    assert read(ANY, "mfa_factors", ["sms"] * 10_000)[0] == [SMS] * 10_000
    longest = {"kind": "push", "device": "d" * 255}
    assert read(ANY, "mfa_factors", [longest])[0] == [longest]


# --- Names ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("a|b", ["a", "b"]),
        ("a,b", ["a", "b"]),
        ("a;b", ["a", "b"]),
        ("a\nb\r\nc", ["a", "b", "c"]),
        ("a|b,c", ["a", "b,c"]),
        ("  a  ", ["a"]),
        ('"a","b"', ["a", "b"]),
        ("'a'", ["a"]),
        ("[a; b]", ["a", "b"]),
        ('["a,b","c"]', ["a,b", "c"]),
        ('["a"] ', ["a"]),
        # A distinguished name holds commas.
        ("CN=A,OU=B|CN=C,OU=D", ["CN=A,OU=B", "CN=C,OU=D"]),
        ("CN=A,OU=B,DC=x;CN=C,DC=x", ["CN=A,OU=B,DC=x", "CN=C,DC=x"]),
        ("uid=a,o=b", ["uid=a,o=b"]),
        ("X=a,b", ["X=a", "b"]),
        # Beside others a group may be called Disabled; alone it is a word for none.
        ("a|Disabled", ["a", "Disabled"]),
        ("a|off", ["a", "off"]),
        ("Disabled", []),
        ("a|none", ["a"]),
        ("a|null", ["a"]),
        ("a|nil", ["a"]),
        ("a|N/A ", ["a"]),
        ("a|unknown", ["a"]),
        ("a|???", ["a"]),
        ("a|-", ["a"]),
        ("none", []),
        ("none|n/a", []),
        ("-", []),
        ("unknown", None),
        ("unknown|none", None),
        (["a", "b"], ["a", "b"]),
        (["a", " "], ["a"]),
        (["a", None], ["a"]),
        (["a", False], ["a"]),
        ([{"value": "g1", "display": "Staff"}, {"value": "g2"}], ["Staff", "g2"]),
        ([{"group_id": "DG1", "name": "Staff"}], ["Staff"]),
        ([{"name": " "}, "a"], ["a"]),
        # A bracket at one end belongs to the name.
        ("Xa]", ["Xa]"]),
        ("[aX", ["[aX"]),
        ([{"@odata.type": "#microsoft.graph.group", "displayName": "Staff"}], ["Staff"]),
        ('[{"name": "Staff"}]', ["Staff"]),
        (["a", {}], ["a"]),
        (["a", []], ["a"]),
        ([" "], []),
        # Longer than what is remembered.
        ("a" * 2_001, ["a" * 2_001]),
        (["x" * 2_001, "y"], ["x" * 2_001, "y"]),
    ],
)
def test_names_of_groups_are_read(value: Any, names: Any) -> None:
    assert read(ANY, "groups", value) == (names, [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["a", 1], "a list of texts"),
        ([1], "a list of texts"),
        ("[1]", "a list of texts"),
        ('{"a":1}', "a list of texts"),
        ([{"display": 5}], "a list of texts"),
        ({"a": 1}, NO_LIST),
    ],
)
def test_what_is_no_list_of_names_is_refused(value: Any, expected: str) -> None:
    assert refused("groups", value) == expected


@pytest.mark.parametrize(
    ("field", "value", "word", "advice"),
    [
        ("groups", ["System.Object[]"], "System.Object[]", POWERSHELL),
        ("groups", ["a", "System.Object[]"], "System.Object[]", POWERSHELL),
        ("groups", ["a", "MultiValuedProperty"], "MultiValuedProperty", POWERSHELL),
        ("groups", "a|#N/A", "#N/A", SPREADSHEET),
        ("groups", "a|#####", "#####", SPREADSHEET),
        ("groups", ["#NULL!"], "#NULL!", SPREADSHEET),
        ("forwarding", ["a@x.example", "System.Object[]"], "System.Object[]", POWERSHELL),
        ("applications", "Jira|System.Object[]", "System.Object[]", POWERSHELL),
        ("applications", ["#N/A"], "#N/A", SPREADSHEET),
    ],
)
def test_a_leftover_in_a_list_makes_it_unknown(field: str, value: Any, word: str, advice: str) -> None:
    assert read(ANY, field, value) == (None, [Note(field, NoteKind.LEFTOVER, word, advice)])


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        ("Reader|System.Object[]", POWERSHELL),
        (["System.Object[]"], POWERSHELL),
        (["#N/A"], SPREADSHEET),
        ("Reader|#####", SPREADSHEET),
    ],
)
def test_a_leftover_in_the_roles_refuses_the_record(value: Any, advice: str) -> None:
    assert refused("admin_roles", value) == f"a list of values; {advice}"


# --- Forwarding -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "addresses"),
    [
        ("a@x.example", ["a@x.example"]),
        ("a@x.example;b@y.example", ["a@x.example", "b@y.example"]),
        ("a@x.example, b@y.example", ["a@x.example", "b@y.example"]),
        ("smtp:a@x.example", ["a@x.example"]),
        ("Kim <a@x.example>", ["a@x.example"]),
        (["mailto:a@x.example?subject=1"], ["a@x.example"]),
        (["a@x.example", " "], ["a@x.example"]),
        (["a@x.example", "undefined"], ["a@x.example"]),
        (["a@x.example", "undefined", " ", "b@x.example"], ["a@x.example", "b@x.example"]),
        ("A@x.example|n/a", ["A@x.example"]),
        ("none", []),
        ("-", []),
        ([" "], []),
        (["undefined"], None),
        (["not set", "a@x.example"], ["a@x.example"]),
        ("a@" + "d" * 255, ["a@" + "d" * 255]),
        ("a" * 318 + "@x", ["a" * 318 + "@x"]),
    ],
)
def test_forwarding_addresses_are_read(value: Any, addresses: Any) -> None:
    assert read(ANY, "forwarding", value) == (addresses, [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("nobody", "a list of e-mail addresses ('nobody' is none)"),
        (["a@x.example", "nobody"], "a list of e-mail addresses ('nobody' is none)"),
        ("a@b@c", "a list of e-mail addresses ('a@b@c' is none)"),
        ("a b@x.example", "a list of e-mail addresses ('a b@x.example' is none)"),
        ("a" * 319 + "@x", f"a list of e-mail addresses ('{'a' * 59}…' is none)"),
        ("a@" + "d" * 256, "a list of e-mail addresses with domains of at most 255 characters"),
        ("a@" + "ß" * 128, "a list of e-mail addresses with domains of at most 255 characters"),
        (["a@x.example", 1], "a list of texts"),
    ],
)
def test_what_is_no_list_of_addresses_is_refused(value: Any, expected: str) -> None:
    assert refused("forwarding", value) == expected


# --- Applications -----------------------------------------------------------------------------------
JIRA, USED = {"name": "Jira"}, "2026-01-02 00:00:00"


@pytest.mark.parametrize(
    ("value", "applications"),
    [
        ("Jira=2026-01-02", [JIRA | {"last_used_at": USED}]),
        ("a=b=2026-01-02", [{"name": "a=b", "last_used_at": USED}]),
        ("Jira", [JIRA]),
        ("Jira=unknown", [JIRA]),
        ("Jira=Array", [JIRA]),
        ("Jira=9999-12-31", [JIRA]),
        ("Jira=", [JIRA | {"last_used_at": None}]),
        ("Jira=never", [JIRA | {"last_used_at": None}]),
        ("Jira,Mail", [JIRA, {"name": "Mail"}]),
        ("Jira;Mail=2026-01-02", [JIRA, {"name": "Mail", "last_used_at": USED}]),
        ("Jira=2026-01-02, 10:00|X", [JIRA | {"last_used_at": "2026-01-02 10:00:00"}, {"name": "X"}]),
        ("Jira|none", [JIRA]),
        ("none", []),
        (" = ", []),
        ("unknown", None),
        (["Jira", "Mail=2026-01-02"], [JIRA, {"name": "Mail", "last_used_at": USED}]),
        ([JIRA], [JIRA]),
        ([{"name": " Jira "}], [JIRA]),
        ([JIRA | {"last_used_at": "2026-01-02"}], [JIRA | {"last_used_at": USED}]),
        ([JIRA | {"last_used_at": 20260102}], [JIRA | {"last_used_at": USED}]),
        ([JIRA | {"last_used_at": None}], [JIRA | {"last_used_at": None}]),
        ([JIRA | {"last_used_at": ""}], [JIRA | {"last_used_at": None}]),
        ([JIRA | {"last_used_at": False}], [JIRA | {"last_used_at": None}]),
        ([JIRA | {"last_used_at": "2999-01-02"}], [JIRA]),
        ([JIRA | {"last_used_at": "System.Object[]"}], [JIRA]),
    ],
)
def test_applications_are_read(value: Any, applications: Any) -> None:
    assert read(ANY, "applications", value) == (applications, [])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Jira=soon", f"{NO_APPLICATION}; 'soon' is not {times.EXPECTED}"),
        ([JIRA | {"last_used_at": "soon"}], f"{NO_APPLICATION}; 'soon' is not {times.EXPECTED}"),
        ([JIRA | {"last_used_at": [1]}], f"{NO_APPLICATION}; '[1]' is not {times.EXPECTED}"),
        ("Jira=1/2/2026", f"{NO_APPLICATION}; '1/2/2026' is not {times.AMBIGUOUS}"),
        ("=2026-01-02", NO_APPLICATION),
        ([{"name": 5, "last_used_at": "2026-01-02"}], NO_APPLICATION),
        ([{"name": " "}], NO_APPLICATION),
        ([{"last_used_at": "2026-01-02"}], NO_APPLICATION),
        ([5], NO_APPLICATION),
    ],
)
def test_what_is_no_list_of_applications_is_refused(value: Any, expected: str) -> None:
    assert refused("applications", value) == expected
