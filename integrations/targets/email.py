"""E-mail: one digest a check to a list, or one message a person, over SMTP (docs/targets/email.md)."""

import hashlib
from datetime import datetime
from email import message_from_bytes, policy
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, getaddresses
from html import escape
from typing import Any, ClassVar

import idna
from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from integrations import smtp
from integrations.addresses import BadUrl, parse_url
from integrations.outcomes import Outcome, Result
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind
from integrations.targets.documents import Reader
from integrations.targets.fields import CA, Field
from integrations.targets.text import Summary, line, summary

PEOPLE = 200
CHARACTERS = 65_536
ADDRESS = r"[^\s@<>,;:\"()\[\]\\]{1,64}@[^\s@<>,;:\"()\[\]\\]{1,253}"
_HINT = "Write an e-mail address such as ann@example.com."


class Email(FieldsKind):
    slug: ClassVar[str] = "email"
    label: ClassVar[str] = "E-mail"
    summary: ClassVar[str] = "A digest for each check, or a message to each person concerned, over SMTP."
    max_bytes: ClassVar[int] = 4_000_000
    per_second: ClassVar[float | None] = 10.0
    concurrency: ClassVar[int] = 4
    audiences: ClassVar[frozenset[str]] = frozenset({"list", "user", "manager"})
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(path="host", label="Mail server", help="Its name, such as smtp.example.com.", widget="host", most=253),
        Field(path="port", label="Port", widget="number", whole=True, least=1, most=65_535, default=587),
        Field(
            path="security",
            label="Encryption",
            widget="select",
            choices=(("starttls", "STARTTLS (587)"), ("tls", "TLS from the start (465)"), ("none", "none")),
            default="starttls",
        ),
        Field(
            path="login",
            label="Sign in",
            widget="select",
            choices=(("none", "no"), ("password", "with user name and password")),
            default="none",
        ),
        Field(
            path="username",
            label="User name",
            pattern=r"[\x20-\x7e]+",
            hint="Latin letters, digits and signs only.",
            when=("login", ("password",)),
        ),
        Field(
            path="password",
            label="Password",
            secret=True,
            pattern=r"[\x20-\x7e]+",
            hint="Latin letters, digits and signs only.",
            when=("login", ("password",)),
        ),
        Field(path="sender", label="From", pattern=ADDRESS, hint=_HINT, most=320),
        Field(path="sender_name", label="Name of the sender", required=False, most=100),
        Field(
            path="to",
            label="Recipients of the digest",
            help="One address a line. Not needed where only the people concerned are written to.",
            widget="lines",
            required=False,
            pattern=ADDRESS,
            hint=_HINT,
            most=320,
        ),
        Field(path="reply_to", label="Reply to", required=False, pattern=ADDRESS, hint=_HINT, most=320),
        Field(
            path="unsubscribe",
            label="Unsubscribe address",
            help="Goes into the digest as List-Unsubscribe (RFC 2369); messages to single persons have none.",
            required=False,
            pattern=f"https://[!-;=?-~]+|mailto:{ADDRESS}",
            hint="Write https://… or mailto:….",
        ),
        CA,
        Field(
            path="timeouts.connect", label="Seconds to connect", widget="number", least=0.1, most=30, default=5,
            required=False,
        ),
        Field(
            path="timeouts.answer", label="Seconds to answer", widget="number", least=0.1, most=60, default=20,
            required=False,
        ),
    )  # fmt: skip

    def check(self, reader: Reader, settings: dict[str, Any], secrets: dict[str, Any]) -> None:
        if settings.get("host"):
            try:
                parse_url(f"https://{settings['host']}:{settings['port']}/")
            except BadUrl as error:
                reader.wrong("host", str(error))
            if set(settings["host"]) & set("/?:"):
                reader.wrong("host", "Write the server's name alone.")
        if settings["security"] == "none" and settings["login"] == "password":
            reader.wrong("security", "A password goes over an encrypted connection only.")
        for key in ("sender", "reply_to"):
            if settings.get(key) and sendable(settings[key]) is None:
                reader.wrong(key, _HINT)
        for address in settings.get("to", ()):
            if sendable(address) is None:
                reader.wrong("to", f"“{address}” cannot be written to. {_HINT}")

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(_mail(summary(event, people=PEOPLE, characters=CHARACTERS), target), "message/rfc822")

    def show(self, body: bytes, target: Target) -> str:
        """The headers and the text part, decoded."""
        mail = message_from_bytes(body, policy=policy.SMTP)
        text = mail.get_body(("plain",))
        headers = "\n".join(f"{name}: {value}" for name, value in mail.items())
        return f"{headers}\n\n{text.get_content() if text else ''}"

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        mail = message_from_bytes(outgoing.body, policy=policy.SMTP)
        recipients = [address for _, address in getaddresses([str(mail["To"] or "")]) if address]
        if not recipients and mail["X-Connectivity"] is None:
            reason = "Nobody to write to: the target names no recipient, or this person has no usable e-mail address."
            return call.stopped(Result.PERMANENT, reason)
        try:
            refused = smtp.submit(_server(target), str(target.settings["sender"]), recipients, outgoing.body)
        except smtp.NotTaken as error:
            return call.stopped(error.result, str(error), status=error.code)
        if not recipients:
            return call.stopped(
                Result.DELIVERED, "The mail server greets us; nothing was sent, as no recipient is set."
            )
        if refused:
            # Another try would write to the others again.
            said = "; ".join(f"{address}: {why}" for address, why in refused.items())
            return call.stopped(Result.DELIVERED, f"Delivered, but not to all: {said}.", status=250)
        return call.stopped(Result.DELIVERED, "The mail server took the message.", status=250)


def _server(target: Target) -> smtp.Server:
    given = target.settings
    return smtp.Server(
        host=given["host"],
        port=given["port"],
        security=given["security"],
        username=given.get("username", ""),
        password=target.secrets.get("password", ""),
        ca=given.get("tls", {}).get("ca", ""),
        **given["timeouts"],
    )


def sendable(address: str) -> str | None:
    """``address`` as SMTP without extensions can carry it (its domain by IDNA); None where it cannot."""
    local, _, domain = address.rpartition("@")
    if not domain.isascii():
        try:
            domain = idna.encode(domain, uts46=True).decode("ascii")
        except (idna.IDNAError, UnicodeError):
            return None
    found = f"{local}@{domain}"
    try:
        validate_email(found)
        Address(addr_spec=found)
    except (ValidationError, ValueError, IndexError, HeaderParseError):
        return None
    return found if found.isascii() and found.isprintable() else None


def _mail(said: Summary, target: Target) -> bytes:
    given = target.settings
    sender = sendable(given["sender"]) or ""
    mail = EmailMessage(policy.SMTP)
    mail["From"] = Address(line(given.get("sender_name", "")), addr_spec=sender)
    if to := _recipients(said, target):
        mail["To"] = to
    elif said.subject == "test":
        # Read by attempt(): such a message is never sent.
        mail["X-Connectivity"] = "only"
    mail["Subject"] = line(f"[{said.severity}] {said.headline}" if said.severity else said.headline, 200)
    if said.published:
        mail["Date"] = format_datetime(datetime.fromisoformat(said.published))
    # The same on every try, so that a mailbox that got it twice can tell.
    mail["Message-ID"] = f"<{said.id}@{sender.rpartition('@')[2]}>"
    if given.get("reply_to"):
        mail["Reply-To"] = sendable(given["reply_to"]) or ""
    # RFC 3834: keeps vacation notices from answering.
    mail["Auto-Submitted"] = "auto-generated"
    if not said.personal and given.get("unsubscribe"):
        mail["List-Unsubscribe"] = f"<{given['unsubscribe']}>"
    mail.set_content(said.plain() + "\n", cte="quoted-printable")
    mail.add_alternative(_html(said), subtype="html", cte="quoted-printable")
    # The library would choose one at random; the bytes must be the same each time.
    mail.set_boundary(f"=_{hashlib.sha256(said.id.encode()).hexdigest()[:32]}")
    return mail.as_bytes()


def _recipients(said: Summary, target: Target) -> list[Address]:
    if said.personal:
        found = sendable(said.recipient_email) if said.recipient_email else None
        return [Address(said.recipient_name, addr_spec=found)] if found else []
    return [Address(addr_spec=found) for text in target.settings.get("to", ()) if (found := sendable(text))]


def _html(said: Summary) -> str:
    """The summary as HTML that mail programs show: no style sheet, no image, nothing to load."""
    parts = [f'<h2 style="font-size:18px;margin:0 0 12px" dir="auto">{escape(said.headline)}</h2>']
    if not said.personal and said.facts:
        rows = "".join(
            f'<tr><td style="padding:0 12px 4px 0;color:#57606a">{escape(label)}</td><td>{escape(value)}</td></tr>'
            for label, value in said.facts
        )
        parts.append(
            f'<table role="presentation" style="border-collapse:collapse;margin:0 0 12px;font-size:14px">{rows}</table>'
        )
    parts += [
        f'<p style="margin:0 0 12px" dir="auto">{escape(text).replace(chr(10), "<br>")}</p>'
        for text in said.paragraphs
    ]
    if said.people and not said.customised_direct:
        parts.append(_items([person.line for person in said.people]))
        if said.more:
            parts.append(f'<p style="margin:0 0 12px">{escape(said.and_more)}</p>')
    if said.actions:
        parts.append('<p style="margin:0 0 4px"><strong>Recommended</strong></p>' + _items(said.actions))
    if said.link:
        parts.append(f'<p><a href="{escape(said.link)}">Open the check</a></p>')
    style = "font-family:system-ui,Segoe UI,Arial,sans-serif;font-size:14px;line-height:1.5;color:#1f2328;overflow-wrap:anywhere"
    return f'<!doctype html><html lang="en"><body style="{style}">{"".join(parts)}</body></html>\n'


def _items(texts: tuple[str, ...] | list[str]) -> str:
    rows = "".join(f"<li>{escape(text)}</li>" for text in texts)
    return f'<ul style="margin:0 0 12px;padding-left:20px">{rows}</ul>'
