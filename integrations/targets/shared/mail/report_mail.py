"""A mail of the product that is about no event, in the layout of all mails. Pure."""

from dataclasses import dataclass

from integrations.target_data import MessageFrame
from integrations.targets.shared.mail.parts import html_part, text_part
from integrations.targets.shared.summary import EventSummary
from integrations.templating.markdown import parse_markdown


@dataclass(frozen=True, slots=True)
class MailParts:
    """Plain text and HTML of one mail."""

    text: str
    html: str


def mail_parts(headline: str, text: str, frame: MessageFrame) -> MailParts:
    """The two parts of a mail. ``text`` is Markdown; a line that ends with ``frame.instructions_url`` becomes the button.

    ``frame.footer`` says why the reader gets the mail."""
    summary = EventSummary(
        subject="direct",
        id="",
        check_id="",
        title=headline,
        severity="",
        headline=headline,
        blocks=parse_markdown(text),
        actions=(),
        people=(),
        more=0,
        total=0,
        part="",
        tags=(),
        link="",
        published="",
        personal=True,
        frame=frame,
    )
    return MailParts(text_part(summary), html_part(summary))
