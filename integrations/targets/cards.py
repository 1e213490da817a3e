"""An Adaptive Card of a summary, for Teams and Webex: https://adaptivecards.io/explorer/

All text stands in ``TextRun``, which holds no markup by the specification (a ``TextBlock`` would read Markdown).
Version 1.3 is what both show.
"""

from typing import Any

from integrations.targets.text import Summary

CONTENT_TYPE = "application/vnd.microsoft.card.adaptive"
COLOURS = {"critical": "Attention", "high": "Attention", "medium": "Warning", "low": "Accent"}


def card(said: Summary) -> dict[str, Any]:
    body = [_block(said.headline, size="Large", weight="Bolder")]
    if said.severity and said.subject != "test":
        facts = " · ".join(f"{label}: {value}" for label, value in said.facts)
        body.append(_block(facts, color=COLOURS[said.severity], size="Small"))
    body += [_block(row) for text in said.paragraphs for row in text.split("\n") if row]
    if said.people and not said.customised_direct:
        body += [_block(f"• {person.line}", spacing="None") for person in said.people]
        if said.more:
            body.append(_block(said.and_more, spacing="Small"))
    if said.actions:
        body.append(_block("Recommended", weight="Bolder"))
        body += [_block(f"• {action}", spacing="None") for action in said.actions]
    made: dict[str, Any] = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.3",
        "body": body,
    }
    if said.link:
        made["actions"] = [{"type": "Action.OpenUrl", "title": "Open the check", "url": said.link}]
    return made


def attachment(said: Summary) -> dict[str, Any]:
    return {"contentType": CONTENT_TYPE, "content": card(said)}


def _block(text: str, *, spacing: str = "", **style: str) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}
    if spacing:
        block["spacing"] = spacing
    return block
