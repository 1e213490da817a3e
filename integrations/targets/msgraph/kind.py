"""Mail by Microsoft Graph: from a mailbox of Exchange Online, without SMTP (docs/targets/msgraph.md).

https://learn.microsoft.com/graph/api/user-sendmail: the whole mail (MIME) in Base64, as text/plain. The application signs
in by itself (client credentials) and needs the application permission Mail.Send.
"""

import base64
from typing import ClassVar
from urllib.parse import quote

from integrations.target_data import Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.entra import APPLICATION_FIELDS, LOGIN_URL, application
from integrations.targets.shared.json_answers import (
    code_and_message,
    object_at,
    parse_object,
    refusal_reason,
    text_at,
)
from integrations.targets.shared.mail.mail_kind import MAIL_FIELDS, MailKind, OutgoingMail
from integrations.targets.shared.setting_fields import Field, timeout_fields
from integrations.transport.results import AttemptOutcome

API = "https://graph.microsoft.com"
ADVICE = {
    "ErrorAccessDenied": "The application may not send as this mailbox: grant Mail.Send (application), and give admin consent.",
    "Authorization_RequestDenied": "The application lacks the application permission Mail.Send, or admin consent.",
    "ErrorInvalidUser": "There is no mailbox with the sender's address in this directory.",
    "ResourceNotFound": "There is no mailbox with the sender's address in this directory.",
    "MailboxNotEnabledForRESTAPI": "The sender's mailbox is not in Exchange Online, or has no licence.",
    "ErrorSendAsDenied": "The sender's mailbox may not send as this address.",
    "ErrorInvalidRecipients": "Exchange does not accept the recipient's address.",
}
OF_RECIPIENT = frozenset({"ErrorInvalidRecipients"})


class MicrosoftGraph(MailKind):
    slug: ClassVar[str] = "msgraph"
    label: ClassVar[str] = "E-mail by Microsoft 365"
    summary: ClassVar[str] = (
        "A digest for each check, or a message to each user or manager, from a mailbox of Exchange Online."
    )
    position: ClassVar[int] = 51
    # A request takes 4 MB, of which Base64 makes 3.
    max_bytes: ClassVar[int] = 2_900_000
    # A mailbox sends 30 messages a minute, and takes four requests at a time.
    per_second: ClassVar[float | None] = 0.5
    concurrency: ClassVar[int] = 2
    form_fields: ClassVar[tuple[Field, ...]] = (
        *APPLICATION_FIELDS,
        *MAIL_FIELDS,
        LOGIN_URL,
        Field(
            path="api_url",
            label="Graph address",
            help="Another one for a national cloud: https://graph.microsoft.us",
            widget="url",
            required=False,
            default=API,
        ),
        *timeout_fields(answer=20, most=60),
    )

    def submit(self, mail: OutgoingMail, target: Target, call: Call) -> AttemptOutcome:
        mail = mail if mail.recipients else mail.to_sender()
        api = str(target.settings["api_url"]).rstrip("/")
        auth = application(target, f"{api}/.default")
        answer = auth.send(
            lambda: call.request(
                "POST",
                f"{api}/v1.0/users/{quote(mail.sender, safe='@')}/sendMail",
                body=base64.b64encode(mail.body),
                headers={"Content-Type": "text/plain"},
                auth=auth,
            )
        )
        if answer.status == 202:
            return call.outcome(answer, reason="Microsoft Graph took the message.")
        if answer.is_success:
            # The API answers 202 alone.
            return call.unlike_vendor(answer, f"Microsoft Graph answers 202, but this was {answer.status}.")
        error = object_at(parse_object(answer.body), "error")
        code = text_at(error, "code")
        words = code_and_message(code, text_at(error, "message"))
        advice = ADVICE.get(code, "Microsoft Graph refused the message.")
        return call.outcome(
            answer,
            reason=refusal_reason(answer, advice, words) if words or answer.status == 400 else None,
            concerns_recipient=code in OF_RECIPIENT and not mail.is_to_list,
        )
