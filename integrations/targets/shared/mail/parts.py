"""The two parts of a mail: plain text, and the layout (layout.html) filled in with a summary. Pure.

The layout is a Django template with its own engine, which escapes every value. Its styles are written into the elements
by hand: there is one layout, and a compiler (MJML) or an inliner at run time would be a dependency for what changes once
a year.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import zip_longest
from pathlib import Path

from django.template import Context, Engine, Template
from django.utils.safestring import SafeString, mark_safe

from integrations.formatted_text import Block, ItemList, Line, Paragraph, map_lines, plain_line
from integrations.targets.shared.formatted_html import to_html
from integrations.targets.shared.summary import EventSummary, truncate

LAYOUT = Path(__file__).parent / "layout.html"
MOST_PREHEADER = 140
STYLES = {
    "p": "margin:0 0 16px",
    "ul": "margin:0 0 16px;padding:0 0 0 22px",
    "ol": "margin:0 0 16px;padding:0 0 0 22px",
    "li": "margin:0 0 6px",
    "a": "color:#0b5cad",
}
# The style of a paragraph that a list follows directly.
HEADING = "margin:0 0 6px"
_HTTPS = "https://"
_NO_ISOLATES = dict.fromkeys(map(ord, "\u2068\u2069"))


def html_part(summary: EventSummary) -> str:
    """The HTML of a mail. Nothing in it is loaded but the logo, and every link is an https URL."""
    translate, frame = summary.translate, summary.frame
    people = () if summary.names_users or summary.personal else summary.people
    link = summary.link if summary.link.startswith(_HTTPS) else ""
    values = {
        "language": frame.language,
        "headline": summary.headline,
        "preheader": preheader(summary),
        "organization": frame.organization,
        "logo_url": frame.logo_url if frame.logo_url.startswith(_HTTPS) else "",
        "accent": frame.accent,
        "instructions_url": frame.instructions_url,
        "facts": () if summary.personal else summary.facts,
        "parts": list(message_parts(summary.blocks, frame.instructions_url)),
        "people": [person if person.url.startswith(_HTTPS) else replace(person, url="") for person in people],
        "has_reasons": any(person.reasons for person in people),
        "user_label": translate("User"),
        "why_label": translate("Why"),
        "and_more": summary.and_more,
        "actions": summary.actions,
        "actions_label": translate("What to do:"),
        "link": link,
        "link_label": summary.link_label if link else "",
        "footer": footer(summary),
    }
    return _layout().render(Context(values))


@cache
def _layout() -> Template:
    return Engine(autoescape=True).from_string(LAYOUT.read_text(encoding="utf-8"))


def text_part(summary: EventSummary) -> str:
    """The plain text of a mail, readable without the HTML."""
    return f"{summary.plain()}\n\n—\n{footer(summary)}\n"


def footer(summary: EventSummary) -> str:
    """Why the reader gets the mail."""
    if summary.frame.footer:
        return summary.frame.footer
    translate, organization = summary.translate, summary.frame.organization
    if summary.subject == "test":
        return translate("Somebody tests whether mails of this target arrive.")
    reason = translate("You get this mail because an automatic check of accounts names you as a recipient.")
    return f"{organization}. {reason}" if organization else reason


def preheader(summary: EventSummary) -> str:
    """The text that a mailbox shows next to the subject: the first line that says more than the subject and
    the greeting."""
    lines = [line for text in summary.paragraphs for line in text.split("\n")]
    # The isolates around text from right to left do not count, so that no name decides about the layout.
    telling = [line for line in lines if _is_telling(line.translate(_NO_ISOLATES))]
    return truncate(telling[0], MOST_PREHEADER) if telling else ""


def _is_telling(line: str) -> bool:
    return len(line) > 20 and not line.endswith((",", ":", "!"))


@dataclass(frozen=True, slots=True)
class MessagePart:
    """A stretch of a message: HTML, or the button with its label."""

    html: SafeString = SafeString("")  # noqa: RUF009  immutable
    button: str = ""


def message_parts(blocks: Sequence[Block], button_url: str) -> Iterator[MessagePart]:
    """The message; a line that only leads to ``button_url``, such as “How to do it: https://…”, becomes the button."""
    stretches = [part for block in blocks for part in _split_at_button(block, button_url)]
    for part, following in zip_longest(stretches, stretches[1:]):
        if isinstance(part, str):
            yield MessagePart(button=part)
        else:
            belongs = isinstance(following, ItemList) and not following.is_apart
            styles = STYLES | {"p": HEADING} if belongs else STYLES
            safe = to_html([map_lines(part, _safe_links)], styles)
            yield MessagePart(mark_safe(safe))  # noqa: S308  to_html escapes all text  # nosec B308 B703


def _split_at_button(block: Block, url: str) -> Iterator[Block | str]:
    """The block, or its parts around the line that is the button, of which the label is yielded."""
    if not isinstance(block, Paragraph):
        yield block
        return
    lines: list[Line] = []
    for line in block.lines:
        if label := _button_label(line, url):
            if lines:
                yield replace(block, lines=tuple(lines))
            yield label
            lines = []
        else:
            lines.append(line)
    if lines:
        yield replace(block, lines=tuple(lines))


def _button_label(line: Line, url: str) -> str:
    label, _, found = plain_line(line).strip().rpartition(": ")
    return label if url.startswith(_HTTPS) and found == url else ""


def _safe_links(line: Line) -> Line:
    """The line with links to https and mail addresses alone; another address is written as text."""
    return tuple(
        run
        if run.url.startswith((_HTTPS, "mailto:")) or not run.url
        else replace(run, text=run.text if run.text == run.url else f"{run.text} ({run.url})", url="")
        for run in line
    )
