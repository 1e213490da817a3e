"""Mail by Mailgun: its Messages API, which takes the whole mail (docs/targets/mailgun.md).

https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages/post-v3--domain-name--messages-mime
"""

import hashlib
import re
from typing import ClassVar

from integrations.auth.authorization import Basic
from integrations.target_data import Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import parse_object, refusal_reason, text_at
from integrations.targets.shared.mail.mail_kind import MAIL_FIELDS, MailKind, OutgoingMail
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.transport.results import AttemptOutcome

API = "https://api.mailgun.net"
USER = "api"  # of every key
ADVICE = {
    400: "Mailgun refused the message.",
    401: "Mailgun does not know this key at this address. Is the domain in the other region?",
    402: "Mailgun refused the message: the plan's limit is reached.",
    403: "The key may not send from this domain.",
    404: "Mailgun does not know this domain at this address. Is it in the other region?",
    413: "Mailgun takes at most 25 MB.",
}
# Mailgun quotes the name: https://github.com/mailgun/mailgun-js-boland/issues/199
OF_RECIPIENT = re.compile(r"'?to'? parameter is not a valid", re.IGNORECASE)


class Mailgun(MailKind):
    slug: ClassVar[str] = "mailgun"
    label: ClassVar[str] = "E-mail by Mailgun"
    summary: ClassVar[str] = "A digest for each check, or a message to each user or manager, by Mailgun."
    position: ClassVar[int] = 53
    per_second: ClassVar[float | None] = 10.0
    concurrency: ClassVar[int] = 4
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="domain",
            label="Domain",
            help="The sending domain at Mailgun, such as mg.example.com.",
            pattern=r"[A-Za-z0-9]([A-Za-z0-9.-]{0,250}[A-Za-z0-9])?",
            hint="Write a domain such as mg.example.com.",
        ),
        Field(
            path="api_key",
            label="Sending key",
            help="Of the domain; it can send and nothing else.",
            secret=True,
            pattern=r"[\x21-\x7e]{10,200}",
            hint="Write the key.",
        ),
        *MAIL_FIELDS,
        Field(
            path="api_url",
            label="API address",
            help="For a domain in the EU: https://api.eu.mailgun.net",
            widget="url",
            required=False,
            default=API,
        ),
        *TIMES,
    )

    def submit(self, mail: OutgoingMail, target: Target, call: Call) -> AttemptOutcome:
        is_probe = not mail.recipients
        body, content_type = _form(mail.to_sender() if is_probe else mail, is_test=is_probe)
        settings = target.settings
        answer = call.request(
            "POST",
            f"{str(settings['api_url']).rstrip('/')}/v3/{settings['domain']}/messages.mime",
            body=body,
            headers={"Content-Type": content_type},
            auth=Basic(USER, target.secrets["api_key"]),
        )
        found = parse_object(answer.body)
        if answer.is_success and "id" not in found:
            return call.unlike_vendor(answer, "What answered is not Mailgun's API: no “id” in it.")
        if answer.is_success:
            sent = (
                "checked the message; nothing was sent, as no recipient is set"
                if is_probe
                else "took the message"
            )
            return call.outcome(answer, reason=f"Mailgun {sent}.")
        advice = ADVICE.get(answer.status)
        text = text_at(found, "message")
        is_recipient = answer.status == 400 and OF_RECIPIENT.match(text) is not None
        return call.outcome(
            answer,
            reason=refusal_reason(answer, advice, text) if advice else None,
            concerns_recipient=is_recipient and not mail.is_to_list,
        )


def _form(mail: OutgoingMail, *, is_test: bool) -> tuple[bytes, str]:
    """The form of the API (RFC 7578), the same for every attempt. Links are not rewritten, and no picture counts who reads it."""
    boundary = hashlib.sha256(mail.id.encode()).hexdigest()[:32]
    fields = {
        "to": ", ".join(mail.recipients),
        "o:tracking": "no",
        **({"o:testmode": "yes"} if is_test else {}),
    }
    parts = [(f'name="{name}"', value.encode()) for name, value in fields.items()]
    parts.append(('name="message"; filename="message.mime"\r\nContent-Type: message/rfc822', mail.body))
    form = b"".join(
        f"--{boundary}\r\nContent-Disposition: form-data; {head}\r\n\r\n".encode() + value + b"\r\n"
        for head, value in parts
    )
    return form + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"
