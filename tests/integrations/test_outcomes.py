"""The contract's table of answers, and what is kept of one."""

# ruff: noqa: RUF001

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given, strategies as st

from integrations.masking import mask
from integrations.transport.results import (
    Result,
    masked_excerpt,
    masked_headers,
    parse_retry_after,
    result_of_status,
)

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("statuses", "result"),
    [
        ([200, 201, 202, 204, 226, 299], Result.DELIVERED),
        ([408, 425, 429, 500, 501, 502, 503, 504, 520, 599], Result.RETRYABLE),
        ([410], Result.GONE),
        (
            [101, 300, 301, 302, 304, 307, 308, 400, 401, 403, 404, 407, 409, 413, 418, 422, 499],
            Result.PERMANENT,
        ),
    ],
)
def test_the_answer_decides_what_happens_next(statuses, result):
    for status in statuses:
        found, reason = result_of_status(status)
        assert (status, found) == (status, result)
        assert str(status) in reason


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0), ("120", 120), (" 7 ", 7), ("86400", 86400), ("86401", 86400), ("9" * 5000, 86400),
        (format_datetime(NOW + timedelta(minutes=5), usegmt=True), 300),
        (format_datetime(NOW - timedelta(days=5), usegmt=True), 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86400),
        # The three forms of RFC 9110 §5.6.7.
        ("Sun, 01 Mar 2026 12:01:00 GMT", 60),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60),
        ("Sun Mar  1 12:01:00 2026", 60),
        ("Sun, 01 Mar 2026 12:01:00 -0000", 60),
        ("2026-03-01T12:01:00Z", 60), ("Sun, 01 Mar 2026 12:00:60 GMT", 59),
        # Decimals: https://github.com/discord/discord-api-docs/issues/2360
        ("600.5", 600.5), ("0.35", 0.35), (".5", 0.5), ("5.", 5), ("30 s", 30), ("30 seconds", 30),
        # Repeated headers.
        ("600, 600", 600), ("5,600", 600), ("soon, 60", 60),
        ("Sun, 01 Mar 2026 12:01:00 GMT, Sun, 01 Mar 2026 12:01:00 GMT", 60),
        ("Sun, 01 Mar 2026 12:01:00 GMT, 90", 90),
        (None, None), ("", None), ("soon", None), ("-5", None), ("1e3", None), ("600; q=1", 600), ("'600'", 600),
        ("600ms", 0.6), ("10 minutes", 600), ("10m", 600), ("2h", 7200), ("5 secs", 5), ("10 weeks", None),
        # Unix times, in seconds and milliseconds, to come and past.
        (str(int(NOW.timestamp()) + 600), 600), (str(int(NOW.timestamp()) * 1000 + 600_000), 600),
        (str(int(NOW.timestamp()) - 600), 0), ("Sat, 28 Feb 2026 12:00:00 GMT, 600", 600), ("nan", None), ("１２", None),
        ("Fri, 99 Foo 2026 99:99:99 GMT", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_every_form_and_clamped_to_a_day(value, seconds):
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_no_retry_after_header_breaks_anything(value):
    found = parse_retry_after(value, NOW)
    assert found is None or 0 <= found <= 86400


def test_secrets_that_a_receiver_echoes_are_blotted_out():
    body = b'{"you sent": "Bearer abcdef-123456", "and": "abcdef"}'
    assert masked_excerpt(body, ["abcdef", "abcdef-123456"]) == '{"you sent": "Bearer •••", "and": "•••"}'


def test_no_half_of_a_secret_stays_where_the_excerpt_ends():
    body = b"x" * (8 * 1024 - 6) + b"hunter2-hunter2"
    assert "hunter" not in masked_excerpt(body, ["hunter2-hunter2"])
    assert len(masked_excerpt(body, []).encode()) <= 8 * 1024


def test_an_answer_in_any_encoding_can_be_stored():
    assert masked_excerpt(b"\xff\x00ok") == "\ufffd\ufffdok"


@pytest.mark.parametrize(
    "name",
    [
        "Set-Cookie", "set-cookie", "SET-COOKIE2", "Cookie", "WWW-Authenticate", "Www-Authenticate", "Authorization",
        "Authentication-Info", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Authentication-Info",
    ],
)  # fmt: skip
def test_cookies_and_challenges_are_not_kept(name):
    shown = masked_headers({name: 'Digest nonce="dcd98b7102dd"', "X-Echo": "my key-1234"}, ["key-1234"])
    assert shown == {name: "•••", "X-Echo": "my •••"}


def test_a_text_too_short_to_distinguish_is_left():
    assert mask("aaa", ["a", ""]) == "aaa"
