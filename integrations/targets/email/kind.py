"""E-mail over SMTP: a digest for each check to a list, or a message to each person (docs/targets/email.md)."""

from typing import ClassVar

from integrations.json_types import JsonMapping, JsonObject
from integrations.target_data import Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.mail.mail_kind import MAIL_FIELDS, MailKind, OutgoingMail
from integrations.targets.shared.setting_fields import CA, Field, timeout_fields
from integrations.transport import smtp
from integrations.transport.addresses import UrlError, parse_url
from integrations.transport.results import AttemptOutcome, Result

_PRINTABLE = r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]+"


class Email(MailKind):
    slug: ClassVar[str] = "email"
    label: ClassVar[str] = "E-mail"
    summary: ClassVar[str] = "A digest for each check, or a message to each user or manager, over SMTP."
    position: ClassVar[int] = 50
    per_second: ClassVar[float | None] = 10.0
    concurrency: ClassVar[int] = 4
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
            pattern=_PRINTABLE,
            hint="Write it without control characters.",
            when=("login", ("password",)),
        ),
        Field(
            path="password",
            label="Password",
            secret=True,
            pattern=_PRINTABLE,
            hint="Write it without control characters.",
            when=("login", ("password",)),
        ),
        *MAIL_FIELDS,
        CA,
        *timeout_fields(answer=20, most=60),
    )  # fmt: skip

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        super().check(reader, settings, secrets)
        if settings.get("host"):
            try:
                parse_url(f"https://{settings['host']}:{settings['port']}/")
            except UrlError as error:
                reader.add_error("host", str(error))
            if set(settings["host"]) & set("/?:"):
                reader.add_error("host", "Write the server's name without a scheme, port or path.")
        if settings["security"] == "none" and settings["login"] == "password":
            reader.add_error("security", "A password goes over an encrypted connection only.")

    def warnings(self, settings: JsonMapping) -> list[str]:
        if settings["security"] != "none":
            return []
        return ["Mail goes to this server without encryption: names and messages can be read on the way."]

    def submit(self, mail: OutgoingMail, target: Target, call: Call) -> AttemptOutcome:
        try:
            refused = smtp.submit(_server(target), mail.sender, mail.recipients, mail.body)
        except smtp.MailRejected as error:
            # The recipients of the list belong to the target.
            return call.outcome_without_answer(
                error.result,
                str(error),
                status=error.code,
                concerns_recipient=error.is_mailbox and not mail.is_to_list,
            )
        if not mail.recipients:
            return call.outcome_without_answer(
                Result.DELIVERED, "The mail server greets us; nothing was sent, as no recipient is set."
            )
        if refused:
            # A retry would send it to the other recipients again.
            refusals = "; ".join(f"{address}: {why}" for address, why in refused.items())
            return call.outcome_without_answer(
                Result.DELIVERED, f"Delivered, but not to all: {refusals}.", status=250
            )
        return call.outcome_without_answer(Result.DELIVERED, "The mail server took the message.", status=250)


def _server(target: Target) -> smtp.MailServer:
    settings = target.settings
    return smtp.MailServer(
        host=settings["host"],
        port=settings["port"],
        security=settings["security"],
        username=settings.get("username", ""),
        password=target.secrets.get("password", ""),
        ca=settings.get("tls", {}).get("ca", ""),
        **settings["timeouts"],
    )
