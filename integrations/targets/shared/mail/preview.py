"""The preview of a mail in a mailbox. Pure."""

from integrations.targets.shared.mail.headers import parsed, read_header
from integrations.targets.shared.preview import MessagePreview, source_of

HEADERS = ("From", "Reply-To", "To", "Subject")


def mail_preview(body: bytes) -> MessagePreview:
    """Headers, HTML and plain text of the mail."""
    mail = parsed(body)
    html, text = mail.get_body(("html",)), mail.get_body(("plain",))
    return MessagePreview(
        source_of(body),
        page=html.get_content() if html else "",
        headers=[(name, value) for name in HEADERS if (value := read_header(mail, name))],
        text=text.get_content() if text else "",
    )
