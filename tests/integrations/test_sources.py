"""Files become records: delimiters, encodings, true line numbers, and rows that cannot be read."""

import io
import json
from typing import Any

import pytest

from integrations.sources import SOURCES, SourceError, Unreadable, detect, peekable


def read(kind: str, data: bytes | str, mapping: dict[str, str] | None = None) -> list[Any]:
    raw = data.encode() if isinstance(data, str) else data
    return list(SOURCES[kind].read(io.BytesIO(raw), mapping))


def expected(item: Any) -> str:
    assert isinstance(item, Unreadable), item
    return item.problem[2]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_csv_with_any_delimiter_line_end_and_byte_order_mark(delimiter: str, mark: bytes, end: str) -> None:
    text = end.join(delimiter.join(row) for row in (["login", "title"], ["ann", "Ärztin"], ["bob", ""]))
    assert read("csv", mark + text.encode()) == [
        (2, {"login": "ann", "title": "Ärztin"}),
        (3, {"login": "bob", "title": ""}),
    ]


def test_line_numbers_stay_true_after_quoted_newlines_and_blank_lines() -> None:
    rows = read("csv", '\nlogin,title\n"a\nb",x\n\nc,"1\n2\n3"\nd,y\n')
    assert [(line, row["login"]) for line, row in rows] == [(3, "a\nb"), (6, "c"), (9, "d")]


def test_a_delimiter_inside_quotes_is_text() -> None:
    assert read("csv", 'login;title\na;"x;""y"""\n') == [(2, {"login": "a", "title": 'x;"y"'})]


def test_headers_are_matched_whatever_their_case_and_blanks() -> None:
    assert read("csv", " Login ,Display Name\na,b\n") == [(2, {"login": "a", "display_name": "b"})]


def test_foreign_headers_are_mapped() -> None:
    rows = read("csv", "UserName,login,Mail\na,old,m@x.org\n", {"login": "UserName", "email": "Mail"})
    assert rows == [(2, {"login": "a", "(login)": "old", "email": "m@x.org"})]


@pytest.mark.parametrize(
    ("data", "mapping", "text"),
    [
        ("name\na\n", None, "no column 'login'; map it with --map login=NAME"),
        ("a\nb\n", {"login": "UserName"}, "no column 'UserName'; it has: a"),
        ("login,title,title\n", None, "names 'title' twice"),
        ("login,x\n", {"title": "x", "company": "x"}, "both title and company are mapped to 'x'"),
        ('"login\n', None, "the header row cannot be read"),
        (b"\xff\xfel\0o\0", None, "UTF-16; save it as CSV in UTF-8"),
        (b"PK\x03\x04", None, "a spreadsheet"),
    ],
)
def test_a_csv_file_that_cannot_be_read_says_why(
    data: bytes | str, mapping: dict[str, str] | None, text: str
) -> None:
    with pytest.raises(SourceError, match=text):
        read("csv", data, mapping)


def test_ragged_rows_are_told_and_the_others_read() -> None:
    rows = read("csv", "login,title\na\nb,x,y\nc,z\n")
    assert expected(rows[0][1]) == "a row of 2 cells like the header (it has 1)"
    assert expected(rows[1][1]) == "a row of 2 cells like the header (it has 3)"
    assert rows[1][1].original == {"login": "b", "title": "x", None: ["y"]}
    assert rows[2] == (4, {"login": "c", "title": "z"})


def test_bad_quotes_are_told_with_their_line() -> None:
    rows = read("csv", 'login,title\n"a"b,x\nc,z\n')
    assert rows[0][0] == 2
    assert "see to its quotes" in expected(rows[0][1])
    assert rows[1] == (3, {"login": "c", "title": "z"})


def test_a_quote_that_never_ends_is_told_with_the_line_it_began_on() -> None:
    rows = read("csv", 'login,title\na,x\n"b,y\nc,z\n')
    assert rows[0] == (2, {"login": "a", "title": "x"})
    assert rows[1][0] == 3
    assert "quotes" in expected(rows[1][1])


def test_bytes_that_are_no_utf_8_reach_their_record_only() -> None:
    rows = read("csv", b"login,title\na,\xff\nb,x\n")
    assert rows == [(2, {"login": "a", "title": "\udcff"}), (3, {"login": "b", "title": "x"})]


@pytest.mark.parametrize(
    ("kind", "data"), [("csv", "login\n"), ("jsonl", ""), ("jsonl", "\n"), ("json", "[]")]
)
def test_a_file_may_hold_no_records(kind: str, data: str) -> None:
    assert read(kind, data) == []


@pytest.mark.parametrize(("kind", "data"), [("csv", ""), ("csv", "\n\n"), ("json", ""), ("json", " ")])
def test_an_empty_file_is_no_file_of_records(kind: str, data: str) -> None:
    with pytest.raises(SourceError, match="the file is empty"):
        read(kind, data)


def test_the_stream_stays_open_for_whoever_opened_it() -> None:
    stream = peekable(io.BytesIO(b"login\na\n"))
    list(SOURCES["csv"].read(stream))
    assert not stream.closed


def test_json_lines() -> None:
    data = '\ufeff{"login": "a", "groups": ["x"]}\n\n{"login": "b", "title": null}\r\n{"login": "c"}'
    assert read("jsonl", data) == [
        (1, {"login": "a", "groups": ["x"]}),
        (3, {"login": "b", "title": None}),
        (4, {"login": "c"}),
    ]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b'{"login": ', "a JSON object (Expecting value at column"),
        (b"[1]", "a JSON object"),
        (b"7", "a JSON object"),
        (b'{"login": "\xff"}', "UTF-8 text"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "a number out of range"),
        (b'{"login": "' + b"x" * (1 << 20) + b'"}', "a line of at most 1,048,576 bytes"),
    ],
)
def test_a_bad_json_line_is_told_and_the_next_one_read(line: bytes, text: str) -> None:
    bad, good = read("jsonl", line + b'\n{"login": "next"}\n')
    assert bad[0] == 1
    assert text in expected(bad[1])
    assert good == (2, {"login": "next"})


def test_json_fields_are_mapped() -> None:
    record = {"profileLogin": "a", "login": "other", "title": "x"}
    mapping = {"login": "profileLogin"}
    assert read("jsonl", json.dumps(record), mapping) == [(1, {"login": "a", "title": "x"})]
    assert read("json", json.dumps([record]), mapping) == [(1, {"login": "a", "title": "x"})]


def test_a_json_array_is_numbered_by_its_records() -> None:
    data = '\ufeff [{"login": "a", "failed_sign_ins": 2.0}, 7,\n{"login": "b"}]'
    rows = read("json", data)
    assert rows[0] == (1, {"login": "a", "failed_sign_ins": 2.0})
    assert expected(rows[1][1]) == "a JSON object"
    assert rows[2] == (3, {"login": "b"})


def test_a_json_array_is_streamed() -> None:
    class Endless(io.RawIOBase):
        sent = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            data = b"[" if not self.sent else b'{"login": "a"},'
            self.sent += 1
            buffer[: len(data)] = data
            return len(data)

    records = SOURCES["json"].read(io.BufferedReader(Endless()))
    assert next(records) == (1, {"login": "a"})


@pytest.mark.parametrize(
    "data", ['{"value": []}', '[{"login": "a"}', '[{"login": "a"} {', "login\n", b'[{"a": "\xff"}]']
)
def test_what_is_no_json_array_is_refused(data: bytes | str) -> None:
    with pytest.raises(SourceError, match="the file is no JSON array"):
        read("json", data)


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("users.csv", b"login", "csv"),
        ("users.TSV", b"login", "csv"),
        ("users.jsonl", b"{", "jsonl"),
        ("users.ndjson", b"", "jsonl"),
        ("users.json", b" [", "json"),
        ("users.json", b"\xef\xbb\xbf{", "jsonl"),
        ("-", b"\n[", "json"),
        ("-", b"{", "jsonl"),
        ("-", b"login", "csv"),
        ("users.csv", b"{odd}", "csv"),
    ],
)
def test_the_kind_of_a_file_is_told_by_its_name_or_first_byte(name: str, data: bytes, kind: str) -> None:
    stream = peekable(io.BytesIO(data))
    assert detect(name, stream).slug == kind
    assert stream.read() == data
