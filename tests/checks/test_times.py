"""Times as sources write them: what is stored, what is no time, and what is refused."""

import pytest

from checks.importing.rules import ReadingRules, Refused
from checks.importing.times import AMBIGUOUS, EPOCH, EXPECTED, NOT_IN_ORDER, Moments


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


@pytest.mark.parametrize(
    ("dates", "value", "stored"),
    [
        ("mdy", "1/2/2026 3:04:05 PM", "2026-01-02 15:04:05"),
        ("dmy", "1/2/2026 3:04:05 PM", "2026-02-01 15:04:05"),
        ("dmy", "13.02.2026", "2026-02-13 00:00:00"),
        ("dmy", "13.02.26", "2026-02-13 00:00:00"),
        ("ymd", "26-02-13", "2026-02-13 00:00:00"),
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
        ("2026-11-01 " + "x" * 100, "", EXPECTED),
    ],
)
def test_what_is_not_a_time_is_refused_with_what_is_expected(value: str, dates: str, problem: str) -> None:
    with pytest.raises(Refused) as refused:
        read(value, dates=dates)
    assert problem in str(refused.value)


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
    ],
)
def test_a_sentinel_is_no_time(value: str) -> None:
    assert read(value) == ""
