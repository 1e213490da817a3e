"""SendGrid, Mailgun and Microsoft Graph on loopback: what their references take, and how they answer."""

import base64
import json
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from tests.receiver import Behaviour, Receiver, Recorded

SENDGRID_KEY, MAILGUN_KEY = "SG.the-key-of-sendgrid", "the-sending-key-of-mailgun"
TENANT = "bbbbbbbb-0000-4000-8000-000000000002"
CLIENT_SECRET, TOKEN = "the-secret-of-the-client", "the-access-token"
DOMAIN = "mg.example.com"
SENDERS = ("checks@example.com",)
RESERVED = {"x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from", "subject", "reply-to", "cc", "bcc"}  # fmt: skip


def answer(status: int, body: Any = None) -> Behaviour:
    return Behaviour(status=status, body=b"" if body is None else json.dumps(body).encode())


def mail_of(body: bytes) -> EmailMessage:
    mail = message_from_bytes(body, policy=policy.SMTPUTF8)
    assert isinstance(mail, EmailMessage)
    return mail


@dataclass
class SendGridApi:
    receiver: Receiver
    sent: list[dict[str, Any]] = field(default_factory=list)
    tried: list[dict[str, Any]] = field(default_factory=list)  # in the sandbox
    answer: Behaviour | None = None

    def __post_init__(self) -> None:
        self.receiver.script("/v3/mail/send", self._send)

    def _send(self, request: Recorded) -> Behaviour:
        if self.answer:
            return self.answer
        if request.header("Authorization") != f"Bearer {SENDGRID_KEY}":
            return self._errors(401, "The provided authorization grant is invalid, expired, or revoked")
        message = json.loads(request.body)
        known = {"personalizations", "from", "reply_to", "subject", "content", "headers", "custom_args", "mail_settings", "tracking_settings"}  # fmt: skip
        if set(message) - known or RESERVED & {name.lower() for name in message["headers"]}:
            return self._errors(400, "Bad Request")
        if [part["type"] for part in message["content"]] != ["text/plain", "text/html"]:
            return self._errors(400, "The content value must be ordered", "content")
        if not all(part["value"] for part in message["content"]) or not message["subject"]:
            return self._errors(400, "The content value must be a string at least one character in length.")
        if message["from"]["email"] not in SENDERS:
            text = "The from address does not match a verified Sender Identity."
            return self._errors(403, text, "from")
        (one,) = message["personalizations"]
        if any("gone" in to["email"] for to in one["to"]):
            return self._errors(400, "Does not contain a valid address.", "personalizations.0.to.0.email")
        if message.get("mail_settings", {}).get("sandbox_mode", {}).get("enable"):
            self.tried.append(message)
            return answer(200)
        self.sent.append(message)
        return answer(202)

    def _errors(self, status: int, text: str, name: str | None = None) -> Behaviour:
        return answer(status, {"errors": [{"message": text, "field": name, "help": None}]})


@dataclass
class MailgunApi:
    receiver: Receiver
    sent: list[tuple[str, EmailMessage]] = field(default_factory=list)
    tried: list[tuple[str, EmailMessage]] = field(default_factory=list)  # in test mode
    answer: Behaviour | None = None

    def __post_init__(self) -> None:
        self.receiver.script(f"/v3/{DOMAIN}/messages.mime", self._send)

    def _send(self, request: Recorded) -> Behaviour:
        if self.answer:
            return self.answer
        expected = base64.b64encode(f"api:{MAILGUN_KEY}".encode()).decode()
        if request.header("Authorization") != f"Basic {expected}":
            return Behaviour(status=401, body=b"Forbidden")
        head = f"Content-Type: {request.header('Content-Type')}\r\n\r\n".encode()
        form = message_from_bytes(head + request.body, policy=policy.HTTP)
        fields = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        assert fields["message"].get_filename() == "message.mime"
        assert fields["o:tracking"].get_payload() == "no"
        to = str(fields["to"].get_payload())
        if "gone" in to:
            return answer(
                400, {"message": "'to' parameter is not a valid address. please check documentation"}
            )
        raw = request.body.split(b"message/rfc822\r\n\r\n", 1)[1].rsplit(b"\r\n--", 1)[0]
        kept = self.tried if "o:testmode" in fields else self.sent
        kept.append((to, mail_of(raw)))
        return answer(200, {"id": "<20260131.1@mg.example.com>", "message": "Queued. Thank you."})


@dataclass
class GraphApi:
    receiver: Receiver
    sent: list[tuple[str, EmailMessage]] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    answer: Behaviour | None = None

    def __post_init__(self) -> None:
        self.receiver.script(f"/{TENANT}/oauth2/v2.0/token", self._token)
        for mailbox in (*SENDERS, "other@example.com"):
            self.receiver.script(f"/v1.0/users/{mailbox}/sendMail", self._send)

    def _token(self, request: Recorded) -> Behaviour:
        form = dict(pair.split("=", 1) for pair in request.body.decode().split("&"))
        if form["client_secret"] != CLIENT_SECRET:
            return answer(401, {"error": "invalid_client", "error_description": "AADSTS7000215"})
        self.scopes.append(form["scope"])
        return answer(200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 3599})

    def _send(self, request: Recorded) -> Behaviour:
        if self.answer:
            return self.answer
        if request.header("Authorization") != f"Bearer {TOKEN}":
            return self._error(401, "InvalidAuthenticationToken", "Access token is empty.")
        if request.header("Content-Type") != "text/plain":
            return self._error(400, "BadRequest", "Unable to read JSON request payload.")
        mailbox = request.path.split("/")[3]
        if mailbox not in SENDERS:
            return self._error(404, "ErrorInvalidUser", f"The requested user '{mailbox}' is invalid.")
        mail = mail_of(base64.b64decode(request.body, validate=True))
        if "gone" in str(mail["To"]):
            return self._error(400, "ErrorInvalidRecipients", "At least one recipient is not valid.")
        self.sent.append((mailbox, mail))
        return answer(202)

    def _error(self, status: int, code: str, message: str) -> Behaviour:
        return answer(status, {"error": {"code": code, "message": message}})
