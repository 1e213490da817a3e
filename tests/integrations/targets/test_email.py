"""E-mail, against real SMTP servers on loopback (aiosmtpd): encrypted, refusing, greylisting, hanging up, full."""

import base64
import hmac
import ssl
from email import message_from_bytes, policy

import pytest
import trustme

from integrations.target_data import InvalidDocument
from integrations.targets.email.kind import Email
from integrations.targets.shared.mail.addresses import smtp_address
from integrations.transport import smtp
from integrations.transport.results import Result
from tests.doubles.mail import PASSWORD, USER, dripping, mail_server, talking
from tests.integrations.targets import events

KIND = Email()
PLAIN = {"host": "127.0.0.1", "security": "none", "sender": "checks@example.com", "to": ["soc@example.com"]}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    return context


def secured(security: str, port: int, authority: trustme.CA, **more):
    document = PLAIN | {
        "host": "localhost",
        "port": port,
        "security": security,
        "login": "password",
        "username": USER,
        "password": PASSWORD,
        "tls": {"ca": authority.cert_pem.bytes().decode()},
    }
    return events.target(KIND, document | more)


def plain(port: int, **more):
    return events.target(KIND, PLAIN | {"port": port} | more)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_digest_arrives_over_tls_after_signing_in(security, authority, tls):
    with mail_server(security, tls) as box:
        outcome = events.send(KIND, events.failed(), secured(security, box.port, authority))
    assert outcome.result is Result.DELIVERED, outcome.reason
    assert box.signed_in == [USER.encode()]
    (mail,) = box.mails
    assert mail["Subject"] == "[critical] 2 users newly failing: No MFA Configured"
    assert mail.get_body(("plain",)).get_content().startswith("2 users newly failing: No MFA Configured")
    assert "<h1" in mail.get_body(("html",)).get_content()


def test_a_certificate_that_nobody_trusts_is_no_connection(tls):
    with mail_server("tls", tls) as box:
        outcome = events.send(KIND, events.failed(), plain(box.port, host="localhost", security="tls"))
    assert outcome.result is Result.RETRYABLE
    assert "certificate of localhost was refused" in outcome.reason
    assert box.envelopes == []


def test_a_certificate_for_another_name_is_no_connection(authority, tls):
    with mail_server("starttls", tls) as box:
        outcome = events.send(
            KIND, events.failed(), secured("starttls", box.port, authority, host="127.0.0.1")
        )
    assert outcome.result is Result.RETRYABLE
    assert box.envelopes == []


def test_without_starttls_nothing_is_sent_in_the_clear():
    with mail_server("none") as box:
        outcome = events.send(KIND, events.failed(), plain(box.port, security="starttls"))
    assert (outcome.result, box.envelopes) == (Result.PERMANENT, [])
    assert "STARTTLS" in outcome.reason


def test_a_target_without_recipients_is_tested_as_far_as_signing_in(authority, tls):
    with mail_server("starttls", tls) as box:
        good = events.send(KIND, events.connectivity(), secured("starttls", box.port, authority, to=[]))
        bad = events.send(
            KIND, events.connectivity(), secured("starttls", box.port, authority, to=[], password="no")
        )
    assert (good.result, bad.result) == (Result.DELIVERED, Result.PERMANENT)
    assert (box.signed_in, box.envelopes) == ([USER.encode()], [])


def test_a_wrong_password_is_a_refusal_without_the_password(authority, tls):
    with mail_server("starttls", tls) as box:
        to = secured("starttls", box.port, authority, password="wrong-password")
        outcome = events.send(KIND, events.failed(), to)
    assert (outcome.result, outcome.status) == (Result.PERMANENT, 535)
    assert "wrong-password" not in repr(outcome)


def test_an_address_that_is_not_allowed_is_never_dialled(settings):
    with mail_server("none") as box:
        settings.ALLOWED_NETWORKS = []
        outcome = events.send(KIND, events.failed(), plain(box.port))
    assert outcome.result is Result.PERMANENT
    assert "ALLOWED_NETWORKS" in outcome.reason
    assert box.envelopes == []


def test_nobody_listening_is_retried():
    with mail_server("none") as box:
        port = box.port
    assert events.send(KIND, events.failed(), plain(port)).result is Result.RETRYABLE


@pytest.mark.parametrize(
    ("command", "reply", "result"),
    [
        ("RCPT", "450 4.2.0 Greylisted, see RFC 6647", Result.RETRYABLE),
        ("RCPT", "451 4.7.1 Greylisted, try again later", Result.RETRYABLE),
        ("RCPT", "452 4.2.2 Mailbox full", Result.RETRYABLE),
        ("RCPT", "550 5.1.1 No such user", Result.PERMANENT),
        ("MAIL", "421 4.3.2 Going down", Result.RETRYABLE),
        ("MAIL", "553 5.7.1 Sender not yours", Result.PERMANENT),
        ("DATA", "421 4.4.2 Too long idle", Result.RETRYABLE),
        ("DATA", "552 5.3.4 Message too big", Result.PERMANENT),
        ("DATA", "554 5.7.1 Spam", Result.PERMANENT),
    ],
)
def test_a_refusal_is_retried_if_its_code_says_that_it_may_pass(command, reply, result):
    with mail_server("none") as box:
        box.says[command] = reply
        outcome = events.send(KIND, events.failed(), plain(box.port))
    assert (outcome.result, outcome.status) == (result, int(reply[:3]))
    assert reply[4:] in outcome.reason


@pytest.mark.parametrize(
    ("greeting", "result"),
    [
        (b"421 4.3.2 Too many connections\r\n", Result.RETRYABLE),
        (b"554 5.7.1 No service\r\n", Result.PERMANENT),
    ],
)
def test_a_server_that_greets_with_a_refusal_is_taken_at_its_word(greeting, result):
    with dripping(greeting) as port:
        outcome = events.send(KIND, events.failed(), plain(port))
    assert (outcome.result, outcome.status) == (result, int(greeting[:3]))


def test_a_mail_over_the_announced_size_is_refused_before_it_is_sent():
    with mail_server("none", data_size_limit=1000) as box:
        outcome = events.send(KIND, events.failed(), plain(box.port))
    assert (outcome.result, outcome.status, box.envelopes) == (Result.PERMANENT, 552, [])


def test_who_is_refused_beside_others_is_named_and_the_others_are_not_written_to_twice():
    with mail_server("none") as box:
        box.says["gone@example.com"] = "550 5.1.1 No such user"
        outcome = events.send(KIND, events.failed(), plain(box.port, to="soc@example.com\ngone@example.com"))
    assert outcome.result is Result.DELIVERED
    assert "gone@example.com: 550 5.1.1 No such user" in outcome.reason
    assert box.envelopes[0].rcpt_tos == ["soc@example.com"]


def test_a_server_that_drips_is_cut_off_in_time():
    with dripping(b"220-slow\r\n" * 100) as port:
        outcome = events.send(KIND, events.failed(), plain(port, timeouts={"connect": 0.5, "answer": 0.5}))
    assert outcome.result is Result.RETRYABLE
    assert outcome.latency_ms < 2000


def test_a_person_gets_the_own_message_and_no_list_header():
    with mail_server("none") as box:
        to = plain(box.port, to=[], unsubscribe="https://example.com/unsubscribe", reply_to="soc@example.com")
        outcome = events.send(KIND, events.direct("ann@example.com", message="Hello Ann"), to)
    assert outcome.result is Result.DELIVERED
    (mail,) = box.mails
    assert box.envelopes[0].rcpt_tos == ["ann@example.com"]
    assert (mail["To"], mail["Reply-To"], mail["List-Unsubscribe"]) == (
        "Ann Lee <ann@example.com>",
        "soc@example.com",
        None,
    )
    assert "\r\n\r\nHello Ann\r\n" in mail.get_body(("plain",)).get_content()


@pytest.mark.parametrize(
    "email", ["", "nobody", "a b@example.com", "x@example.com, y@example.com", "ä\u202e@example.com"]
)
def test_a_person_without_a_usable_address_is_a_refusal(email):
    with mail_server("none") as box:
        outcome = events.send(KIND, events.direct(email, message="Hello"), plain(box.port))
    assert (outcome.result, box.envelopes) == (Result.PERMANENT, [])


def test_a_name_makes_no_header_no_recipient_and_no_markup():
    people = [events.user(login) for login in events.HOSTILE]
    with mail_server("none") as box:
        events.send(
            KIND,
            events.failed(people, message="<img src=x onerror=alert(1)>\r\nBcc: v@example.com"),
            plain(box.port),
        )
        login = "x\r\nBcc: victim@example.com"
        events.send(KIND, events.direct("ann@example.com", login, message="Hi"), plain(box.port))
    assert [e.rcpt_tos for e in box.envelopes] == [["soc@example.com"], ["ann@example.com"]]
    for mail in box.mails:
        assert mail["Bcc"] is None
        html = mail.get_body(("html",)).get_content()
        assert "<script" not in html
        assert "<img" not in html


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        (["soc@example.com", "soc@EXAMPLE.com"], ["soc@example.com"]),
        (["soc@EXAMPLE.com", "soc@example.com"], ["soc@EXAMPLE.com"]),
        (["soc@bücher.example", "soc@xn--bcher-kva.example"], ["soc@bücher.example"]),
        # The part before the @ belongs to its server (RFC 5321 §2.4).
        (["soc@example.com", "SOC@example.com"], ["soc@example.com", "SOC@example.com"]),
        (["soc@example.com", "soc@example.net"], ["soc@example.com", "soc@example.net"]),
    ],
)
def test_a_mailbox_is_a_recipient_once(named, kept):
    assert plain(25, to=named).settings["to"] == kept


def test_a_target_that_was_saved_with_a_mailbox_twice_sends_once_and_to_its_list():
    with mail_server("none") as box:
        to = plain(box.port)
        to.settings["to"] = ["soc@example.com", "soc@EXAMPLE.com"]
        assert events.send(KIND, events.failed(), to).result is Result.DELIVERED
        box.says["RCPT"] = "550 5.1.1 No such user"
        assert not events.send(KIND, events.failed(), to).concerns_recipient
    assert [envelope.rcpt_tos for envelope in box.envelopes] == [["soc@example.com"]]


def test_a_digest_says_which_list_it_belongs_to():
    to = plain(25, unsubscribe="https://example.com/unsubscribe")
    mail = message_from_bytes(KIND.render(events.failed(), to).body, policy=policy.default)
    assert mail["List-Unsubscribe"] == "<https://example.com/unsubscribe>"


@pytest.mark.parametrize("count", [0, 1, 50, 10_000])
def test_a_digest_names_the_first_and_counts_the_rest(count):
    body = KIND.render(events.failed(events.users(count)), plain(25)).body
    assert len(body) <= KIND.max_bytes
    text = message_from_bytes(body, policy=policy.default).get_body(("plain",)).get_content()
    assert ("and 9,800 more" in text) == (count == 10_000)


def test_a_page_may_show_a_stored_mail_decoded():
    to = plain(25)
    shown = KIND.show(KIND.render(events.failed([events.user("käthe@example.com")]), to).body, to)
    assert "To: soc@example.com\n" in shown
    assert "- käthe@example.com" in shown
    assert "<h1" not in shown


@pytest.mark.parametrize(
    "address",
    [
        "ä b@example.com",
        "ä\x00@example.com",
        "ü" * 33 + "@example.com",
        "a@b@example.com",
        "a..b@example.com",
        "@example.com",
        "a@",
        "a@\u2488.example",
        "a@-x.example",
    ],
)
def test_an_address_that_smtp_cannot_carry_is_none(address):
    assert smtp_address(address) is None


# --- Letters beyond ASCII -------------------------------------------------------------------------------
def test_an_address_beyond_ascii_is_reached_by_a_server_with_smtputf8():
    with mail_server("none", enable_SMTPUTF8=True) as box:
        to = plain(box.port, sender="prüfung@example.com", reply_to="büro@example.com")
        outcome = events.send(KIND, events.direct("jörg@bücher.example", message="Hello"), to)
    assert outcome.result is Result.DELIVERED, outcome.reason
    assert box.envelopes[0].mail_from == "prüfung@example.com"
    assert box.envelopes[0].rcpt_tos == ["jörg@xn--bcher-kva.example"]
    (mail,) = box.mails
    assert (str(mail["To"]), str(mail["Reply-To"])) == (
        "Ann Lee <jörg@xn--bcher-kva.example>",
        "büro@example.com",
    )


def test_a_server_without_smtputf8_is_not_sent_what_it_cannot_carry():
    with mail_server("none", enable_SMTPUTF8=False) as box:
        outcome = events.send(KIND, events.direct("jörg@example.com", message="Hello"), plain(box.port))
    assert (outcome.result, box.envelopes) == (Result.PERMANENT, [])
    assert "SMTPUTF8" in outcome.reason
    assert "jörg@example.com" in outcome.reason


def test_an_address_in_ascii_needs_nothing_of_the_server():
    with mail_server("none", enable_SMTPUTF8=False) as box:
        outcome = events.send(KIND, events.direct("ann@bücher.example", message="Grüße"), plain(box.port))
    assert outcome.result is Result.DELIVERED
    assert box.envelopes[0].original_content.isascii()


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_a_password_beyond_ascii_signs_in(mechanism, authority, tls):
    exclude = {"PLAIN", "LOGIN"} - {mechanism}
    with mail_server("starttls", tls, auth_exclude_mechanism=exclude) as box:
        box.user, box.password = "prüfer", "Straße-日本-ünïcode"
        # Typed as letters and marks apart, and with a space that does not break: SASLprep makes them one.
        to = secured(
            "starttls", box.port, authority, username="pru\u0308fer", password="Straße-日本-u\u0308nïcode"
        )
        outcome = events.send(KIND, events.failed(), to)
    assert outcome.result is Result.DELIVERED, outcome.reason
    assert box.signed_in == ["prüfer".encode()]


def test_cram_md5_hashes_the_password_in_utf_8():
    challenge = b"<1896.697170952@mail.example.com>"
    replies = {
        "EHLO": b"250-hi\r\n250 AUTH CRAM-MD5\r\n",
        "AUTH": b"334 " + base64.b64encode(challenge) + b"\r\n",
    }
    digest = hmac.new("schlüssel".encode(), challenge, "md5").hexdigest()
    response = base64.b64encode(f"prüfer {digest}".encode()).decode()
    replies[response.upper()] = b"235 ok\r\n"
    with talking(replies) as talk:
        server = smtp.MailServer("127.0.0.1", talk.port, "none", "prüfer", "schlüssel", connect=3, answer=3)
        assert smtp.submit(server, "a@example.com", ["b@example.com"], b"Subject: x\r\n\r\nHello\r\n") == {}
    assert response.upper() in talk.commands


def test_an_international_domain_is_written_by_idna():
    assert smtp_address("ann@bücher.example") == "ann@xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"host": ""}, "host"),
        ({"host": "mail.example.com/x"}, "host"),
        ({"host": "mail example"}, "host"),
        ({"reply_to": "a..b@example.com"}, "reply_to"),
        ({"to": ["a..b@example.com"]}, "to"),
        ({"to": [f"a{n}@example.com" for n in range(51)]}, "to"),
        ({"port": 0}, "port"),
        ({"port": 25.5}, "port"),
        ({"security": "ssl3"}, "security"),
        ({"login": "password", "username": "u", "password": "p"}, "security"),
        ({"sender": "checks"}, "sender"),
        ({"to": ["soc@example.com", "x\r\nBcc: y@example.com"]}, "to"),
        ({"to": "soc@example.com, not-an-address"}, "to"),
        ({"unsubscribe": "javascript:alert(1)"}, "unsubscribe"),
        ({"tls": {"ca": "nonsense"}}, "tls.ca"),
        ({"username": "u"}, "username"),
    ],
)
def test_a_bad_document_names_the_key_that_is_wrong(change, path):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean(PLAIN | change)
    assert list(caught.value.errors) == [path]


def test_a_note_that_one_is_cured_goes_to_the_person():
    with mail_server("none") as box:
        events.send(KIND, events.note(), plain(box.port, unsubscribe="mailto:u@example.com"))
    assert [envelope.rcpt_tos for envelope in box.envelopes] == [["ann@example.com"]]
    assert box.mails[0]["List-Unsubscribe"] is None
