"""Mail by Twilio SendGrid: its Mail Send API (docs/targets/sendgrid.md).

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from typing import ClassVar

from integrations.json_types import JsonObject
from integrations.target_data import Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import (
    compact,
    objects_at,
    parse_object,
    refusal_reason,
    text_at,
)
from integrations.targets.shared.mail.headers import read_addresses, read_header
from integrations.targets.shared.mail.mail_kind import MAIL_FIELDS, MailKind, OutgoingMail
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.transport.results import AttemptOutcome

API = "https://api.sendgrid.com"
# Headers that the API takes as such; it writes the others of a mail itself.
HEADERS = ("Auto-Submitted", "List-Unsubscribe", "Message-ID")
ADVICE = {
    401: "SendGrid does not know this API key. Copy it again.",
    403: "The key may not send mail, or the sender is not verified: SendGrid → Settings → Sender Authentication.",
    413: "SendGrid takes at most 30 MB.",
}
OF_RECIPIENT = "personalizations.0.to"


class SendGrid(MailKind):
    slug: ClassVar[str] = "sendgrid"
    label: ClassVar[str] = "E-mail by SendGrid"
    summary: ClassVar[str] = "A digest for each check, or a message to each user or manager, by SendGrid."
    position: ClassVar[int] = 52
    per_second: ClassVar[float | None] = 10.0
    concurrency: ClassVar[int] = 4
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="api_key",
            label="API key",
            help="SG.… with the permission Mail Send.",
            secret=True,
            pattern=r"[\x21-\x7e]{10,200}",
            hint="Write the API key; it starts with SG.",
        ),
        *MAIL_FIELDS,
        Field(
            path="api_url",
            label="API address",
            help="For a subuser in the EU: https://api.eu.sendgrid.com",
            widget="url",
            required=False,
            default=API,
        ),
        *TIMES,
    )

    def submit(self, mail: OutgoingMail, target: Target, call: Call) -> AttemptOutcome:
        is_probe = not mail.recipients
        message = _message(mail.to_sender() if is_probe else mail)
        if is_probe:
            # Checked, and not sent: https://www.twilio.com/docs/sendgrid/for-developers/sending-email/sandbox-mode
            message["mail_settings"] = {"sandbox_mode": {"enable": True}}
        answer = call.request(
            "POST",
            f"{str(target.settings['api_url']).rstrip('/')}/v3/mail/send",
            body=compact(message),
            headers={"Authorization": f"Bearer {target.secrets['api_key']}"},
        )
        if answer.status == 200 and is_probe:
            return call.outcome(
                answer, reason="SendGrid checked the message; nothing was sent, as no recipient is set."
            )
        if answer.status == 202:
            return call.outcome(answer, reason="SendGrid took the message.")
        if answer.is_success:
            return call.unlike_vendor(answer, f"SendGrid answers 202, but this was {answer.status}.")
        errors = objects_at(parse_object(answer.body), "errors") or []
        words = "; ".join(filter(None, (text_at(error, "message") for error in errors[:5])))
        is_recipient = bool(errors) and all(
            str(error.get("field")).startswith(OF_RECIPIENT) for error in errors
        )
        advice = ADVICE.get(answer.status, "SendGrid refused the message." if answer.status == 400 else "")
        return call.outcome(
            answer,
            reason=refusal_reason(answer, advice, words) if advice else None,
            concerns_recipient=is_recipient and not mail.is_to_list,
        )


def _message(mail: OutgoingMail) -> JsonObject:
    """The mail as the API has it. Links are not rewritten, and no picture counts who reads it."""
    source = mail.message
    message: JsonObject = {
        "personalizations": [{"to": [_address(*each) for each in read_addresses(source, "To")]}],
        "from": _address(*read_addresses(source, "From")[0]),
        "subject": read_header(source, "Subject"),
        "content": [{"type": "text/plain", "value": mail.text}, {"type": "text/html", "value": mail.html}],
        "headers": {name: value for name in HEADERS if (value := read_header(source, name))},
        "custom_args": {"delivery": mail.id},
        "tracking_settings": {
            "click_tracking": {"enable": False, "enable_text": False},
            "open_tracking": {"enable": False},
        },
    }
    if reply_to := read_addresses(source, "Reply-To"):
        message["reply_to"] = _address(*reply_to[0])
    return message


def _address(name: str, address: str) -> dict[str, str]:
    return {"email": address, **({"name": name} if name else {})}
