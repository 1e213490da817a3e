"""Files become records: delimiters, encodings, true line numbers, and rows that cannot be read."""

import bz2
import gzip
import io
import json
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from integrations.formats import SOURCES, SourceError, UnreadableRecord, detect, peekable


def read(kind: str, data: bytes | str, mapping: dict[str, str] | None = None) -> list[Any]:
    raw = data.encode() if isinstance(data, str) else data
    return list(SOURCES[kind].read(io.BytesIO(raw), mapping))


def expected(item: Any) -> str:
    assert isinstance(item, UnreadableRecord), item
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
        ("name\na\n", None, "no column 'login'; map one of its columns to it. It has: name"),
        ("a\nb\n", {"login": "UserName"}, "no column 'UserName'; it has: a"),
        ("login,title,title\n", None, "names 'title' twice"),
        ("login,x\n", {"title": "x", "company": "x"}, "both title and company are mapped to 'x'"),
        ('"login\n', None, "the header row cannot be read"),
        ("login," + ",".join(f"c{n}" for n in range(1_001)), None, "names 1,002 columns; at most 1,000"),
        (b"login,name\0\n", None, "it is binary data"),
        (b" " * 5_000 + b"login,name\0\n", None, "it is binary data"),
        ("x" * 500 + "".join(f",y{n}" for n in range(100)), None, "It has: x{60}…, y0, .*, y18 …$"),
    ],
)
def test_a_csv_file_that_cannot_be_read_says_why(
    data: bytes | str, mapping: dict[str, str] | None, text: str
) -> None:
    with pytest.raises(SourceError, match=text):
        read("csv", data, mapping)


def test_ragged_rows_are_reported_and_the_others_read() -> None:
    rows = read("csv", "login,title\na\nb,x,y\nc,z\n")
    assert expected(rows[0][1]) == "a row of 2 cells like the header (it has 1)"
    assert expected(rows[1][1]) == "a row of 2 cells like the header (it has 3)"
    assert rows[1][1].original == {"login": "b", "title": "x", None: ["y"]}
    assert rows[2] == (4, {"login": "c", "title": "z"})


def test_bad_quotes_are_reported_with_their_line() -> None:
    rows = read("csv", 'login,title\n"a"b,x\nc,z\n')
    assert rows[0][0] == 2
    assert "see to its quotes" in expected(rows[0][1])
    assert rows[1] == (3, {"login": "c", "title": "z"})


def test_a_quote_that_never_ends_is_reported_with_its_first_line() -> None:
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
        (b"1" * 5000, "a number out of range"),
    ],
)
def test_a_bad_json_line_is_reported_and_the_next_one_read(line: bytes, text: str) -> None:
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


@pytest.mark.parametrize("data", ['[{"login": "a"}', '[{"login": "a"} {', "login\n", b'[{"a": "\xff"}]'])
def test_what_is_no_json_array_is_refused(data: bytes | str) -> None:
    with pytest.raises(SourceError, match="the file is not a JSON array"):
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
def test_the_kind_of_a_file_follows_from_its_name_or_first_byte(name: str, data: bytes, kind: str) -> None:
    stream = peekable(io.BytesIO(data))
    assert detect(name, stream).slug == kind
    assert stream.read() == data


def nested(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


@pytest.mark.parametrize("kind", ["jsonl", "json"])
@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (nested(32), "nested more than 32 levels deep"),
        (nested(300), "nested more than 32 levels deep"),
        (b"[" * 20_000, "nested more than 32 levels deep"),
        (b'{"a":' * 20_000, "nested more than 32 levels deep"),
        (b"[" + b"[]," * 50_000 + b"[]]", "more than 50,000 values"),
        (b'"' + b"x" * 2_000_000 + b'"', "larger than 1,048,576 bytes"),
        (b"[" + b"1," * 600_000 + b"1]", "(more than 50,000 values|larger than 1,048,576 bytes)"),
    ],
)
def test_a_json_record_beyond_the_bounds_ends_the_import(kind: str, value: bytes, problem: str) -> None:
    end, begin, between = (b"", b"", b"\n") if kind == "jsonl" else (b"]", b"[", b",")
    record = b'{"login": "kim", "groups": ' + value + b"}"
    with pytest.raises(SourceError, match=f"(line|record) 2 is {problem}; split it"):
        read(kind, begin + b'{"login": "lee"}' + between + record + end)


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_a_json_record_within_the_bounds_is_read(kind: str) -> None:
    record = b'{"login": "kim", "x": ' + nested(31) + b', "groups": [' + b"1," * 9_999 + b"1]}"
    ((_, found),) = read(kind, record if kind == "jsonl" else b"[" + record + b"]")
    assert len(found["groups"]) == 10_000


def test_a_number_of_thousands_of_digits_is_no_json_array() -> None:
    with pytest.raises(SourceError, match="not a JSON array: after record 0"):
        read("json", b'[{"failed_sign_ins": ' + b"9" * 5_000 + b"}]")


@pytest.mark.parametrize(
    "data",
    [
        b"login,title\na," + b"x" * 2_000_000 + b"\n",
        b"login,title\na," + b'"x\n",' * 400_000 + b"\n",
        b"login," + b"x" * 2_000_000 + b"\n",
    ],
    ids=["one line", "one record of many lines", "the header"],
)
def test_a_csv_record_larger_than_a_mebibyte_ends_the_import(data: bytes) -> None:
    with pytest.raises(SourceError, match="larger than 1,048,576 characters"):
        read("csv", data)


def test_a_csv_file_of_many_small_records_may_be_larger() -> None:
    assert len(read("csv", b"login,title\n" + b"a,bcdefghijklmnop\n" * 100_000)) == 100_000


@pytest.mark.parametrize(
    "preamble",
    [
        "#TYPE Selected.Microsoft.ActiveDirectory.Management.ADUser\n",
        '"#TYPE System.Management.Automation.PSCustomObject"\n',
        "sep=,\n",
        '\ufeff"sep=,"\r\n',
        "# exported 2026-11-28\n",
        "Users of x.example\n\n2026-11-28, 12:00\n\n",
        "#TYPE X\n\n",
        "SEP=,\n#TYPE X\n",
    ],
)
def test_lines_above_the_header_are_skipped_and_lines_counted_truly(preamble: str) -> None:
    rows = read("csv", preamble + '"login","title"\n"kim","a\nb"\n"lee",""\n')
    first = preamble.count("\n") + 2
    assert rows == [(first, {"login": "kim", "title": "a\nb"}), (first + 2, {"login": "lee", "title": ""})]


def test_a_mapped_column_finds_the_header_below_a_title() -> None:
    assert read("csv", "Report\nUserName;Mail\nkim;\n", {"login": "UserName"})[0][1]["login"] == "kim"


@pytest.mark.parametrize(
    "title",
    [
        "All active workers\n",
        "All active workers,,,,\n",
        "Report date,2026-11-01,,,\n",
        '"Workers",,,,\n,,,,\nAll,,,,\n',
    ],
)
@pytest.mark.parametrize("header", ["Employee ID,Worker,Status,Title,Mail", ",Worker,Status,Title,Mail"])
def test_a_title_that_a_spreadsheet_filled_up_is_no_header(title: str, header: str) -> None:
    data = f"{title}{header}\n1,Kim,Active,,k@x.example\n".encode()
    ((line, record),) = SOURCES["csv"].read_as_written(io.BytesIO(data))
    assert (line, list(record)[1:]) == (title.count("\n") + 2, ["Worker", "Status", "Title", "Mail"])


@pytest.mark.parametrize("data", ["login,\nkim,x\n", "login\nkim\n", 'login,notes\nkim,"a, b, c, d"\n'])
def test_a_narrow_file_has_its_header_in_the_first_line(data: str) -> None:
    ((_, record),) = SOURCES["csv"].read_as_written(io.BytesIO(data.encode()))
    assert record["login"] == "kim"


@pytest.mark.parametrize("mark", ["\ufeff", "\u200b", "\u200e"])
def test_a_name_of_a_column_has_no_unseen_character(mark: str) -> None:
    data = f"\ufeff{mark}login,{mark}title{mark}\nkim,x\n"
    assert read("csv", data) == [(2, {"login": "kim", "title": "x"})]


def test_a_row_of_empty_cells_is_none() -> None:
    assert read("csv", "login,title\n,\nkim,x\n , \n,,,\n") == [(3, {"login": "kim", "title": "x"})]


def test_a_separator_line_names_the_delimiter() -> None:
    assert read("csv", "sep=|\nlogin|groups\nkim|a,b\n") == [(3, {"login": "kim", "groups": "a,b"})]


def test_a_first_line_that_is_no_header_is_named() -> None:
    with pytest.raises(SourceError, match="the first row is not the header"):
        read("csv", "Users\n" + "a,b\n" * 20)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (name, text)
        for name in ("users.json", "-", "export")
        for text in (
            '{"value": [%s]}',
            '{"@odata.context": "https://x", "@odata.count": 2, "value": [%s]}',
            '{"schemas": ["urn:x"], "totalResults": 2, "Resources": [%s]}',
            '{"kind": "directory#users", "users": [%s], "nextPageToken": "x"}',
            '{"Report_Entry": [%s]}',
            '{\n  "Report_Entry":\n  [%s]\n}',
            '{"stat": "OK", "response": [%s], "metadata": {"total_objects": 2}}',
            '{"d": {"results": [%s]}}',
            '\ufeff{"colleagues": [%s]}',
        )
    ],
)
def test_the_list_inside_an_object_is_read(name: str, text: str) -> None:
    data = (
        text % '{"login": "kim", "groups": ["a"]}, {"login": "lee", "applications": [{"name": "Jira"}]}'
    ).encode()
    source = detect(name, peekable(io.BytesIO(data)))
    assert source.slug == "json"
    assert [(number, record["login"]) for number, record in read("json", data)] == [(1, "kim"), (2, "lee")]


@pytest.mark.parametrize(
    "text",
    [
        '{"login": "kim", "applications": [{"name": "Jira"}]}',
        '{"login": "kim", "mfa_factors": [{"kind": "sms"}]}\n{"login": "lee"}\n',
        '{"login": "kim", "value": [{"a": 1}]}\n{"login": "lee"}\n',
        '{"login": "kim", "groups": ["]}", "{"]}\n',
    ],
)
def test_a_record_with_a_list_is_a_line_of_json_lines(text: str) -> None:
    assert detect("users.json", peekable(io.BytesIO(text.encode()))).slug == "jsonl"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ('{"login": "a"}', "nor an object with a list of users inside"),
        ('{"value": [{"login": "a"}], "users": [{"login": "b"}]}', r"holds several lists \(value, users\)"),
        ('{"value": [{"login": "a"}', "the file is not a JSON array"),
        ('{"value": [{"login": "a"}]} x', "the file is not a JSON array"),
        ('{"links": [{"rel": "a"}]}', "nor an object with a list of users inside"),
    ],
)
def test_an_object_that_is_no_list_of_records_says_why(data: str, text: str) -> None:
    with pytest.raises(SourceError, match=text):
        read("json", data)


LATIN = "login,größe\nkim,1\n".encode("latin-1")
KINDS = [
    (gzip.compress(b"login\nkim\n", mtime=0), "compressed with gzip, not text; unpack it"),
    (bz2.compress(b"login\nkim\n"), "compressed with bzip2"),
    (lzma.compress(b"login\nkim\n"), "compressed with xz"),
    (b"PK\x03\x04\x14\0", "a ZIP archive or a spreadsheet"),
    (
        b"PK\x03\x04\x14\0" + bytes(20) + b"[Content_Types].xml" + bytes(60) + b"xl/workbook.xml",
        r"an Excel workbook \(.xlsx\), not text; save it as CSV",
    ),
    (
        b"PK\x03\x04\x14\0mimetypeapplication/vnd.oasis.opendocument.spreadsheet",
        "an OpenDocument spreadsheet",
    ),
    (b"dn: CN=Kim,DC=x\nobjectClass: user\n", "an LDIF file .*Export-Csv"),
    (b"version: 1\n\ndn:: Q049S2lt\n", "an LDIF file"),
    (b"# extended LDIF\n#\n# LDAPv3\n\ndn: cn=kim\n", "an LDIF file"),
    (b"\xef\xbb\xbf\n<!DOCTYPE html><html>", "an HTML page, perhaps a sign-in page"),
    (b"<html lang=en>", "an HTML page"),
    (b"<!-- saved from url -->\n<html>", "an HTML page"),
    (b"<table border=1><tr>", "an HTML page"),
    (b'<?xml version="1.0"?><Workbook>', "an XML document"),
    (b"{\\rtf1", "Rich Text Format"),
    (b"-----BEGIN PGP MESSAGE-----\n", "encrypted"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0", "an old Office document"),
    (b"%PDF-1.7\n", "a PDF document"),
    ("login\nkim\n".encode("utf-16"), "text in UTF-16; save it"),
    ("login\nkim\n".encode("utf-16-le"), "UTF-16 without a byte order mark"),
    ("login\nkim\n".encode("utf-16-be"), "UTF-16 without a byte order mark"),
    ("login\nkim\n".encode("utf-32"), "text in UTF-32"),
    (b"login\0\nkim\n", "holds NUL bytes: it is binary data"),
]


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(("data", "what"), KINDS, ids=[what for _, what in KINDS])
def test_a_file_that_is_no_text_is_refused_by_what_it_is(kind: str, data: bytes, what: str) -> None:
    with pytest.raises(SourceError, match=what):
        read(kind, data)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (LATIN, "byte 0xF6 at position 9.*most likely Latin-1 or Windows-1252; save the file in UTF-8"),
        (b"login,\xc3\xb6,gr\xf6\xdfe\n", "byte 0xF6 at position 12"),
        (b"\x8f\x01\x02\xfe\x03\x04\x05\n", "binary data"),
    ],
)
def test_a_csv_header_that_is_no_utf_8_is_refused_by_what_it_is(data: bytes, what: str) -> None:
    with pytest.raises(SourceError, match=what):
        read("csv", data)


@settings(max_examples=300)
@given(st.binary(max_size=400), st.sampled_from(sorted(SOURCES)))
def test_any_bytes_are_records_or_refused_with_a_text_that_can_be_stored(data: bytes, kind: str) -> None:
    try:
        read(kind, data)
    except SourceError as error:
        assert str(error).isprintable()  # noqa: PT017
        str(error).encode()


MEASURED = """
import io, resource, sys
from integrations.formats import SOURCES, SourceError
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    for _ in SOURCES[sys.argv[1]].read(open(sys.argv[2], "rb")):
        pass
except SourceError as error:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, error)
"""


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("json", b"[" * 300_000 + b"]" * 300_000),
        ("json", b'[{"a":' * 100_000),
        ("json", b'[{"login": "' + b"x" * 50_000_000),
        ("jsonl", b"[" * 300_000 + b"]" * 300_000),
        ("jsonl", b'{"login": "' + b"x" * 50_000_000),
        ("csv", b"login\n" + b"x" * 50_000_000),
        ("csv", b"login\n" + b'"x\n",' * 10_000_000),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_refused_takes_little_memory(kind: str, data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    with_bound = f"import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))\n{MEASURED}"
    done = subprocess.run(
        [sys.executable, "-c", with_bound, kind, str(path)], check=True, capture_output=True, text=True
    )
    kibibytes, _, problem = done.stdout.partition(" ")
    assert problem, "it was read"
    assert int(kibibytes) < 50_000
