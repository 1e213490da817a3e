"""An Adaptive Card of a summary, for Teams and Webex: https://adaptivecards.io/explorer/

Text is in a ``TextRun``, which has no markup by the specification. A ``TextBlock`` reads Markdown; it is the one element in
which each client shows a link in a line, so lines with links are TextBlocks, where nothing in them but the links can be
markup. Both products show version 1.3.
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format
"""

import re
from collections.abc import Iterator

from integrations.formatted_text import Block, Line, Paragraph, TextSpan
from integrations.json_types import JsonObject
from integrations.targets.shared.summary import EventSummary

CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"
# Texts that some client reads as markup in a TextBlock: Markdown, mentions, entities, functions such as
# {{DATE(…)}}, addresses.
_MARKUP = re.compile(r"[*\[\]<>\\`~|#]|(?<!\w)_|_(?!\w)|&(?=#?\w+;)|\{\{|^\s*(?:[-+]|\d+[.)])\s")
_ADDRESS = re.compile(r"://|www\.|mailto:", re.IGNORECASE)
COLOURS = {"critical": "Attention", "high": "Attention", "medium": "Warning", "low": "Accent"}


def card(summary: EventSummary) -> JsonObject:
    """The card of a summary, as JSON data."""
    body = [_block(summary.headline, size="Large", weight="Bolder")]
    if summary.severity and summary.subject != "test" and not summary.personal:
        facts = " · ".join(f"{label}: {value}" for label, value in summary.facts)
        body.append(_block(facts, color=COLOURS[summary.severity], size="Small"))
    body += [element for block in summary.blocks for element in _elements(block)]
    if summary.people and not summary.names_users:
        body += [_line(person.spans, "• ", spacing="Small") for person in summary.people]
        if summary.more:
            body.append(_block(summary.and_more, spacing="Small"))
    if summary.actions:
        body.append(_block(summary.translate("What to do:"), weight="Bolder"))
        body += [_block(f"• {action}", spacing="None") for action in summary.actions]
    made: JsonObject = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.3",
        "body": body,
    }
    if summary.link:
        made["actions"] = [{"type": "Action.OpenUrl", "title": summary.link_label, "url": summary.link}]
    return made


def attachment(summary: EventSummary) -> JsonObject:
    """The card as an attachment of a message."""
    return {"contentType": CONTENT_TYPE, "content": card(summary)}


def _elements(block: Block) -> Iterator[JsonObject]:
    """An element for each line that is not blank, with space before it only if the author's text has a blank
    line there."""
    marked: list[tuple[str, Line]] = []
    if isinstance(block, Paragraph):
        marked = [("", line) for line in block.lines if line]
    else:
        for mark, item in zip(block.marks, block.items, strict=True):
            first, *others = item
            marked += [(f"{mark.replace('-', '•')} ", first), *(("", line) for line in others if line)]
    for number, (mark, line) in enumerate(marked):
        yield _line(line, mark) if number == 0 and block.is_apart else _line(line, mark, spacing="None")


def _line(line: Line, mark: str = "", **style: str) -> JsonObject:
    """One line, after the mark of a list."""
    if any(span.url for span in line) and not any(map(_may_be_markup, line)):
        return {"type": "TextBlock", "text": mark + "".join(map(_markdown, line)), "wrap": True, **style}
    spans = (TextSpan(mark), *line) if mark else line
    if len(spans) > 1 and spans[1] == TextSpan(spans[1].text):
        spans = (TextSpan(mark + spans[1].text), *spans[2:]) if mark else spans
    return {"type": "RichTextBlock", "inlines": [_text_run(span) for span in spans], **style}


def _may_be_markup(span: TextSpan) -> bool:
    return bool(_MARKUP.search(span.text) or (not span.url and _ADDRESS.search(span.text)))


def _text_run(span: TextSpan) -> JsonObject:
    made: JsonObject = {"type": "TextRun", "text": span.text}
    if span.bold:
        made["weight"] = "Bolder"
    if span.italic:
        made["italic"] = True
    if span.url:
        made["selectAction"] = {"type": "Action.OpenUrl", "url": span.url}
    return made


def _markdown(span: TextSpan) -> str:
    """The span in a TextBlock. Its text holds no markup."""
    mark = "_" * span.italic + "**" * span.bold
    text = span.text.strip()
    if mark and text:
        before, _, after = span.text.partition(text)
        text = f"{before}{mark}{text}{mark[::-1]}{after}"
    else:
        text = span.text
    return f"[{text}]({span.url.replace('(', '%28').replace(')', '%29')})" if span.url else text


def _block(text: str, *, spacing: str = "", **style: str) -> JsonObject:
    block: JsonObject = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
    if spacing:
        block["spacing"] = spacing
    return block
