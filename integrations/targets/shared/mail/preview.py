"""The preview of a mail in a mailbox. Pure."""

from email import message_from_bytes, policy

from integrations.targets.shared.preview import MessagePreview, source_of

HEADERS = ("From", "Reply-To", "To", "Subject")


def mail_preview(body: bytes) -> MessagePreview:
    """Headers, HTML and plain text of the mail."""
    mail = message_from_bytes(body, policy=policy.SMTPUTF8)
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    return MessagePreview(
        source_of(body),
        page=html.get_content() if html else "",
        headers=[(name, str(mail[name])) for name in HEADERS if mail[name]],
        text=text.get_content() if text else "",
    )
