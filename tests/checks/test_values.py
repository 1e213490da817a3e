"""Values one at a time, and what a record's columns are derived from: limits, boundaries and the texts of errors."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from checks.importing import records, values
from checks.importing.records import COLUMNS, Problem, Record, fingerprint, parse
from checks.importing.rules import NoteKind, ReadingRules, Words
from checks.importing.values import FUTURE, MISSING, Refused

NESTED: list[Any] = []
for _ in range(100_000):
    NESTED = [NESTED]


def columns(**raw: Any) -> dict[str, Any]:
    return dict(zip(COLUMNS, record(**raw).values, strict=True))


def record(**raw: Any) -> Record:
    found = parse({"login": "ann"} | raw)
    assert isinstance(found, Record), found
    return found


def problem(**raw: Any) -> Problem:
    found = parse({"login": "ann"} | raw)
    assert isinstance(found, list)
    assert len(found) == 1
    return found[0]


# --- Converters ---


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  abc ", "abc"),
        ("abcdefg", "abcdefg"),
        (MISSING, ""),
        (None, ""),
        (42, "42"),
        ("unknown", ""),
        (" UnKnown", ""),
        ("Unknow", "Unknow"),
        ("unknown1", "unknown1"),
    ],
)
def test_a_text_is_stripped_and_unknown_is_none(value: Any, text: str) -> None:
    assert values.text_of(8)(value) == text


@pytest.mark.parametrize(
    ("value", "expected"), [("abcdef", "at most 5 characters (it has 6)"), (True, "text"), ([], "text")]
)
def test_a_text_that_does_not_fit_is_refused(value: Any, expected: str) -> None:
    with pytest.raises(Refused) as caught:
        values.text_of(5)(value)
    assert str(caught.value) == expected


def test_a_text_as_long_as_its_column_fits() -> None:
    assert values.text_of(5)("abcde") == "abcde"


@pytest.mark.parametrize(
    ("value", "reference"),
    [(MISSING, None), ("unknown", None), ("", ""), ("  ", ""), (None, ""), (" boss ", "boss"), (7, "7")],
)
def test_a_reference_is_unknown_none_or_a_text(value: Any, reference: str | None) -> None:
    assert values.reference_of(10)(value) == reference


def test_a_reference_longer_than_its_column_is_refused() -> None:
    with pytest.raises(Refused, match=r"at most 3 characters \(it has 4\)"):
        values.reference_of(3)("boss")


@pytest.mark.parametrize(
    ("value", "chosen"),
    [
        (MISSING, None),
        ("unknown", None),
        ("", "none"),
        ("  ", "none"),
        (None, "none"),
        ("On", "yes"),
        (True, "yes"),
        (False, "no"),
    ],
)
def test_a_choice_is_looked_up_in_its_table(value: Any, chosen: str | None) -> None:
    assert values.choice({"on": "yes", "true": "yes", "false": "no"}, "on or off", "none")(value) == chosen


@pytest.mark.parametrize("value", [1.5, [], {}])
def test_a_choice_that_is_not_a_word_says_what_is_expected(value: Any) -> None:
    with pytest.raises(Refused) as caught:
        values.choice({"on": "yes"}, "on or off", None)(value)
    assert str(caught.value) == "on or off"


@pytest.mark.parametrize("value", ["32nd of May", "X5", "2026-13-01", "yesterday", True])
def test_only_what_looks_like_an_epoch_is_called_one(value: Any) -> None:
    assert (
        problem(created_at=value).expected
        == "an ISO 8601 date or time, such as 2026-01-31 or 2026-01-31T08:30:00Z"
    )


def test_digits_that_python_takes_for_a_moment_are_an_epoch() -> None:
    """`datetime.fromisoformat` takes any character for the separator, a digit too."""
    assert "since 1970" in problem(created_at="2026013151200").expected


@pytest.mark.parametrize(
    ("convert", "value", "column"),
    [
        (values.employee_id, " N/A ", ""),
        (values.employee_id, "none", ""),
        (values.employee_id, "E0000", "E0000"),
        (values.country, MISSING, ""),
        (values.country, None, ""),
        (values.country, " de ", "DE"),
        (values.country, "uk", "GB"),
        (values.country, "Unknown", ""),
        (values.ip, MISSING, ""),
        (values.ip, None, ""),
        (values.ip, "", ""),
        (values.ip, "unknown", ""),
        (values.ip, " 192.0.2.1 ", "192.0.2.1"),
        (values.ip, "[2001:DB8::1]", "2001:db8::1"),
        (values.ip, "fe80::1%" + "z" * 37, "fe80::1%" + "z" * 37),
        (values.count, MISSING, None),
        (values.count, None, None),
        (values.count, "unknown", None),
        (values.count, "", None),
        (values.count, 3.0, 3),
        (values.count, "7.0", 7),
        (values.count, "1000000", 1_000_000),
    ],
)
def test_a_value_in_its_column(convert: Callable[[Any], Any], value: Any, column: Any) -> None:
    assert convert(value) == column


@pytest.mark.parametrize(
    ("convert", "value", "expected"),
    [
        (values.country, "D", "an ISO 3166 code of two letters, such as DE, or the name of a country"),
        (values.ip, "192.0.2", "an IPv4 or IPv6 address"),
        (values.ip, "fe80::1%" + "z" * 38, "an IP address without a long zone"),
        (values.count, "00000001", "a whole number from 0 to 1,000,000"),
        (values.count, 1.5, "a whole number from 0 to 1,000,000"),
        (values.flag, [], "true or false (yes/no and 1/0 are accepted)"),
    ],
)
def test_a_value_that_is_refused_says_what_was_expected(
    convert: Callable[[Any], Any], value: Any, expected: str
) -> None:
    with pytest.raises(Refused) as caught:
        convert(value)
    assert str(caught.value) == expected


@pytest.mark.parametrize(
    ("login", "key"),
    [("  Ann@X.org ", "ann@x.org"), (7, "7"), ("x" * 320, "x" * 320)]
    + [("Ünal\u200b ", "ünal"), ("\u200b \u00c4 ", "ä"), ("ä" * 320, "ä" * 320)]
    + [(bad, "") for bad in (True, None, 1.5, [], "", "Unknown", "a\0", "\ud800", "x" * 321)]
    # The length is that of the key: the capital letter has two small ones.
    + [(bad, "") for bad in ("ä\0", "ä" * 321, "ß" * 161)],
)
def test_the_login_of_a_record_that_may_be_bad(login: Any, key: str) -> None:
    assert records.login_of({"login": login}) == key


# --- E-mail addresses and references to other users ---
@pytest.mark.parametrize(
    ("written", "address"),
    [
        ("kim@x.example", "kim@x.example"),
        # Exchange's addresses, as PowerShell writes them and as a mail client copies them.
        ("SMTP:kim@x.example", "kim@x.example"),
        ("smtp: kim@x.example", "kim@x.example"),
        ("SMTP:smtp:kim@x.example", "kim@x.example"),
        ("{SMTP:kim@x.example}", "kim@x.example"),
        ("{smtp:k.lee@x.example, SMTP:kim@x.example}", "kim@x.example"),
        ("SMTP:kim@x.example;smtp:k.lee@x.example;X500:/o=X/cn=kim", "kim@x.example"),
        ("mailto:kim@x.example", "kim@x.example"),
        ("MAILTO:kim@x.example?subject=Why?", "kim@x.example"),
        ("mailto://kim@x.example", "kim@x.example"),
        ("smtp:kim@x.example?", "kim@x.example?"),
        ("sip:kim@x.example", "kim@x.example"),
        ("E-Mail: kim@x.example", "kim@x.example"),
        ("email:kim@x.example", "kim@x.example"),
        ("Primary: kim@x.example", "kim@x.example"),
        ("Lee, Kim <kim@x.example>", "kim@x.example"),
        ("Kim Lee < smtp:kim@x.example > ", "kim@x.example"),
        ("<kim@x.example>", "kim@x.example"),
        ("'kim@x.example'", "kim@x.example"),
        ("'KIM@X.MX'", "KIM@X.MX"),
        ('["kim@x.example"]', "kim@x.example"),
        ("[ kim@x.example ]", "kim@x.example"),
        # GitHub's verified addresses; a separator that was left behind.
        ("kim@x.example; lee@x.example", "kim@x.example"),
        ("kim@x.example,lee@x.example|k@x.example", "kim@x.example"),
        (" ;kim@x.example;", "kim@x.example"),
        # Words for nothing.
        ("", ""),
        ("''", ""),
        ("none", ""),
        ("N/A", ""),
        ("0", ""),
        ("#n/a", ""),
        ("(not set)", ""),
        ("no data", ""),
    ],
)
def test_an_address_is_found_in_what_exports_write_around_it(written: str, address: str) -> None:
    assert columns(email=written)["email"] == address


@pytest.mark.parametrize(
    "written",
    [
        "kim",
        "kim@",
        "smtp:kim",
        "Kim Lee <kim>",
        "kim@x.example, lee",
        # Which of two is the primary one, or that none is.
        "smtp:kim@x.example,smtp:lee@x.example",
        "SMTP:kim@x.example,SMTP:lee@x.example",
        "SMTP:kim,smtp:lee@x.example",
    ],
)
def test_what_holds_no_address_or_no_first_one_is_refused(written: str) -> None:
    assert problem(email=written) == Problem("email", written, "an e-mail address")


@pytest.mark.parametrize("column", ["manager", "owner"])
@pytest.mark.parametrize(
    ("written", "reference"),
    [
        ("00u1ab", "00u1ab"),
        ("boss@x.example", "boss@x.example"),
        ("smtp:boss@x.example", "boss@x.example"),
        ("mailto:boss@x.example?cc=a", "boss@x.example"),
        ("Boss, Big <boss@x.example>", "boss@x.example"),
        ("Big Boss", "Big Boss"),
        ("CN=Boss\\, Big,OU=Staff,DC=x", "CN=Boss\\, Big,OU=Staff,DC=x"),
        ("user:4711", "user:4711"),
        ("<boss>", "<boss>"),
        ("0", ""),
        ("-", ""),
        ("N/A", ""),
        ("None", ""),
        ("No manager", ""),
        ("NOT_ASSIGNED", ""),
        ("(vacant)", ""),
        ("Manager not assigned", ""),
        ("vacant position in Berlin", "vacant position in Berlin"),
        ("Unknown", None),
    ],
)
def test_a_reference_names_another_user_or_nobody(column: str, written: str, reference: str | None) -> None:
    assert columns(**{column: written})[column] == reference


def test_a_reference_that_begins_as_an_address_has_to_be_one() -> None:
    assert problem(manager="smtp:boss") == Problem("manager", "smtp:boss", "an e-mail address")


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("CN=Lee Kim,OU=Staff,DC=x,DC=example", "Lee Kim"),
        ("CN=Lee\\, Kim,OU=Staff,DC=x", "Lee, Kim"),
        (" cn = Kim , ou=Staff,dc=x", "Kim"),
        ("UID=kim=1,O=x", "kim=1"),
        ("E=kim@x.example,C=DE", "kim@x.example"),
    ],
)
def test_a_distinguished_name_begins_with_the_common_name(reference: str, name: str) -> None:
    assert values.is_distinguished_name(reference)
    assert values.common_name(reference) == name


@pytest.mark.parametrize("reference", ["Lee, Kim", "CN=Kim", "a=b,c=d", "kim@x.example", ""])
def test_any_other_reference_is_no_distinguished_name(reference: str) -> None:
    assert not values.is_distinguished_name(reference)


# --- Words of texts ---
@pytest.mark.parametrize(
    ("column", "written", "stored"),
    [
        *[(column, "-", "") for column in ("department", "title", "company", "phone")],
        *[(column, "Not set", "") for column in ("department", "title", "company", "phone")],
        # Somebody's name.
        *[(column, "None", "None") for column in ("display_name", "first_name", "last_name")],
        *[(column, "Nil", "Nil") for column in ("display_name", "first_name", "last_name")],
        ("department", "Not applicable", ""),
        ("department", "Not applicable to us", "Not applicable to us"),
        ("employee_id", "#n/a", ""),
        ("source_key", "null", ""),
        ("source_key", "0", ""),
        ("source_key", "00000", ""),
        ("locale", " pt_BR ", "pt-BR"),
        ("locale", "zh_Hant_TW", "zh-Hant-TW"),
        ("locale", "de-", ""),
        ("phone", 4930123, "4930123"),
    ],
)
def test_a_word_for_nothing_is_none_where_no_name_is_meant(column: str, written: Any, stored: str) -> None:
    assert columns(**{column: written})[column] == stored


@pytest.mark.parametrize(
    ("column", "longest"),
    [
        ("login", 320),
        ("display_name", 320),
        ("first_name", 255),
        ("department", 255),
        ("employee_id", 128),
        ("source_key", 255),
        ("phone", 64),
        ("locale", 35),
        ("manager", 320),
        ("owner", 320),
    ],
)
def test_a_text_longer_than_its_column_is_refused(column: str, longest: int) -> None:
    record(**{column: "x" * longest})
    expected = f"at most {longest} characters (it has {longest + 1})"
    assert problem(**{column: "x" * (longest + 1)}).expected == expected


# --- Words of a choice, a country and a flag; the source's own come first ---
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def read(column: str, value: Any, *words: tuple[str, str]) -> tuple[Any, list[tuple[NoteKind, str, str]]]:
    """The column's value and its notes (kind, word, text), at noon of 1 January 2026, by the source's own words."""
    own: Words = tuple((column, word, meaning) for word, meaning in words)
    found = records.RecordParser(ReadingRules(words=own), NOON).parse({"login": "ann", column: value})
    assert isinstance(found, Record), found
    assert {note.field for note in found.notes} <= {column}
    stored = found.values[COLUMNS.index(column)]
    return stored, [(note.kind, note.word, note.text) for note in found.notes]


def unknown_word(word: str) -> list[tuple[NoteKind, str, str]]:
    return [(NoteKind.UNKNOWN_WORD, word, "")]


@pytest.mark.parametrize(
    ("column", "written", "stored"),
    [
        ("status", " locked OUT ", "locked_out"),
        ("status", 1, "active"),
        ("status", 0, "disabled"),
        ("status", False, "disabled"),
        # Active Directory's userAccountControl.
        ("status", "514", "disabled"),
        ("status", 512, "active"),
        ("status", "n/a", None),
        ("status", "-", None),
        ("status", "?", None),
        ("status", "not available", None),
        ("user_type", "n/a", ""),
        ("user_type", "not_supported", ""),
        ("user_type", "--", ""),
        ("user_type", "(?)", None),
        ("user_type", "access denied", None),
        ("mfa_bypass", "n/a", None),
        ("mfa_bypass", "-", None),
        ("mfa_bypass", "Undefined", None),
        ("mfa_bypass", "Enabled", True),
        ("mfa_bypass", "Ja", True),
        ("mfa_bypass", "not set up", False),
        ("mfa_enabled", "Enforced", True),
        ("last_sign_in_country", "Germany", "DE"),
        ("last_sign_in_country", "NA", "NA"),
        ("last_sign_in_country", "n/a", ""),
        ("last_sign_in_country", "none", ""),
        ("last_sign_in_country", "not available", ""),
        ("failed_sign_ins", "n/a", None),
        ("failed_sign_ins", "not available", None),
        ("failed_sign_ins", "0000012", 12),
        ("last_sign_in_ip", "n/a", ""),
        ("last_sign_in_ip", "not available", ""),
        ("last_sign_in_ip", "[192.0.2.1]", "192.0.2.1"),
    ],
)
def test_a_word_is_read_without_a_note(column: str, written: Any, stored: Any) -> None:
    assert read(column, written) == (stored, [])


@pytest.mark.parametrize(
    ("column", "written", "stored", "word"),
    [
        ("status", " Foo ", None, "Foo"),
        ("status", 7, None, "7"),
        ("status", "\N{CHECK MARK}", None, "\N{CHECK MARK}"),
        ("user_type", "Foo", None, "Foo"),
        ("mfa_bypass", "perhaps", None, "perhaps"),
        # Per-user MFA of Microsoft Entra: asked to enrol, perhaps for years.
        ("mfa_enabled", "Enabled", None, "Enabled"),
        ("last_sign_in_country", " Atlantis ", "", "Atlantis"),
        # A proxy, in MaxMind's database.
        ("last_sign_in_country", "A1", "", "A1"),
    ],
)
def test_a_word_without_a_meaning_is_unknown_and_reported(
    column: str, written: Any, stored: Any, word: str
) -> None:
    assert read(column, written) == (stored, unknown_word(word))


@pytest.mark.parametrize(
    ("column", "word", "meaning", "stored"),
    [
        ("status", "Foo", "disabled", "disabled"),
        ("status", "active", "on_leave", "on_leave"),
        ("status", "Foo", "unknown", None),
        ("status", "514", "active", "active"),
        ("user_type", "Foo", "guest", "guest"),
        ("user_type", "Foo", "none", ""),
        ("user_type", "Guest", "unknown", None),
        ("mfa_enabled", "Enabled", "true", True),
        ("mfa_bypass", "Yes", "false", False),
        ("password_never_expires", "Yes", "unknown", None),
        ("credentials_exposed", "\N{CHECK MARK}", "true", True),
        ("last_sign_in_country", "Atlantis", "de", "DE"),
        ("last_sign_in_country", "HQ", "none", ""),
        ("last_sign_in_country", "DE", "unknown", ""),
        ("last_sign_in_country", "***", "FR", "FR"),
    ],
)
def test_a_source_s_own_word_comes_first(column: str, word: str, meaning: str, stored: Any) -> None:
    assert read(column, word, (word, meaning)) == (stored, [])
    assert read(column, f" {word.upper()} ", (word, meaning)) == (stored, [])


@pytest.mark.parametrize("value", ["1", "49", "D"])
def test_what_cannot_be_a_country_is_refused(value: str) -> None:
    expected = "an ISO 3166 code of two letters, such as DE, or the name of a country"
    assert problem(last_sign_in_country=value) == Problem("last_sign_in_country", value, expected)


# --- Times that are words, sentinels or still to come ---
A_TIME = "an ISO 8601 date or time, such as 2026-01-31 or 2026-01-31T08:30:00Z"
AN_EPOCH = f"{A_TIME}; it looks like seconds or milliseconds since 1970"


@pytest.mark.parametrize("column", ["created_at", "password_changed_at", "status_changed_at"])
@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-01-02T12:00:00Z", "2026-01-02 12:00:00"),
        ("", None),
        (None, None),
        ("never", None),
        ("n/a", None),
        ("-", None),
        (" ", None),
        (False, None),
        (0, None),
        ("0001-01-01T00:00:00Z", None),
        ("9999-12-31", None),
        ("2900-01-01", None),
        (20260101, "2026-01-01 00:00:00"),
    ],
)
def test_a_time_without_a_value_is_unknown(column: str, written: Any, stored: str | None) -> None:
    assert read(column, written) == (stored, [])


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("2026-01-02T12:00:00Z", "2026-01-02 12:00:00"),
        ("", None),
        ("never", None),
        ("Never (invited)", None),
        (" ", None),
        (False, None),
        (0, None),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_a_sign_in_that_never_was_is_known(written: Any, stored: str | None) -> None:
    assert columns(last_sign_in_at=written)["last_sign_in_known"] is True
    assert read("last_sign_in_at", written) == (stored, [])


@pytest.mark.parametrize("written", ["n/a", "not_supported", "unknown", "access denied"])
def test_a_sign_in_that_the_source_cannot_name_is_unknown(written: str) -> None:
    assert columns(last_sign_in_at=written)["last_sign_in_known"] is False
    assert read("last_sign_in_at", written) == (None, [])


@pytest.mark.parametrize("column", ["created_at", "password_changed_at", "last_sign_in_at"])
def test_a_time_more_than_a_day_ahead_is_unknown_and_reported(column: str) -> None:
    written = "2026-01-02T12:00:01Z"
    assert read(column, written) == (None, [(NoteKind.FUTURE, written, FUTURE)])


@pytest.mark.parametrize(
    "column", ["created_at", "status_changed_at", "password_changed_at", "last_sign_in_at"]
)
@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (True, A_TIME),
        ([1], A_TIME),
        ("soon", A_TIME),
        (-1, AN_EPOCH),
        (1.5, AN_EPOCH),
        (1700000000, AN_EPOCH),
    ],
)
def test_what_is_no_time_is_refused(column: str, written: Any, expected: str) -> None:
    assert problem(**{column: written}).expected == expected


@pytest.mark.parametrize(
    ("column", "word", "meaning", "stored"),
    [
        ("created_at", "Gestern", "never", None),
        ("status_changed_at", "Gestern", "unknown", None),
        ("password_changed_at", "Gestern", "never", None),
        ("last_sign_in_at", "Gestern", "never", None),
        ("last_sign_in_at", "\N{CHECK MARK}", "unknown", None),
    ],
)
def test_a_source_s_own_word_for_no_time(column: str, word: str, meaning: str, stored: str | None) -> None:
    assert read(column, word, (word, meaning)) == (stored, [])
    assert problem(**{column: "Gestern"}).expected == A_TIME


@pytest.mark.parametrize(("meaning", "is_known"), [("never", True), ("unknown", False)])
def test_a_source_s_own_word_tells_never_from_unknown(meaning: str, is_known: bool) -> None:
    rules = ReadingRules(words=(("last_sign_in_at", "N/A", meaning),))
    found = records.RecordParser(rules, NOON).parse({"login": "ann", "last_sign_in_at": "n/a"})
    assert isinstance(found, Record)
    assert found.values[COLUMNS.index("last_sign_in_known")] is is_known


# --- Columns that follow from others ---


def test_roles_make_an_administrator() -> None:
    assert [columns(admin_roles=roles)["is_admin"] for roles in (["owner"], [], "unknown")] == [
        True,
        False,
        None,
    ]


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ({"first_name": "Ann", "last_name": "Lee"}, "Ann Lee"),
        ({"last_name": "Lee"}, "Lee"),
        ({"first_name": "Ann", "last_name": "Lee", "display_name": "A. Lee"}, "A. Lee"),
        ({"first_name": "x" * 160, "last_name": "y" * 160}, "x" * 160 + " " + "y" * 159),
    ],
)
def test_a_display_name_is_made_from_first_and_last(given: dict[str, str], shown: str) -> None:
    assert columns(**given)["display_name"] == shown


def test_the_last_sign_in_is_kept() -> None:
    found = columns(last_sign_in_at="2026-01-31")
    assert (found["last_sign_in_at"], found["last_sign_in_known"]) == ("2026-01-31 00:00:00", True)


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"email": "Ann@X.org", "login": "other@x.org"}, "ann@x.org"),
        ({"login": "Ann@X.org"}, "ann@x.org"),
        ({"login": "ann"}, ""),
    ],
)
def test_the_key_of_an_address(given: dict[str, str], key: str) -> None:
    assert columns(**given)["email_key"] == key


def test_what_is_absent_has_an_empty_key() -> None:
    found = columns()
    assert {found[f"{name}_key"] for name in ("employee", "manager", "owner", "department", "title")} == {""}


def test_applications_none_of_which_says_when_it_was_used() -> None:
    assert columns(applications=["Wiki"])["app_unused_since"] is None


@pytest.mark.parametrize(
    ("kind", "device", "key"),
    [
        ("sms", "+49 (30) 123-45.6/7", "+49301234567"),
        ("sms", "0049 30 1234567", "+49301234567"),
        ("voice", "  +1 555 0100", "+15550100"),
        ("sms", "030 12300", "03012300"),
        ("sms", "+1 555 XXX 0100", None),
        ("sms", "+1 ••• 0100", None),
        ("sms", "()", None),
        ("fido2", "Serial-ABC 00", "serial-abc 00"),
    ],
)
def test_a_device_is_known_by_its_number_without_spacing(kind: str, device: str, key: str | None) -> None:
    found = record(mfa_factors=[{"kind": kind, "device": device}])
    assert found.devices == ([(kind, key)] if key else [])


def test_devices_are_those_of_the_active_factors_in_order() -> None:
    factors = [
        {"kind": "voice", "device": "+3"},
        {"kind": "fido2", "device": "b", "status": "inactive"},
        {"kind": "push"},
        {"kind": "sms", "device": "+2"},
    ]
    assert record(mfa_factors=factors).devices == [("sms", "+2"), ("voice", "+3")]
    assert record().devices == []


def test_forwarding_addresses_come_with_their_domain() -> None:
    found = record(forwarding=["Ann@X.ORG", "b@sub.y.org"])
    assert found.forwards == [("Ann@X.ORG", "x.org"), ("b@sub.y.org", "sub.y.org")]
    assert record().forwards == []


# --- What cannot be stored ---


@pytest.mark.parametrize(
    ("column", "value", "shown", "expected"),
    [
        ("title", "a\0b", "a\N{REPLACEMENT CHARACTER}b", "text without NUL characters"),
        ("title", "a\udc80", "a\N{REPLACEMENT CHARACTER}", "UTF-8 text; save the file as UTF-8"),
        ("login", "ß" * 161, "ß" * 59 + "…", "at most 320 characters once case-folded"),
    ],
)
def test_an_error_shows_the_value_and_what_was_expected(
    column: str, value: str, shown: str, expected: str
) -> None:
    assert problem(**{column: value}) == Problem(column, shown, expected)


def test_a_nul_within_a_factor_is_found() -> None:
    assert problem(mfa_factors=[{"kind": "sms", "device": "a\0"}]).expected == "text without NUL characters"


def test_a_text_that_fills_its_column_once_folded_fits() -> None:
    assert columns(login="ß" * 160)["login_key"] == "s" * 320


# --- Fingerprints ---


def test_a_record_is_known_by_its_fingerprint_without_being_parsed() -> None:
    assert fingerprint({"login": "ann"}) == record().fingerprint
    assert len(record().fingerprint) == 16


def test_an_absent_field_is_not_an_empty_one() -> None:
    assert len({fingerprint(raw) for raw in ({}, {"manager": None}, {"manager": ""}, {"owner": None})}) == 4


def test_a_record_nested_too_deeply_is_known_by_the_types_of_its_fields() -> None:
    deep = {"groups": NESTED}
    assert fingerprint(deep) == fingerprint({"groups": NESTED})
    others = [deep | {"title": "x"}, deep | {"title": None}, deep | {"title": 1}, {"roles": NESTED}]
    assert len({fingerprint(raw) for raw in [deep, *others]}) == 5


def test_new_rules_make_every_fingerprint_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    before = record().fingerprint
    monkeypatch.setattr(records, "RULES_VERSION", b"another")
    assert records.RecordParser().fingerprint({"login": "ann"}) != before


# --- Leftovers of broken exports ---


@pytest.mark.parametrize(
    ("leftover", "advice"),
    [
        ("#REF!", "this is a spreadsheet's error value"),
        ("System.Guid", "PowerShell wrote the type"),
        ("Microsoft.Open.AzureAD", "PowerShell wrote the type"),
        ("Selected.System.Guid", "PowerShell wrote the type"),
        ("PSObject[]", "PowerShell wrote the type"),
        ("List`1[x]", "PowerShell wrote the type"),
        ("MultiValuedProperty", "PowerShell wrote the type"),
        ("@{Method=sms}", "PowerShell wrote the type"),
        ("{a, b...", "PowerShell wrote the type"),
        ("a, b...}", "PowerShell wrote the type"),
        ("a, b…}", "PowerShell wrote the type"),
        ("${user}", "a program wrote an object"),
        ("(object Foo)", "a program wrote an object"),
        ("Array", "a program wrote an object"),
        ("<%= x %>", "a program wrote an object"),
        ("java.util.Map@1b2c3d", "a program wrote an object"),
        ("[B@6d06d69c", "a program wrote an object"),
    ],
)
def test_a_leftover_of_each_form_is_unknown_and_reported(leftover: str, advice: str) -> None:
    found = record(title=leftover)
    (note,) = found.notes
    assert (note.field, note.kind, note.word) == ("title", NoteKind.LEFTOVER, leftover)
    assert note.text.startswith(advice)
    assert found.values[COLUMNS.index("title")] == ""
