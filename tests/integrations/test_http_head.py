"""Header lines of real servers, and how the body after them ends (RFC 9112)."""

import io

import pytest
from hypothesis import given, strategies as st

from integrations.transport.http_head import (
    Framing,
    HeadError,
    chunk_size,
    framing,
    parse_status,
    read_head,
    skip_head,
)


def read(text: bytes):
    return read_head(io.BytesIO(text).readline)


@pytest.mark.parametrize(
    ("text", "fields", "is_malformed"),
    [
        (b"", [], False),
        (b"A: b\r\nContent-Length: 2\r\n", [("A", "b"), ("Content-Length", "2")], False),
        (b"A:b \t\r\nC:\r\n", [("A", "b"), ("C", "")], False),
        (b"A: one\r\na: two\r\n", [("A", "one"), ("a", "two")], False),
        (b"A: \xe4 \xc3\xa4\r\n", [("A", "ä Ã¤")], False),
        # RFC 9112 §5.1: a proxy removes white space before the colon.
        (b"X-Frame-Options : SAMEORIGIN\r\nContent-Length\t: 0\r\n",
         [("X-Frame-Options", "SAMEORIGIN"), ("Content-Length", "0")], True),
        # §5.2: folded lines.
        (b"A: one\r\n two\r\n\t three\r\nB: c\r\n", [("A", "one two three"), ("B", "c")], True),
        # §2.2: lines that begin with white space before the first field.
        (b" Content-Length: 5\r\n\tmore\r\nA: b\r\n", [("A", "b")], True),
        # §2.2: a line feed alone ends a line; a CR alone does not.
        (b"A: b\nC: d\n", [("A", "b"), ("C", "d")], True),
        (b"A: b\rContent-Length: 9\r\n", [("A", "b Content-Length: 9")], True),
        (b"A: b\0c\r\n", [("A", "b c")], True),
        # No field: https://github.com/urllib3/urllib3/issues/1433
        (b"no colon here\r\nA: b\r\n", [("A", "b")], True),
        (b": no name\r\nA: b\r\n", [("A", "b")], True),
        (b"Two words: x\r\n and more\r\nA: b\r\n", [("A", "b")], True),
        (b"N\xc3\xa4me: x\r\nA: b\r\n", [("A", "b")], True),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n", [("A", "b")], True),
    ],
)  # fmt: skip
def test_malformed_lines_are_repaired_or_skipped_and_those_after_them_count(text, fields, is_malformed):
    for end in (b"\r\n", b"\r\nbody: x\r\n"):
        head = read(text + end)
        assert (head.headers.items(), head.is_malformed) == (fields, is_malformed)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"HTTP/1.1 200 OK\r\n", ("1.1", 200, "OK")),
        (b"HTTP/1.0 204 No Content\r\n", ("1.0", 204, "No Content")),
        (b"HTTP/1.1 200\r\n", ("1.1", 200, "")),
        (b"HTTP/1.1 200", ("1.1", 200, "")),
        (b"HTTP/1.1  200\tOK\n", ("1.1", 200, "OK")),
        (b"http/1.1 200 ok\r\n", ("1.1", 200, "ok")),
        (b"\xef\xbb\xbf HTTP/1.1 200 OK\r\n", ("1.1", 200, "OK")),
        (b"HTTP/2 201 Created\r\n", ("2", 201, "Created")),
        (b"HTTP/1.1 200OK\r\n", ("1.1", 200, "OK")),
        (b"HTTP/1.1 200 \xe4\xff\r\n", ("1.1", 200, "äÿ")),
        (b"HTTP/1.1 2000 OK\r\n", None),
        (b"HTTP/1.1 20\r\n", None),
        (b"HTTP/1.1 099 X\r\n", None),
        (b"HTTP/1.1 OK\r\n", None),
        (b"SSH-2.0-OpenSSH_9.2\r\n", None),
        (b"\rHTTP/1.1 200 OK\r\n", None),
        (b"", None),
    ],
)
def test_a_status_line_is_read_leniently(line, found):
    assert parse_status(line, is_whole=True) == found


def test_a_status_whose_line_goes_on_is_known_only_after_its_last_digit():
    assert parse_status(b"HTTP/1.1 200 ") == ("1.1", 200, "")
    assert parse_status(b"HTTP/1.1  200") is None


def test_the_head_of_an_interim_answer_may_be_of_any_size():
    head = (
        b"Link: a\r\n" * 2000 + b"Link: " + b"x" * (64 * 1024 - 6) + b"\r\nno colon\n\r\nHTTP/1.1 200 OK\r\n"
    )
    stream = io.BytesIO(head)
    skip_head(stream.readline)
    assert stream.read() == b"HTTP/1.1 200 OK\r\n"


def test_a_head_that_breaks_off_is_malformed():
    assert read(b"A: b\r\nCont").is_malformed
    assert read(b"A: b\r\n").is_malformed


def test_a_head_has_bounds():
    assert len(read(b"A: b\r\n" * 1000 + b"\r\n").headers) == 1000
    with pytest.raises(HeadError, match="more than 1,000 header lines"):
        read(b"A: b\r\n" * 1001 + b"\r\n")
    with pytest.raises(HeadError, match="a header line of more than 65,536 bytes"):
        read(b"A: " + b"x" * 70_000 + b"\r\n\r\n")


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(text):
    head = read(text.replace(b"\n\n", b"\r\n"))
    assert all("\r" not in value and "\n" not in value for value in head.headers.values())


@pytest.mark.parametrize(
    ("head", "chunked", "length"),
    [
        (b"", False, None),
        (b"Content-Length: 12\r\n", False, 12),
        (b"Content-Length: 2, 2\r\n", False, 2),
        (b"Content-Length: 2\r\ncontent-length: 2\r\n", False, 2),
        (b"Content-Length: 2,\r\n", False, 2),
        (b"Content-Length:\r\n", False, None),
        (b"Transfer-Encoding: chunked\r\n", True, None),
        (b"Transfer-Encoding: Chunked\r\nTransfer-Encoding: chunked\r\n", True, None),
        (b"Transfer-Encoding: gzip, chunked\r\n", True, None),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 50\r\n", True, None),
        (b"Transfer-Encoding: xchunked\r\nContent-Length: 50\r\n", False, None),
        (b"Transfer-Encoding: chunked, gzip\r\n", False, None),
        (b"Transfer-Encoding: identity\r\nContent-Length: 2\r\n", False, 2),
    ],
)
def test_the_end_of_a_body_follows_from_the_head(head, chunked, length):
    assert framing(200, read(head + b"\r\n").headers) == Framing(chunked, length)


def test_some_answers_have_no_body_whatever_they_announce():
    headers = read(b"Content-Length: 5\r\n\r\n").headers
    assert [framing(status, headers).length for status in (204, 304, 103, 200)] == [0, 0, 0, 5]


@pytest.mark.parametrize(
    "value", [b"2, 3", b"two", b"-1", b"+2", b"0x2", b"1_0", b"2 2", b"9" * 400, b"\xb2"]
)
def test_a_length_in_doubt_is_refused(value):
    with pytest.raises(HeadError, match="contradictory or malformed lengths"):
        framing(200, read(b"Content-Length: " + value + b"\r\n\r\n").headers)


@pytest.mark.parametrize(
    ("line", "size"), [(b"a\r\n", 10), (b"0\r\n", 0), (b" 1F ;x=y\r\n", 31), (b"00\n", 0)]
)
def test_the_size_of_a_chunk_is_hexadecimal(line, size):
    assert chunk_size(line) == size


@pytest.mark.parametrize(
    "line", [b"-1\r\n", b"1_0\r\n", b"0x10\r\n", b"+1\r\n", b"\r\n", b"f" * 16, b"zz\r\n"]
)
def test_what_int_would_take_beside_it_is_no_size(line):
    with pytest.raises(ValueError, match="not a chunk size"):
        chunk_size(line)
