"""Times as sources write them: what is stored, what is no time, and what is refused."""

import pytest

from checks.importing.rules import ReadingRules, Refused
from checks.importing.times import (
    AMBIGUOUS,
    EPOCH,
    EXPECTED,
    LAST_MOMENT,
    NOT_IN_ORDER,
    Moments,
    is_never_word,
    is_no_time_word,
)


def read(value: str, dates: str = "", zone: str = "") -> str:
    return Moments(ReadingRules(dates=dates, zone=zone)).read(value)


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        ("2026-11-01", "2026-11-01 00:00:00"),
        ("2026/11/01 10:11:12", "2026-11-01 10:11:12"),
        ("2026/11/01 10:11:12.5", "2026-11-01 10:11:12.500000"),
        ("2026/11/01 10:11:12.1234567", "2026-11-01 10:11:12.123456"),
        ("2026/11/01 10:11:12.000001", "2026-11-01 10:11:12.000001"),
        ("2026/11/01 1:05 AM", "2026-11-01 01:05:00"),
        ("2026/11/01 12:05 a.m.", "2026-11-01 00:05:00"),
        ("2026/11/01 1:05 pm", "2026-11-01 13:05:00"),
        ("2026/11/01 1:05 P.M.", "2026-11-01 13:05:00"),
        ("2026/11/01 12:05 PM", "2026-11-01 12:05:00"),
        ("2 November 2026 15:04", "2026-11-02 15:04:00"),
        ("Nov 2, 2026 3:04 PM", "2026-11-02 15:04:00"),
        ("Mon Nov 02 15:04:05 UTC 2026", "2026-11-02 15:04:05"),
        ("20261102150405", "2026-11-02 15:04:05"),
        ("20261102150405.0Z", "2026-11-02 15:04:05"),
        ("20261102150405+0130", "2026-11-02 13:34:05"),
        ("/Date(1767225600000)/", "2026-01-01 00:00:00"),
        ("133801632000000000", "2025-01-01 00:00:00"),
        ("133801632000000019", "2025-01-01 00:00:00.000001"),
        # ISO 8601 in its other forms: basic, week dates, hours alone, lower case.
        ("2026-01-31T08:30:00Z", "2026-01-31 08:30:00"),
        ("2026-01-31 08:30:00Z", "2026-01-31 08:30:00"),
        ("20260131T083000Z", "2026-01-31 08:30:00"),
        ("20260131t083000z", "2026-01-31 08:30:00"),
        ("2026-W05-6", "2026-01-31 00:00:00"),
        ("2026-w05-6", "2026-01-31 00:00:00"),
        ("2026-W05-6T08:30:00Z", "2026-01-31 08:30:00"),
        ("2026-01-31T08", "2026-01-31 08:00:00"),
        ("20260131", "2026-01-31 00:00:00"),
        ("2026-01-31T08:30:00.123+00:00", "2026-01-31 08:30:00.123000"),
        # Points instead of colons, a comma before the fraction, the zone's name behind the offset.
        ("2026-01-31T08.30.00Z", "2026-01-31 08:30:00"),
        ("2026/01/31 08:30:00,25", "2026-01-31 08:30:00.250000"),
        ("2026/01/31 08:30 GMT+0100 (Central European Time)", "2026-01-31 07:30:00"),
        ("2026/1/2 8:05", "2026-01-02 08:05:00"),
        ("2026.01.31", "2026-01-31 00:00:00"),
        ("2026/01/31,08:30", "2026-01-31 08:30:00"),
        ("Saturday, January 31, 2026 at 11:59 PM", "2026-01-31 23:59:00"),
        ("Sat, 31 Jan 2026 08:30:00 +0000", "2026-01-31 08:30:00"),
        ("31-JAN-2026", "2026-01-31 00:00:00"),
        ("1st Feb. 2026", "2026-02-01 00:00:00"),
        ("Sat Jan 31 08:30:00 2026", "2026-01-31 08:30:00"),
        ("Sat Jan 31 08:30:00 +0200 2026", "2026-01-31 06:30:00"),
        ("2026/01/31" + " " * 86 + "1:05", "2026-01-31 01:05:00"),
        ("20260131083000.123456789Z", "2026-01-31 08:30:00.123456"),
        # PowerShell's ConvertTo-Json: the offset is that of the machine that wrote it.
        ("\\/Date(1767225600500+0100)\\/", "2026-01-01 00:00:00.500000"),
        ("1970-01-02T00:00:00Z", "1970-01-02 00:00:00"),
        ("1970-01-02 00:00", "1970-01-02 00:00:00"),
        # Beyond the last moment that a database takes.
        ("9999-12-31T23:59:59-02:00", LAST_MOMENT),
        ("9999-12-31T23:59:59Z", LAST_MOMENT),
    ],
)
def test_unambiguous_forms_are_read(value: str, stored: str) -> None:
    assert read(value) == stored


@pytest.mark.parametrize(
    ("zone", "stored"),
    [
        ("Z", "10:00:00"),
        (" UTC", "10:00:00"),
        (" GMT", "10:00:00"),
        ("+02:00", "08:00:00"),
        ("+0230", "07:30:00"),
        ("-0130", "11:30:00"),
        ("-5", "15:00:00"),
        (" +11", "23:00:00"),
        (" UTC+2", "08:00:00"),
        (" GMT +2", "08:00:00"),
        (" GMT-0330", "13:30:00"),
        (" GMT -02:30", "12:30:00"),
        ("+00:00", "10:00:00"),
        ("+5:30", "04:30:00"),
        ("utc-1", "11:00:00"),
    ],
)
def test_an_offset_from_utc_is_subtracted(zone: str, stored: str) -> None:
    day = "2026-10-31" if zone.strip() == "+11" else "2026-11-01"
    assert read(f"2026/11/01 10:00:00{zone}") == f"{day} {stored}"


def test_a_time_without_a_zone_is_of_the_named_zone_and_a_day_is_of_none() -> None:
    assert read("2026/07/01 10:00", zone="Europe/Berlin") == "2026-07-01 08:00:00"
    assert read("2026/07/01", zone="Europe/Berlin") == "2026-07-01 00:00:00"
    assert read("2026/07/01 10:00 Z", zone="Europe/Berlin") == "2026-07-01 10:00:00"
    assert read("2026/07/01 10:00 +0400", zone="Europe/Berlin") == "2026-07-01 06:00:00"
    assert read("2026-07-01T10:00:00Z", zone="Europe/Berlin") == "2026-07-01 10:00:00"
    assert read("2026-07-01T10", zone="Europe/Berlin") == "2026-07-01 08:00:00"
    assert read("20260701T10", zone="Europe/Berlin") == "2026-07-01 08:00:00"
    assert read("2026-w27-3T10:00", zone="Europe/Berlin") == "2026-07-01 08:00:00"
    assert read("2026-07-01", zone="Europe/Berlin") == "2026-07-01 00:00:00"
    assert read("20260701", zone="Europe/Berlin") == "2026-07-01 00:00:00"
    assert read("1 July 2026", zone="Europe/Berlin") == "2026-07-01 00:00:00"
    assert read("1 July 2026 10:00", zone="Europe/Berlin") == "2026-07-01 08:00:00"
    assert read("1.7.2026", dates="dmy", zone="Europe/Berlin") == "2026-07-01 00:00:00"
    assert read("20260701100000", zone="Europe/Berlin") == "2026-07-01 08:00:00"
    assert read("/Date(1767225600000)/", zone="Europe/Berlin") == "2026-01-01 00:00:00"
    assert read("0001-01-01 00:00", zone="Europe/Berlin") == ""


@pytest.mark.parametrize(
    ("names", "month"),
    [
        ("January jan JAN", 1),
        ("February Feb", 2),
        ("March Mar", 3),
        ("April Apr", 4),
        ("May", 5),
        ("June Jun", 6),
        ("July Jul", 7),
        ("August Aug", 8),
        ("September Sep Sept", 9),
        ("October Oct", 10),
        ("November Nov", 11),
        ("December Dec", 12),
    ],
)
def test_a_month_is_known_by_its_name(names: str, month: int) -> None:
    for name in names.split():
        assert read(f"31 {name} 2026" if month in (1, 3, 5, 7, 8, 10, 12) else f"{name} 28, 2026")[5:7] == (
            f"{month:02}"
        )


@pytest.mark.parametrize(
    ("dates", "value", "stored"),
    [
        ("mdy", "1/2/2026 3:04:05 PM", "2026-01-02 15:04:05"),
        ("dmy", "1/2/2026 3:04:05 PM", "2026-02-01 15:04:05"),
        ("dmy", "13.02.2026", "2026-02-13 00:00:00"),
        ("dmy", "13.02.26", "2026-02-13 00:00:00"),
        ("ymd", "26-02-13", "2026-02-13 00:00:00"),
        ("mdy", "12/31/99", "2099-12-31 00:00:00"),
        ("dmy", "1. 2. 2026", "2026-02-01 00:00:00"),
        ("dmy", "01-02-2026 10:11:12.5 +0100", "2026-02-01 09:11:12.500000"),
        ("mdy", "1/1/0001 12:00:00 AM", ""),
    ],
)
def test_an_ambiguous_date_is_read_in_the_named_order(dates: str, value: str, stored: str) -> None:
    assert read(value, dates=dates) == stored


@pytest.mark.parametrize(
    ("value", "dates", "problem"),
    [
        ("1/2/2026", "", AMBIGUOUS),
        ("13/14/2026", "dmy", NOT_IN_ORDER.format(order="dmy")),
        ("1/2/202", "mdy", NOT_IN_ORDER.format(order="mdy")),
        ("123/2/2026", "mdy", NOT_IN_ORDER.format(order="mdy")),
        ("1/2/6", "dmy", NOT_IN_ORDER.format(order="dmy")),
        ("2026/1/123", "ymd", NOT_IN_ORDER.format(order="ymd")),
        ("26/123/1", "ymd", EXPECTED),
        ("2/1/2026 13:00 PM", "dmy", NOT_IN_ORDER.format(order="dmy")),
        # Day and month in either order: only for a year that stands for no time.
        ("1/2/1970", "", AMBIGUOUS),
        ("1/1/1971", "", AMBIGUOUS),
        ("1/1/2899", "", AMBIGUOUS),
        ("13/13/1900", "", AMBIGUOUS),
        ("32/1/1900", "", AMBIGUOUS),
        ("1/32/1900", "", AMBIGUOUS),
        ("0/1/1900", "", AMBIGUOUS),
        ("1/0/1900", "", AMBIGUOUS),
        ("1/1/70", "", AMBIGUOUS),
        ("2026-02-30T08:30:00Z", "", EXPECTED),
        ("2026/02/30", "", EXPECTED),
        ("2026/01/31 08:60", "", EXPECTED),
        ("2026/01/31" + " " * 87 + "1:05", "", EXPECTED),
        ("1767225600.5", "", EPOCH),
        ("-1767225600", "", EPOCH),
        ("1.7.6.7.5", "", EPOCH),
        ("2 Foo 2026", "", EXPECTED),
        ("2026/13/01", "", EXPECTED),
        ("2026/11/01 13:05 PM", "", EXPECTED),
        ("2026/11/01 0:05 AM", "", EXPECTED),
        ("1767225600", "", EPOCH),
        ("1767225600000", "", EPOCH),
        ("20261301000000", "", EPOCH),
        ("1" * 30, "", EPOCH),
        ("١٢٣٤", "", EXPECTED),
        ("soon", "", EXPECTED),
        ("X5", "", EXPECTED),
        ("2026-11-01 " + "x" * 100, "", EXPECTED),
    ],
)
def test_what_is_not_a_time_is_refused_with_what_is_expected(value: str, dates: str, problem: str) -> None:
    with pytest.raises(Refused) as refused:
        read(value, dates=dates)
    assert str(refused.value) == problem


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "0000-00-00 00:00:00",
        "9223372036854775807",
        "1601-01-01T00:00:00Z",
        "0001-01-01T00:00:00",
        "1970-01-01T00:00:00.000Z",
        "1899-12-30",
        "/Date(-62135596800000)/",
        "00000000",
        "0000-00-00",
        "0000-00-00T00:00:00Z",
        "0.0",
        "9.22337E+18",
        "116444736000000000",
        "1970-01-01T23:59:59Z",
        "1970-01-01 23:59",
        "0001-01-01T00:00:00+14:00",
        # Whatever the order of day and month.
        "1/1/0001 12:00:00 AM",
        "30/12/1899",
        "12/12/1900",
        "31/1/1900",
        "1/31/1900",
        "12/31/1969 4:00:00 PM",
        "1/1/1970",
    ],
)
def test_a_sentinel_is_no_time(value: str) -> None:
    assert read(value) == ""


@pytest.mark.parametrize("value", ["12/31/9999", "31.12.9999 23:59:59", "1/1/2900"])
def test_a_sentinel_for_no_end_is_the_last_moment(value: str) -> None:
    assert read(value) == LAST_MOMENT


@pytest.mark.parametrize(
    ("word", "is_never", "is_no_time"),
    [
        ("Never", True, False),
        ("NEVER_LOGGED_IN", True, False),
        ("Hasn't logged in", True, False),
        ("Never (invited)", True, False),
        ("never been used", True, False),
        ("noch nie angemeldet", True, False),
        ("\u4ece\u672a", True, False),
        # A cell with a mark alone holds no time.
        ("-", True, False),
        ("?", True, True),
        ("N/A", False, True),
        ("not_supported", False, True),
        ("Unknown", False, True),
        ("neverland", False, False),
        ("will never sign in", False, False),
        ("yesterday", False, False),
        (" ", False, False),
        ("", False, False),
    ],
)
def test_a_word_says_that_there_was_no_time_or_that_nobody_knows(
    word: str, is_never: bool, is_no_time: bool
) -> None:
    assert is_never_word(word) is is_never
    assert is_no_time_word(word) is is_no_time
