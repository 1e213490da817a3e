"""What one record means: values and their spellings, unknown and none, and every way to be bad."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, strategies as st

from checks.importing.records import (
    COLUMNS,
    FIELDS,
    Problem,
    Record,
    RecordParser,
    login_of,
    parse,
    source_key_of,
)
from checks.importing.rules import Note, NoteKind, ReadingRules
from checks.importing.values import FUTURE, shorten


def values(**raw: Any) -> dict[str, Any]:
    record = parse({"login": "ann"} | raw)
    assert isinstance(record, Record), record
    return dict(zip(COLUMNS, record.values, strict=True))


def only_problem(**raw: Any) -> Problem:
    problems = parse({"login": "ann"} | raw)
    assert isinstance(problems, list), problems
    assert len(problems) == 1
    return problems[0]


def test_a_missing_field_is_unknown() -> None:
    found = values()
    assert {name for name in FIELDS if found[name] not in (None, "")} == {"login"}
    assert (found["manager"], found["owner"], found["user_type"], found["groups"]) == (None, None, None, None)
    assert (found["last_sign_in_known"], found["mfa"], found["is_admin"]) == (False, None, None)


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_cell_means_none_never_or_unknown(empty: str | None) -> None:
    found = values(**dict.fromkeys(set(FIELDS) - {"login"}, empty))
    assert {
        found[name] for name in ("mfa_factors", "admin_roles", "groups", "forwarding", "applications")
    } == {"[]"}
    assert (found["last_sign_in_at"], found["last_sign_in_known"]) == (None, True)
    assert (found["manager"], found["owner"], found["user_type"]) == ("", "", "")
    unknown = (
        "status",
        "created_at",
        "failed_sign_ins",
        "mfa_enabled",
        "mfa_bypass",
        "password_never_expires",
    )
    assert {found[name] for name in unknown} == {None}


@pytest.mark.parametrize("word", ["unknown", "Unknown", " UNKNOWN "])
def test_the_word_unknown_is_unknown_in_every_field(word: str) -> None:
    assert values(**dict.fromkeys(set(FIELDS) - {"login"}, word)) == values()


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("2026-01-31", "2026-01-31 00:00:00"),
        ("2026-01-31T08:30:00", "2026-01-31 08:30:00"),
        ("2026-01-31 08:30", "2026-01-31 08:30:00"),
        ("2026-01-31T08:30:00Z", "2026-01-31 08:30:00"),
        ("2026-01-31t08:30:00z", "2026-01-31 08:30:00"),
        ("2026-01-31T08:30:00.5Z", "2026-01-31 08:30:00.500000"),
        ("2026-01-31T08:30:00.1234567Z", "2026-01-31 08:30:00.123456"),
        ("2026-01-31T08:30:00+02:00", "2026-01-31 06:30:00"),
        ("2026-01-31T00:30:00+0100", "2026-01-30 23:30:00"),
        ("20260131", "2026-01-31 00:00:00"),
        (" 2026-01-31 ", "2026-01-31 00:00:00"),
    ],
)
def test_times_are_iso_8601_and_utc_where_no_zone_is_given(text: str, stored: str) -> None:
    assert values(created_at=text)["created_at"] == stored


@pytest.mark.parametrize("value", ["1700000000", "1700000000000", "1700000000.5", 1700000000, 1.7e12, "-1"])
def test_an_epoch_is_refused_with_a_hint(value: Any) -> None:
    assert "seconds or milliseconds since 1970" in only_problem(created_at=value).expected


@pytest.mark.parametrize("value", ["31/01/2026", "2026-13-01", "yesterday", True, [], {}])
def test_a_bad_date_says_what_was_expected(value: Any) -> None:
    problem = only_problem(password_changed_at=value)
    assert problem.column == "password_changed_at"
    assert problem.expected.startswith("an ISO 8601 date or time, such as 2026-01-31")


@pytest.mark.parametrize(
    ("spelling", "status"),
    [
        ("ACTIVE", "active"),
        ("PASSWORD_EXPIRED", "password_expired"),
        ("lockedOut", "locked_out"),
        ("Locked out", "locked_out"),
        ("DEPROVISIONED", "deprovisioned"),
        (True, "active"),
        ("false", "disabled"),
        ("archived", "disabled"),
        ("Terminated", "disabled"),
        ("on leave", "on_leave"),
        ("Leave of Absence", "on_leave"),
        ("suspended", "suspended"),
        ("transient", "transient"),
    ],
)
def test_statuses_as_vendors_spell_them(spelling: Any, status: str) -> None:
    assert values(status=spelling)["status"] == status


@pytest.mark.parametrize(
    ("spelling", "kind"),
    [
        ("Member", "internal"),
        ("employee", "internal"),
        ("GUEST", "guest"),
        ("Contractor", "external"),
        ("Service Account", "service_account"),
        ("serviceAccount", "service_account"),
        ("SharedMailbox", "shared_mailbox"),
        ("room", "conference_room"),
        ("equipment", "equipment"),
    ],
)
def test_user_types_as_vendors_spell_them(spelling: str, kind: str) -> None:
    assert values(user_type=spelling)["user_type"] == kind


@pytest.mark.parametrize(
    "column", ["mfa_enabled", "mfa_bypass", "password_never_expires", "credentials_exposed"]
)
def test_booleans(column: str) -> None:
    assert {values(**{column: v})[column] for v in (True, "true", "YES", 1, "1", " y ")} == {True}
    assert {values(**{column: v})[column] for v in (False, "False", "no", 0, "0", "N")} == {False}


@pytest.mark.parametrize(
    ("factors", "mfa", "assurance", "resistant"),
    [
        ("sms:+1555", True, 1, False),
        ("call|question|email", True, 1, False),
        ("password", False, 1, False),
        ("push", True, 2, False),
        ("token:software:totp", True, 2, False),
        ("microsoftAuthenticator|phone:+1", True, 2, False),
        ("token:hardware", True, 2, False),
        ("hardware OTP with PIN", True, 3, False),
        ("fido2|sms", True, 3, True),
        ("webauthn", True, 3, True),
        ("passKeyDeviceBound", True, 3, True),
        ("windowsHelloForBusiness", True, 3, True),
        ("X.509 certificate", True, 3, True),
        ("retina", None, None, None),
        ("retina|password", None, None, None),
        ("retina|sms", True, None, None),
        ("retina|hardware otp with pin", True, 3, None),
        ("retina|fido2", True, 3, True),
        ("", False, None, False),
        ([{"kind": "fido2", "status": "inactive"}], False, None, False),
        ([{"kind": "fido2", "status": "ENROLLED"}], True, 3, True),
    ],
)
def test_factors(factors: Any, mfa: bool, assurance: int | None, resistant: bool | None) -> None:
    found = values(mfa_factors=factors)
    assert (found["mfa"], found["assurance"], found["phishing_resistant"]) == (mfa, assurance, resistant)
    assert found["factors_known"] is True


@pytest.mark.parametrize(
    ("enabled", "factors", "mfa", "known", "resistant"),
    [
        (None, None, None, False, None),
        (True, None, True, False, None),
        (False, None, False, True, False),
        (False, "fido2", False, True, False),
        (True, "", True, True, None),
        (True, "password", True, True, None),
        (True, "retina", True, True, None),
        (None, "sms", True, True, False),
    ],
)
def test_mfa_enabled_and_the_list_of_factors(
    enabled: bool | None, factors: str | None, mfa: bool | None, known: bool, resistant: bool | None
) -> None:
    found = values(mfa_enabled=enabled, **({} if factors is None else {"mfa_factors": factors}))
    assert (found["mfa"], found["factors_known"], found["phishing_resistant"]) == (mfa, known, resistant)


@pytest.mark.parametrize(
    ("item", "stored"),
    [
        ("sms:+15550100", {"kind": "sms", "device": "+15550100"}),
        ("token:software:totp:abc", {"kind": "totp", "device": "abc"}),
        ("fido2:aa:bb", {"kind": "fido2", "device": "aa:bb"}),
        ("retina:left", {"kind": "retina", "device": "left"}),
        (
            {"kind": "signed_nonce", "device": 7, "status": "ACTIVE"},
            {"kind": "fastpass", "device": "7", "status": "ACTIVE"},
        ),
    ],
)
def test_a_factor_is_a_kind_and_a_device(item: Any, stored: dict[str, str]) -> None:
    assert json.loads(values(mfa_factors=item if isinstance(item, str) else [item])["mfa_factors"]) == [
        stored
    ]


def test_applications() -> None:
    found = values(applications="Jira=2026-01-02|a=b=2026-01-03|Figma=|Slack", created_at="2025-01-01")
    assert json.loads(found["applications"]) == [
        {"name": "Jira", "last_used_at": "2026-01-02 00:00:00"},
        {"name": "a=b", "last_used_at": "2026-01-03 00:00:00"},
        {"name": "Figma", "last_used_at": None},
        {"name": "Slack"},
    ]
    assert (found["app_unused_since"], found["applications_known"]) == ("2025-01-01 00:00:00", False)
    assert values(applications="Figma=")["app_unused_since"] == "1970-01-01 00:00:00"
    found = values(applications=[{"name": "Jira", "last_used_at": None}, {"name": "Wiki"}])
    assert (found["app_unused_since"], found["applications_known"]) == ("1970-01-01 00:00:00", False)
    assert values(applications="")["applications_known"] is True


def test_lists_of_csv_and_json_mean_the_same() -> None:
    csv = values(groups=" a | b|", admin_roles="", forwarding="smtp:X@y.org", mfa_factors="sms:+1|push")
    factors = [{"kind": "sms", "device": "+1"}, {"kind": "push"}]
    assert csv == values(groups=["a", "b"], admin_roles=[], forwarding=["X@y.org"], mfa_factors=factors)


def test_keys_are_case_folded() -> None:
    found = values(login=" Straße@X.ORG ", employee_id="Ä1", manager="BOSS", department="ÄRZTE")
    assert (found["login"], found["login_key"]) == ("Straße@X.ORG", "strasse@x.org")
    assert found["email_key"] == "strasse@x.org"
    assert (found["employee_key"], found["manager_key"], found["department_key"]) == ("ä1", "boss", "ärzte")


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("en-US", "en-US"),
        ("en_US", "en-US"),
        ("de", "de"),
        ("zh-Hant-TW", "zh-Hant-TW"),
        ("English", ""),
        ("", ""),
    ],
)
def test_a_locale_is_a_bcp_47_tag(written: str, stored: str) -> None:
    assert values(locale=written)["locale"] == stored


def test_an_immutable_id_is_kept_as_it_is_and_a_placeholder_is_none() -> None:
    assert values(source_key=" 00uAbC ")["source_key"] == "00uAbC"
    assert values(source_key="n/a")["source_key"] == ""


def test_numbers_in_json_are_texts_where_text_is_meant() -> None:
    found = values(login=7, employee_id=42)
    assert (found["login"], found["employee_key"]) == ("7", "42")


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("login", "", "a login"),
        ("login", None, "a login"),
        ("login", "unknown", "a login"),
        ("login", {}, "text"),
        ("login", "x" * 321, "at most 320 characters (it has 321)"),
        ("login", "ß" * 161, "at most 320 characters once case-folded"),
        ("employee_id", "x" * 129, "at most 128"),
        ("phone", "x" * 65, "at most 64"),
        ("email", "ann", "an e-mail address"),
        ("email", "ann lee@x.org", "an e-mail address"),
        ("email", "a@x.org, b", "an e-mail address"),
        ("title", True, "text"),
        ("status", [], "a status: active, on_leave"),
        ("user_type", {}, "a user type: internal"),
        ("mfa_enabled", [], "true or false"),
        ("last_sign_in_at", "soon", "an ISO 8601"),
        ("last_sign_in_country", "276", "an ISO 3166 code"),
        ("last_sign_in_ip", "999.1.1.1", "an IPv4 or IPv6 address"),
        ("failed_sign_ins", "-1", "a whole number from 0 to 1,000,000"),
        ("failed_sign_ins", 1.5, "a whole number"),
        ("failed_sign_ins", "1000001", "a whole number"),
        ("failed_sign_ins", "٣", "a whole number"),
        ("mfa_factors", [3], 'factors such as {"kind"'),
        ("mfa_factors", [{"device": "x"}], "factors such as"),
        ("mfa_factors", {"kind": "sms"}, "a list"),
        ("mfa_factors", "x" * 65, "1 to 64 characters"),
        ("mfa_factors", "push:" + "x" * 256, "at most 255 characters"),
        ("groups", [1], "a list of texts"),
        ("groups", True, "a list"),
        ("groups", ["x"] * 10_001, "at most 10,000 items"),
        ("forwarding", "me", "e-mail addresses ('me' is none)"),
        ("forwarding", "a@" + "x" * 256, "domains of at most 255"),
        ("applications", "=2026-01-01", "applications such as"),
        ("applications", "Jira=soon", "'soon' is not an ISO 8601 date"),
        ("applications", [{"last_used_at": None}], "applications such as"),
        ("title", "a\0b", "without NUL"),
        ("groups", ["a\0"], "without NUL"),
        ("title", "a\udc80", "UTF-8 text"),
        ("groups", ["\ud800"], "UTF-8 text"),
    ],
)
def test_a_bad_value_says_what_was_expected(column: str, value: Any, expected: str) -> None:
    problem = only_problem(**{column: value})
    assert problem.column == column
    assert expected in problem.expected


def test_all_problems_of_a_record_are_reported() -> None:
    problems = parse({"login": "a", "status": [], "created_at": "soon", "mfa_enabled": {}})
    assert [p.column for p in problems if isinstance(p, Problem)] == ["status", "created_at", "mfa_enabled"]


def test_a_long_value_is_shortened() -> None:
    problem = only_problem(title="x" * 5000)
    assert len(problem.value) == 60
    assert shorten("x" * 60) == "x" * 60
    assert shorten("x" * 61) == "x" * 59 + "…"
    assert shorten(["kim", 1]) == "['kim', 1]"
    assert shorten("a\nb\x1b[31m") == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}[31m"


def test_backslashes_are_no_control_characters() -> None:
    assert values(title=r"DOM\x00 \ud800 \u0000")["title"] == r"DOM\x00 \ud800 \u0000"


def test_the_fingerprint_tells_records_apart() -> None:
    prints = {parse({"login": "a", **more}).fingerprint for more in ({}, {"manager": ""}, {"title": "x"})}  # type: ignore[union-attr]
    assert len(prints) == 3


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["active", "a@x.org", "2026-01-01"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["kind", "device", "status", "name", "last_used_at"]), inner, max_size=4
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(FIELDS), anything))
def test_parsing_never_raises_and_what_it_gives_can_be_stored(raw: dict[str, Any]) -> None:
    result = parse(raw)
    login_of(raw)
    if isinstance(result, list):
        assert result
        assert all(p.column in FIELDS and len(p.value) <= 60 and p.expected for p in result)
    else:
        stored = " ".join(v for v in result.values if isinstance(v, str))
        stored.encode()
        assert "\0" not in stored
        assert result.login_key == login_of(raw)


# --- Records that may be bad ------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("value", "key"),
    [
        (" abc-1 ", "abc-1"),
        ("ABC", "ABC"),
        (42, "42"),
        ("x" * 255, "x" * 255),
        # An invisible character, and what it hid.
        ("a\u200bb", "ab"),
        ("\u200b ab", "ab"),
        ("ß", "ß"),
        *[(none, "") for none in (None, "", "  ", "n/a", "unknown", True, [], "x" * 256, "a\0", "\ud800")],
    ],
)
def test_the_immutable_id_of_a_record_that_may_be_bad(value: Any, key: str) -> None:
    assert source_key_of({"source_key": value}) == key


@pytest.mark.parametrize(
    ("source_key", "anchor"),
    [
        ("{0A1B2C3D-4E5F-6071-8293-A4B5C6D7E8F9}", "0a1b2c3d-4e5f-6071-8293-a4b5c6d7e8f9"),
        ("4711", ""),
        ("", ""),
    ],
)
def test_an_immutable_id_that_is_unique_everywhere_is_kept_in_one_form(source_key: str, anchor: str) -> None:
    found = values(source_key=source_key)
    assert (found["source_key"], found["key_anchor"]) == (source_key, anchor)


@pytest.mark.parametrize(
    ("written", "key"), [("1001.0", "1001"), ("7.0", "7"), ("12x.0", "12x.0"), ("1.0.0", "1.0.0")]
)
def test_a_number_that_was_an_id_is_the_id_again(written: str, key: str) -> None:
    for field in ("employee", "manager", "owner"):
        name = "employee_id" if field == "employee" else field
        assert values(**{name: written})[f"{field}_key"] == key


def test_a_record_without_an_immutable_id_has_none() -> None:
    assert source_key_of({}) == ""


def test_fields_are_read_of_a_record_that_would_be_refused() -> None:
    found = RecordParser().read_fields(
        {
            "login": "a\u200bnn",
            "title": " Clerk ",
            "created_at": "soon",
            "status": "foo",
            "groups": ["a", "System.Object[]"],
            "mfa_factors": "System.Object[]",
            "manager": "#REF!",
            "failed_sign_ins": 3,
            "other": "x",
        }
    )
    assert found == {
        "login": "ann",
        "title": "Clerk",
        "created_at": None,
        "status": None,
        "groups": None,
        "mfa_factors": None,
        "manager": None,
        "failed_sign_ins": 3,
    }


# --- What two fields say together -------------------------------------------------------------------
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def read(*, hr: bool = False, **raw: Any) -> tuple[Any, Any, list[Note]]:
    """Status and time of its change, and the notes, read at noon of 1 January 2026."""
    record = RecordParser(ReadingRules(hr=hr), NOON).parse({"login": "ann"} | raw)
    assert isinstance(record, Record), record
    found = dict(zip(COLUMNS, record.values, strict=True))
    return found["status"], found["status_changed_at"], record.notes


@pytest.mark.parametrize(
    ("hr", "status", "changed", "stored"),
    [
        # A termination that is still to come, which only an HR system knows.
        (True, "terminated", "2026-02-01", ("active", None)),
        (True, "deprovisioned", "2026-02-01", ("active", None)),
        (True, "deleted", "2026-02-01", ("active", None)),
        (True, "terminated", "2026-01-01T12:00:00", ("disabled", "2026-01-01 12:00:00")),
        (True, "active", "2026-02-01", ("active", "2026-02-01 00:00:00")),
        # Elsewhere a clock that is fast by a day is believed.
        (False, "disabled", "2026-01-02", ("disabled", "2026-01-02 00:00:00")),
        (False, "disabled", "2026-02-01", ("disabled", None)),
        (False, "disabled", "9999-12-31", ("disabled", None)),
    ],
)
def test_a_change_of_status_that_lies_ahead(hr: bool, status: str, changed: str, stored: Any) -> None:
    assert read(hr=hr, status=status, status_changed_at=changed)[:2] == stored


def test_a_change_that_lies_ahead_is_reported() -> None:
    _, _, (ahead,) = read(hr=True, status="terminated", status_changed_at="2026-02-01T08:00:00")
    assert (ahead.field, ahead.kind, ahead.word) == ("status", NoteKind.AHEAD, "2026-02-01")
    _, _, (future,) = read(status="disabled", status_changed_at="2026-02-01")
    assert (future.field, future.kind, future.word) == (
        "status_changed_at",
        NoteKind.FUTURE,
        "2026-02-01 00:00:00",
    )
    assert future.text == FUTURE
    assert read(status="disabled", status_changed_at="9999-12-31")[2] == []


@pytest.mark.parametrize(
    ("changed", "stored", "is_reported"),
    [
        ("2026-01-02T12:00:00", "2026-01-02 12:00:00", False),
        ("2026-01-02T12:00:01", None, True),
        ("2899-12-31T23:59:59", None, True),
        # Some directories write such a day for never.
        ("2900-01-01", None, False),
    ],
)
def test_a_change_more_than_a_day_ahead_is_not_believed(
    changed: str, stored: str | None, is_reported: bool
) -> None:
    status, found, notes = read(status="disabled", status_changed_at=changed)
    assert (status, found) == ("disabled", stored)
    assert bool(notes) is is_reported


@pytest.mark.parametrize(
    ("raw", "bypass"),
    [
        ({"status": "Bypass"}, True),
        ({"status": "bypass", "mfa_bypass": "no"}, False),
        ({"status": "active"}, None),
        ({"status": "disabled"}, None),
        ({"status": 1}, None),
    ],
)
def test_duos_status_of_bypass(raw: dict[str, Any], bypass: bool | None) -> None:
    assert values(**raw)["mfa_bypass"] is bypass


def test_a_source_s_own_meaning_of_bypass_is_no_bypass() -> None:
    rules = ReadingRules(words=(("status", "bypass", "disabled"),))
    record = RecordParser(rules).parse({"login": "ann", "status": "bypass"})
    assert isinstance(record, Record)
    found = dict(zip(COLUMNS, record.values, strict=True))
    assert (found["status"], found["mfa_bypass"]) == ("disabled", None)


# --- Columns that follow from others ----------------------------------------------------------------
@pytest.mark.parametrize(
    ("column", "written", "key"),
    [
        ("employee_id", "E-0042", "e-0042"),
        # A spreadsheet or pandas has made a number of the id.
        ("employee_id", "4711.0", "4711"),
        ("manager", "4711.0", "4711"),
        ("owner", "4711.0", "4711"),
        ("employee_id", "4711.00", "4711.00"),
        ("employee_id", "4711.10", "4711.10"),
        ("employee_id", "E7.0", "e7.0"),
        # Identifies nobody.
        ("employee_id", "00000000", ""),
        ("employee_id", "TBD", ""),
        ("department", "R&D.0", "r&d.0"),
        ("title", "Head OF IT", "head of it"),
    ],
)
def test_the_key_by_which_users_are_compared(column: str, written: str, key: str) -> None:
    found = values(**{column: written})
    assert found[f"{column.removesuffix('_id')}_key"] == key
    assert found[column] == written


@pytest.mark.parametrize(
    ("written", "mfa", "assurance", "resistant"),
    [
        # The source cannot say whether a factor is active.
        ([{"kind": "sms", "status": "unknown"}], None, None, None),
        ([{"kind": "password", "status": "unknown"}], False, None, False),
        ([{"kind": "password"}, {"kind": "sms", "status": "unknown"}], None, None, None),
        ([{"kind": "totp"}, {"kind": "push", "status": "unknown"}], True, None, None),
        ([{"kind": "hardware otp with pin"}, {"kind": "push", "status": "unknown"}], True, 3, None),
        ([{"kind": "fido2"}, {"kind": "sms", "status": "unknown"}], True, 3, True),
        ([{"kind": "retina", "status": "pending"}], False, None, False),
        ([{"kind": "sms", "status": "pending"}, {"kind": "totp", "status": "active"}], True, 2, False),
        ([{"kind": "sms", "status": "-"}], False, None, False),
        ([{"kind": "sms", "status": " "}], True, 1, False),
        # Another system decides how strong these are.
        ("external mfa", True, None, None),
        ("external mfa|fido2", True, 3, True),
        ("duo desktop|sms", True, None, None),
        # One step of a sign-in, not a second one.
        ("x509CertificateSingleFactor", False, 1, False),
        ("qr code|password", False, 1, False),
    ],
)
def test_factors_of_which_the_source_says_less(
    written: Any, mfa: bool | None, assurance: int | None, resistant: bool | None
) -> None:
    found = values(mfa_factors=written)
    assert (found["mfa"], found["assurance"], found["phishing_resistant"]) == (mfa, assurance, resistant)


@pytest.mark.parametrize(
    ("enabled", "written", "assurance"),
    [(None, "sms|totp", 2), (True, "sms|totp", 2), (True, "password", None), (False, "totp", None)],
)
def test_assurance_is_that_of_the_strongest_factor_while_mfa_is_on(
    enabled: bool | None, written: str, assurance: int | None
) -> None:
    assert values(mfa_enabled=enabled, mfa_factors=written)["assurance"] == assurance


def test_each_unknown_kind_of_factor_is_reported_once() -> None:
    record = parse({"login": "ann", "mfa_factors": "retina|sms|iris|retina"})
    assert isinstance(record, Record)
    assert record.notes == [Note("mfa_factors", NoteKind.UNKNOWN_WORD, kind) for kind in ("retina", "iris")]


@pytest.mark.parametrize(
    ("enabled", "written", "devices"),
    [
        (None, "sms:+15550100|voice:+15550100", [("sms", "+15550100"), ("voice", "+15550100")]),
        (None, "sms:+15550100|sms:0015550100|push", [("sms", "+15550100")]),
        (None, [{"kind": "sms", "device": "+15550100", "status": "expired"}], []),
        # Nothing is active where MFA is off.
        (False, "sms:+15550100", []),
    ],
)
def test_devices_of_active_factors(enabled: bool | None, written: Any, devices: list[Any]) -> None:
    record = parse({"login": "ann", "mfa_enabled": enabled, "mfa_factors": written})
    assert isinstance(record, Record)
    assert record.devices == devices


@pytest.mark.parametrize(
    ("written", "unused_since", "is_known"),
    [
        ("Jira=2026-01-02|Wiki=2025-12-31|CRM=2026-01-01", "2025-12-31 00:00:00", True),
        ("Jira=2026-01-02|Wiki=never", "2024-05-06 00:00:00", True),
        ("Jira=2026-01-02|Wiki", "2026-01-02 00:00:00", False),
        ("Jira|Wiki", None, False),
        ("none", None, True),
        ("unknown", None, False),
    ],
)
def test_the_application_that_was_unused_longest(
    written: str, unused_since: str | None, is_known: bool
) -> None:
    found = values(applications=written, created_at="2024-05-06")
    assert (found["app_unused_since"], found["applications_known"]) == (unused_since, is_known)


@pytest.mark.parametrize(
    ("raw", "shown", "key"),
    [
        ({"display_name": "Lee, Kim"}, "Lee, Kim", "kim lee"),
        ({"first_name": "Kim", "last_name": "Lee"}, "Kim Lee", "kim lee"),
        ({"first_name": " Kim "}, "Kim", "kim"),
        ({}, "", ""),
    ],
)
def test_a_name_is_shown_as_it_is_written_and_compared_by_its_words(
    raw: dict[str, str], shown: str, key: str
) -> None:
    found = values(**raw)
    assert (found["display_name"], found["name_key"]) == (shown, key)


# --- Characters that nobody sees --------------------------------------------------------------------
ZERO_WIDTH, JOINER = "\u200b", "\u200d"


@pytest.mark.parametrize(
    ("column", "written", "stored"),
    [
        ("login", f"a{ZERO_WIDTH}n{JOINER}n", "ann"),
        ("email", f"ann{JOINER}@x.example", "ann@x.example"),
        ("manager", f"bo{ZERO_WIDTH}ss", "boss"),
        ("employee_id", f"E1{JOINER}", "E1"),
        # A joiner belongs to names in some scripts.
        ("display_name", f"\u0d15{JOINER}\u0d37{ZERO_WIDTH}", f"\u0d15{JOINER}\u0d37"),
        ("groups", [f"a{ZERO_WIDTH}b", f"a{JOINER}b"], json.dumps(["ab", f"a{JOINER}b"], ensure_ascii=False)),
        ("forwarding", [f"a{JOINER}@x.example"], '["a@x.example"]'),
        ("mfa_factors", [f"s{JOINER}ms"], '[{"kind":"sms"}]'),
        ("failed_sign_ins", 3, 3),
    ],
)
def test_invisible_characters_are_removed(column: str, written: Any, stored: Any) -> None:
    found = values(**{"title": "\u00e4", column: written})[column]
    assert (found.replace('","', '", "') if column == "groups" else found) == stored


@pytest.mark.parametrize(
    ("raw", "problems"),
    [
        ({}, [Problem("login", "", "a login; every record needs one")]),
        ({"login": f"unkn{ZERO_WIDTH}own"}, [Problem("login", "unknown", "a login; every record needs one")]),
        ({"login": "a\0"}, [Problem("login", "a\N{REPLACEMENT CHARACTER}", "text without NUL characters")]),
        (
            {"login": "ann", "title": "a\0", "groups": ["\ud800"], "manager": "boss"},
            [
                Problem("title", "a\N{REPLACEMENT CHARACTER}", "text without NUL characters"),
                Problem("groups", "['\\ud800']", "UTF-8 text; save the file as UTF-8"),
            ],
        ),
        (
            {"login": "ann", "applications": [{"name": "Jira", "last_used_at": "", "x": ["\0"]}]},
            [
                Problem(
                    "applications",
                    "[{'name': 'Jira', 'last_used_at': '', 'x': ['\\x00']}]",
                    "text without NUL characters",
                )
            ],
        ),
    ],
)
def test_a_record_that_cannot_be_stored(raw: dict[str, Any], problems: list[Problem]) -> None:
    assert parse(raw) == problems


def test_a_problem_is_a_sentence() -> None:
    assert str(only_problem(email="kim")) == "email: 'kim' is not an e-mail address"


@pytest.mark.parametrize("column", ["department", "title", "employee_id", "manager"])
def test_a_text_that_case_folding_lengthens_past_its_column_is_refused(column: str) -> None:
    longest = {"department": 255, "title": 255, "employee_id": 128, "manager": 320}[column]
    assert only_problem(**{column: "\u00df" * (longest // 2 + 1)}) == Problem(
        column,
        shorten("\u00df" * (longest // 2 + 1)),
        f"at most {longest} characters once case-folded",
    )


# --- Values that recur ------------------------------------------------------------------------------
def test_what_is_remembered_of_a_column_changes_no_value() -> None:
    """More texts than a column remembers, each of them twice, long ones and numbers."""
    parser = RecordParser()

    def stored(raw: dict[str, Any], column: str) -> Any:
        record = parser.parse({"login": "ann"} | raw)
        assert isinstance(record, Record), record
        return record.values[COLUMNS.index(column)]

    titles = [f" Title {number}" for number in range(2_005)]
    for _ in range(2):
        assert [stored({"title": title}, "title") for title in titles] == [title.strip() for title in titles]
    assert [stored({"title": "x" * 201}, "title") for _ in range(2)] == ["x" * 201] * 2
    assert [stored({"failed_sign_ins": 1}, "failed_sign_ins") for _ in range(2)] == [1, 1]
    assert [stored({"mfa_enabled": value}, "mfa_enabled") for value in (1, True, 1, 0, False)] == [
        True,
        True,
        True,
        False,
        False,
    ]


# --- Fingerprints -----------------------------------------------------------------------------------
def test_another_source_s_rules_make_another_fingerprint() -> None:
    raw = {"login": "ann"}
    parsers = [
        RecordParser(),
        RecordParser(ReadingRules(entra=True)),
        RecordParser(ReadingRules(dates="dmy")),
    ]
    assert len({parser.fingerprint(raw) for parser in parsers}) == 3
    assert RecordParser(ReadingRules()).fingerprint(raw) == RecordParser().fingerprint(raw)


def test_a_record_with_notes_is_parsed_at_each_import() -> None:
    parser, raw = RecordParser(), {"login": "ann", "status": "foo"}
    record = parser.parse(raw)
    assert isinstance(record, Record)
    assert record.notes
    assert record.fingerprint != parser.fingerprint(raw)
    assert record.login_key == "ann"
