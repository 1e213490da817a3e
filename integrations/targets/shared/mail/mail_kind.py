"""The base of the kinds that send mail: one message, sent by SMTP or by a vendor's API.

All of them render the same mail (RFC 5322), which is stored; each kind sends it its own way.
"""

import hashlib
from abc import abstractmethod
from dataclasses import dataclass
from datetime import datetime
from email import policy, quoprimime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import ClassVar

from integrations.json_types import JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.mail.addresses import (
    ADDRESS,
    ADDRESS_HINT,
    smtp_address,
    without_repeats,
)
from integrations.targets.shared.mail.headers import (
    address_header,
    parsed,
    plain_header,
    read_addresses,
    read_header,
    text_header,
)
from integrations.targets.shared.mail.parts import html_part, text_part
from integrations.targets.shared.mail.preview import mail_preview
from integrations.targets.shared.preview import MessagePreview
from integrations.targets.shared.setting_fields import Field
from integrations.targets.shared.summary import EventSummary, summarize, visible_line
from integrations.targets.shared.target_kind import ALL_AUDIENCES, Inert, TargetKind
from integrations.transport.results import AttemptOutcome, Result

PEOPLE = 200
CHARACTERS = 65_536
# Marks a connectivity test of a target without recipients for attempt(), which does not send such a mail.
PROBE = "X-Connectivity"
PROBE_HEADER = plain_header(PROBE, "only")
MAIL_FIELDS: tuple[Field, ...] = (
    Field(path="sender", label="From", pattern=ADDRESS, hint=ADDRESS_HINT, most=320, example="checks@example.com"),
    Field(path="sender_name", label="Name of the sender", required=False, most=100),
    Field(
        path="to",
        label="Recipients of the digest",
        help="One address per line. Not needed if only users and managers get messages.",
        widget="lines",
        required=False,
        example=["security@example.com"],
        pattern=ADDRESS,
        hint=ADDRESS_HINT,
        most=320,
    ),
    Field(path="reply_to", label="Reply to", required=False, pattern=ADDRESS, hint=ADDRESS_HINT, most=320),
    Field(
        path="unsubscribe",
        label="Unsubscribe address",
        help="Goes into the digest as List-Unsubscribe (RFC 2369); messages to single persons have none.",
        required=False,
        pattern=f"https://[!-;=?-~]+|mailto:{ADDRESS}",
        hint="Write https://… or mailto:….",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OutgoingMail:
    """A stored mail when it is sent. ``recipients`` is empty in a connectivity test of a target without any."""

    id: str  # the delivery's
    message: EmailMessage
    body: bytes
    sender: str
    recipients: list[str]
    is_to_list: bool  # to the target's own recipients, not to one person

    @property
    def html(self) -> str:
        return self._part("html")

    @property
    def text(self) -> str:
        return self._part("plain")

    def _part(self, name: str) -> str:
        part = self.message.get_body((name,))
        return part.get_content().replace("\r\n", "\n") if part else ""

    def to_sender(self) -> "OutgoingMail":
        """The mail of a connectivity test without recipients, to its own sender."""
        body = self.body.replace(PROBE_HEADER, address_header("To", [("", self.sender)]), 1)
        message = parsed(body)
        return OutgoingMail(self.id, message, body, self.sender, [self.sender], is_to_list=True)


class MailKind(TargetKind):
    """A kind that sends mail. A subclass has :data:`MAIL_FIELDS` among its fields and implements :meth:`submit`."""

    max_bytes: ClassVar[int] = 4_000_000
    audiences: ClassVar[frozenset[str]] = ALL_AUDIENCES
    inert: ClassVar[Inert] = Inert.ESCAPED

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        for key in ("sender", "reply_to"):
            if settings.get(key) and smtp_address(settings[key]) is None:
                reader.add_error(key, ADDRESS_HINT)
        for address in settings.get("to", ()):
            if smtp_address(address) is None:
                reader.add_error(
                    "to", f"“{address}” is not an address that mail can be delivered to. {ADDRESS_HINT}"
                )
        if "to" in settings:
            settings["to"] = without_repeats(settings["to"])

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(
            mail_of(summarize(event, target.frame, people=PEOPLE, characters=CHARACTERS), target),
            "message/rfc822",
        )

    def show(self, body: bytes, target: Target) -> str:
        """The headers and the text part, decoded."""
        mail = parsed(body)
        text = mail.get_body(("plain",))
        headers = "\n".join(f"{name}: {read_header(mail, name)}" for name in mail)
        return f"{headers}\n\n{text.get_content() if text else ''}"

    def preview(self, body: bytes, target: Target) -> MessagePreview:
        return mail_preview(body)

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        mail = parsed(request.body)
        recipients = [address for _, address in read_addresses(mail, "To")]
        senders = [address for _, address in read_addresses(mail, "From")]
        sender = senders[0] if senders else str(target.settings["sender"])
        if not recipients and mail[PROBE] is None:
            reason = "No recipient: the target names none, or the user has no usable e-mail address."
            return call.outcome_without_answer(Result.PERMANENT, reason, concerns_recipient=True)
        outgoing = OutgoingMail(
            request.id, mail, request.body, sender, recipients, recipients == _list_addresses(target)
        )
        return self.submit(outgoing, target, call)

    @abstractmethod
    def submit(self, mail: OutgoingMail, target: Target, call: Call) -> AttemptOutcome:
        """Send the mail once. May raise what the requests of ``call`` raise."""


def mail_of(summary: EventSummary, target: Target) -> bytes:
    settings, frame = target.settings, target.frame
    sender = smtp_address(frame.sender) or smtp_address(settings["sender"]) or ""
    sender_name = frame.sender_name or settings.get("sender_name", "")
    reply_to = smtp_address(frame.reply_to) or smtp_address(settings.get("reply_to", ""))
    recipients = _recipients(summary, target)
    head = [address_header("From", [(visible_line(sender_name), sender)])]
    if recipients:
        head.append(address_header("To", recipients))
    elif summary.subject == "test":
        head.append(PROBE_HEADER)
    subject = visible_line(
        summary.headline
        if summary.personal or not summary.severity
        else f"[{summary.translate(summary.severity)}] {summary.headline}",
        200,
    )
    head.append(text_header("Subject", subject))
    if summary.published:
        date = format_datetime(datetime.fromisoformat(summary.published))
        head.append(plain_header("Date", date))
    # The same for every attempt: a mailbox can recognize a duplicate.
    head.append(plain_header("Message-ID", f"<{summary.id}@{sender.rpartition('@')[2]}>"))
    if reply_to:
        head.append(address_header("Reply-To", [("", reply_to)]))
    # RFC 3834: vacation notices do not answer it.
    head.append(plain_header("Auto-Submitted", "auto-generated"))
    if not summary.personal and settings.get("unsubscribe"):
        head.append(plain_header("List-Unsubscribe", f"<{settings['unsubscribe']}>"))
    head.append(plain_header("Content-Language", frame.language))
    head.append(plain_header("MIME-Version", "1.0"))
    return b"".join(head) + _parts(summary)


def _parts(summary: EventSummary) -> bytes:
    """The text and the HTML as multipart/alternative, with its header.

    The library would make a message of each part and parse the headers that it has just written: a third of the time of a
    mail. It would also choose a random boundary; the bytes must be the same each time.
    """
    boundary = f"=_{hashlib.sha256(summary.id.encode()).hexdigest()[:32]}"
    lines = [
        "Content-Type: multipart/alternative;",
        f' boundary="{boundary}"',
        "",
    ]
    for subtype, text in (("plain", text_part(summary)), ("html", html_part(summary))):
        lines += [
            f"--{boundary}",
            f'Content-Type: text/{subtype}; charset="utf-8"',
            "Content-Transfer-Encoding: quoted-printable",
            *(["MIME-Version: 1.0"] if subtype == "html" else []),
            "",
            _quoted_printable(text),
        ]
    lines += [f"--{boundary}--", ""]
    return "\r\n".join(lines).encode("ascii")


def _quoted_printable(text: str) -> str:
    """The text in UTF-8, with CRLF, as RFC 2045 §6.7 writes it."""
    lines = text.encode().splitlines()
    normal = b"".join(line + b"\n" for line in lines).decode("latin-1")
    return quoprimime.body_encode(normal, policy.SMTP.max_line_length or 78).replace("\n", "\r\n")


def _recipients(summary: EventSummary, target: Target) -> list[tuple[str, str]]:
    """Display names and addresses."""
    if summary.personal:
        found = smtp_address(summary.recipient_email) if summary.recipient_email else None
        return [(summary.recipient_name, found)] if found else []
    return [("", found) for found in _list_addresses(target)]


def _list_addresses(target: Target) -> list[str]:
    # Targets that were saved earlier may repeat a mailbox.
    addresses = without_repeats(target.settings.get("to", ()))
    return [found for text in addresses if (found := smtp_address(text))]
