"""What a mail server may say: bounded lines, one reply a command, all of it in time."""

import itertools
import ssl
import time
import tracemalloc
from select import select
from time import monotonic

import pytest
import trustme

from integrations.transport import smtp
from integrations.transport.results import Result
from tests.doubles.mail import talking

MAIL = b"Subject: x\r\n\r\nHello\r\n"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


def submit(port: int, **more):
    server = smtp.MailServer("127.0.0.1", port, **{"security": "none", "connect": 3, "answer": 3} | more)
    return smtp.submit(server, "a@example.com", ["b@example.com"], MAIL)


def endless(line: bytes):
    return itertools.repeat(line * (64 * 1024 // len(line)))


# Each place at which a server is listened to; after QUIT the mail is accepted, whatever follows.
PLACES = ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT"]
CODES = {"GREETING": b"220", "DATA": b"354", "QUIT": b"221"}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("form", ["lines", "line"])
def test_a_reply_without_end_takes_no_memory_and_no_time(place, form):
    code = CODES.get(place, b"250")
    flood = endless(code + b"-" + b"x" * 60 + b"\r\n") if form == "lines" else endless(code + b"-xxxx")
    tracemalloc.start()
    try:
        start = monotonic()
        with talking({place: flood}) as talk:
            if place == "QUIT":
                assert submit(talk.port) == {}
            else:
                with pytest.raises(
                    smtp.MailRejected, match=r"more than 128 lines|a line of more than 2,048 bytes"
                ) as caught:
                    submit(talk.port)
                assert caught.value.result is Result.RETRYABLE
        assert monotonic() - start < 2.5
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()
    assert talk.sent < 16 * MIB, "what the buffers of the operating system hold"


def test_a_reply_without_end_is_refused_after_starttls_too(authority, tls):
    replies = {
        "EHLO": b"250-hi\r\n250 STARTTLS\r\n",
        "STARTTLS": b"220 go\r\n",
        "MAIL": endless(b"250-x\r\n"),
    }
    ca = authority.cert_pem.bytes().decode()
    with talking(replies, tls) as talk, pytest.raises(smtp.MailRejected, match="more than 128 lines"):
        submit(talk.port, security="starttls", ca=ca)
    assert talk.commands == ["EHLO", "STARTTLS", "EHLO", "MAIL"]


@pytest.mark.parametrize("place", PLACES[:-1])
def test_a_reply_that_drips_ends_at_the_deadline(place):
    def drip():
        yield CODES.get(place, b"250") + b"-"
        end = monotonic() + 5
        while monotonic() < end:
            time.sleep(0.05)
            yield b"x"

    start = monotonic()
    with talking({place: drip()}) as talk:
        with pytest.raises(smtp.MailRejected) as caught:
            submit(talk.port, connect=0.5, answer=0.5)
        assert monotonic() - start < 1.5
    assert caught.value.result is Result.RETRYABLE


def test_a_farewell_that_drips_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(smtp, "QUIT_SECONDS", 0.2)
    drip = (time.sleep(0.05) or b"2" for _ in range(40))
    with talking({"QUIT": drip}) as talk:
        start = monotonic()
        assert submit(talk.port) == {}
        assert monotonic() - start < 1


@pytest.mark.parametrize("lines", [1, 20, 128])
def test_an_ordinary_long_reply_is_read(lines):
    said = b"".join(b"250-X-FEATURE%d %s\r\n" % (number, b"x" * 480) for number in range(lines - 1))
    with talking({"EHLO": said + b"250 SIZE 1000000\r\n"}) as talk:
        assert submit(talk.port) == {}
    assert talk.commands == ["EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT"]


@pytest.mark.parametrize("place", ["GREETING", "EHLO", "MAIL", "RCPT", "."])
@pytest.mark.parametrize("code", [b"200", b"251", b"252", b"299"])
def test_a_reply_counts_by_its_first_digit(place, code):
    """RFC 5321 §4.2: 252 to RCPT means that the server cannot verify the mailbox and accepts the mail."""
    with talking({place: code + b" fine\r\n"}) as talk:
        assert submit(talk.port) == {}
    assert talk.commands == ["EHLO", "MAIL", "RCPT", "DATA", ".", "QUIT"]


@pytest.mark.parametrize("code", [b"350", b"450", b"550"])
@pytest.mark.parametrize("place", ["GREETING", "MAIL", "RCPT", "."])
def test_a_reply_of_another_first_digit_is_a_refusal(place, code):
    with talking({place: code + b" no\r\n"}) as talk, pytest.raises(smtp.MailRejected) as caught:
        submit(talk.port)
    assert caught.value.code == int(code)
    assert caught.value.result is (Result.PERMANENT if code[:1] == b"5" else Result.RETRYABLE)


@pytest.mark.parametrize("said", [b"hello\r\n", b"25\r\n", b"250+ok\r\n", b"\r\n", b"2x0 ok\r\n"])
def test_what_is_no_reply_is_named(said):
    with talking({"MAIL": said}) as talk, pytest.raises(smtp.MailRejected, match="not an SMTP reply"):
        submit(talk.port)


# A reply ahead of its command would be taken for the reply to that one: a mail that is refused would count as accepted.
AHEAD = {
    "after the greeting": {"GREETING": b"220 hi\r\n250 ok\r\n"},
    "after EHLO": {"EHLO": b"250 hi\r\n250 ok\r\n", ".": b"554 spam\r\n"},
    "after MAIL": {"MAIL": b"250 ok\r\n250 ok\r\n", "RCPT": b"550 nobody\r\n"},
    "after RCPT": {"RCPT": b"250 ok\r\n354 go\r\n", "DATA": b"250 ok\r\n", ".": b"554 spam\r\n"},
    "after DATA": {"DATA": b"354 go\r\n250 ok\r\n", ".": b"554 spam\r\n"},
}


@pytest.mark.parametrize("replies", AHEAD.values(), ids=AHEAD)
@pytest.mark.parametrize("packets", ["one", "two"])
def test_a_reply_ahead_of_its_command_does_not_count(replies, packets, monkeypatch):
    if packets == "two":
        replies = {place: said.splitlines(keepends=True) for place, said in replies.items()}
        # The second packet is under way when the first one is read.
        take = smtp._Session.getreply
        monkeypatch.setattr(
            smtp._Session, "getreply", lambda self: (take(self), select([self.sock], [], [], 0.2))[0]
        )
    with (
        talking(replies) as talk,
        pytest.raises(smtp.MailRejected, match="before anything was asked") as caught,
    ):
        submit(talk.port)
    assert caught.value.result is Result.RETRYABLE


def test_what_is_sent_in_the_clear_before_tls_is_not_read_as_encrypted(authority, tls):
    replies = {"EHLO": b"250-hi\r\n250 STARTTLS\r\n", "STARTTLS": b"220 go\r\n250-hi\r\n250 AUTH PLAIN\r\n"}
    with talking(replies, tls) as talk, pytest.raises(smtp.MailRejected, match="before anything was asked"):
        submit(talk.port, security="starttls", ca=authority.cert_pem.bytes().decode())
    assert talk.commands == ["EHLO", "STARTTLS"]


def test_a_challenge_that_cannot_be_decoded_is_named(authority, tls):
    replies = {"GREETING": b"220 hi\r\n", "EHLO": b"250-hi\r\n250 AUTH CRAM-MD5\r\n", "AUTH": b"334 a\r\n"}
    with talking(replies) as talk, pytest.raises(smtp.MailRejected, match="challenge cannot be decoded"):
        submit(talk.port, username="robot", password="secret-password")


def test_session_tickets_of_tls_are_no_reply(authority, tls):
    """OpenSSL sends them unasked after the handshake."""
    replies = {"EHLO": b"250-hi\r\n250 STARTTLS\r\n", "STARTTLS": b"220 go\r\n"}
    for _ in range(5):
        with talking(replies, tls) as talk:
            assert submit(talk.port, security="starttls", ca=authority.cert_pem.bytes().decode()) == {}
        assert talk.commands[-1] == "QUIT"
