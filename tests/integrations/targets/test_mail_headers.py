"""The headers of a mail say what the directory says, and do nothing that it says."""

import base64
import re
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import pytest

from integrations.targets import KINDS
from integrations.targets.shared.mail.addresses import smtp_address
from integrations.targets.shared.mail.headers import (
    address_header,
    parsed,
    plain_header,
    read_addresses,
    read_header,
    text_header,
)
from tests.doubles.mail import mail_server
from tests.integrations.targets import events

ADDRESS = "lee@corp.example"


def word(text: str) -> str:
    """The text as an encoded word (RFC 2047)."""
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


HOSTILE = [
    word("x <thief@evil.example>,"),
    word("<boss@evil.example>"),
    word("a\r\nBcc: thief@evil.example\r\nContent-Type: text/html\r\n\r\n<h1>Pay here</h1>"),
    word("group: a@b.example;"),
    "=?utf-8?q?=0D=0ABcc:_e@x.example?=",
    "=?utf-8?q?a?= =?utf-8?q?,b@c.example?=",
    "=?us-ascii*en?Q?=2C?=",
    "=?unknown?x?y?=",
    word(word("x <thief@evil.example>,")),
    "Zoë =?utf-8?q?,e@x.example?=",
]
NAMES = [
    "Ann Lee",
    "Lee, Ann (London)",
    'Ann "Shorty" \\ Lee',
    "ann@corp.example, bob@corp.example",
    "<b>Ann</b>; Lee:",
    "Παναγιώτης Παπαδόπουλος Κωνσταντίνου",
    "名" * 60,
    "Ö " * 40 + "z",
    "x" * 120,
    "\u2068עדה\u2069",
    "O'Brien Jr.",
]


def read(header: bytes) -> EmailMessage:
    return parsed(header + b"\r\n")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("address", [ADDRESS, f"jörg{'a' * 40}@corp.example"])
def test_a_name_is_read_as_it_was_written(name: str, address: str) -> None:
    header = address_header("To", [(name, address), ("", ADDRESS)])
    assert read_addresses(read(header), "To") == [(name, address), ("", ADDRESS)]
    # The library's parser finds the same addresses; between the parts of a long name it writes a space too many.
    (first, second) = message_from_bytes(header + b"\r\n", policy=policy.SMTPUTF8)["To"].addresses
    assert second.addr_spec == ADDRESS
    assert first.display_name.replace(" ", "") == name.replace(" ", "")
    assert all(len(line) <= 78 or "x" * 120 in line for line in header.decode().split("\r\n"))


@pytest.mark.parametrize("text", NAMES)
def test_a_subject_is_read_as_it_was_written(text: str) -> None:
    header = text_header("Subject", text)
    assert read_header(read(header), "Subject") == text
    assert str(message_from_bytes(header + b"\r\n", policy=policy.SMTP)["Subject"]) == text


def test_a_long_subject_is_folded_between_words_and_keeps_each_space() -> None:
    for text in (
        "word " * 40 + "end",
        "Zugänge früherer Beschäftigter müssen geprüft werden, bevor das Quartal zu Ende geht",
    ):
        header = text_header("Subject", text)
        assert read_header(read(header), "Subject") == text
        lines = header.decode().rstrip("\r\n").split("\r\n")
        assert len(lines) > 1
        assert all(len(line) <= 78 and line.strip() for line in lines)


@pytest.mark.parametrize("name", HOSTILE)
def test_an_encoded_word_of_a_directory_is_text(name: str) -> None:
    for header in (address_header("To", [(name, ADDRESS)]), text_header("Subject", name)):
        text = header.decode()
        assert re.findall(r"\r\n(?! )", text) == ["\r\n"]
        assert not re.search(r"=\?(?!utf-8\?[bq]\?)", text, re.IGNORECASE)
    mail = read(address_header("To", [(name, ADDRESS)]) + text_header("Subject", f"{name}: a finding"))
    shown = name.replace("=?", "= ?")
    assert read_addresses(mail, "To") == [(shown, ADDRESS)]
    assert read_header(mail, "Subject") == f"{shown}: a finding"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_of_a_directory_reaches_no_other_mailbox_and_writes_no_header(name: str) -> None:
    with mail_server("none") as box:
        document = {
            "host": "127.0.0.1",
            "port": box.port,
            "security": "none",
            "sender": "checks@corp.example",
        }
        event: dict[str, Any] = events.direct(ADDRESS, message="Hello")
        event["detail"]["recipient"]["displayName"] = name
        outcome = events.send(KINDS["email"], event, events.target(KINDS["email"], document))
        assert outcome.result == "delivered", outcome.reason
        (mail,) = box.mails
        assert [envelope.rcpt_tos for envelope in box.envelopes] == [[ADDRESS]]
    assert "Bcc" not in mail
    assert mail.get_content_type() == "multipart/alternative"
    assert [each.addr_spec for each in mail["To"].addresses] == [ADDRESS]


def test_an_address_that_readers_may_decode_is_none() -> None:
    assert smtp_address("=?utf-8?q?ceo?=@corp.example") is None
    assert smtp_address("a=b?c@corp.example") == "a=b?c@corp.example"


def test_a_long_url_stays_one_url() -> None:
    url = "https://lists.corp.example/unsubscribe/" + "a" * 300
    assert plain_header("List-Unsubscribe", f"<{url}>") == f"List-Unsubscribe: <{url}>\r\n".encode()


def test_recipients_are_read_from_the_stored_mail_of_a_list() -> None:
    addresses = [("", f"soc{number}@corp.example") for number in range(30)]
    assert read_addresses(read(address_header("To", addresses)), "To") == addresses


def test_a_header_that_is_missing_has_no_text_and_no_address() -> None:
    mail = read(plain_header("Subject", "x"))
    assert (read_header(mail, "To"), read_addresses(mail, "To")) == ("", [])
