"""Adaptive Cards: Microsoft's published JSON Schema of version 1.3, and a stricter one of what this project uses.

The latter is after https://adaptivecards.io/explorer/ (RichTextBlock and TextRun since 1.2, Action.OpenUrl since 1.0): what the
project does not use is refused, TextBlock above all, whose text is Markdown.
"""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft6Validator, Draft202012Validator

PUBLISHED = Draft6Validator(json.loads(Path(__file__).with_name("adaptive-card-1.3.0.json").read_text()))

SIZES = ["Default", "Small", "Medium", "Large", "ExtraLarge"]
COLOURS = ["Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention"]
SPACING = ["Default", "None", "Small", "Medium", "Large", "ExtraLarge", "Padding"]

TEXT_RUN = {
    "type": "object",
    "required": ["type", "text"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "TextRun"},
        "text": {"type": "string", "minLength": 1},
        "size": {"enum": SIZES},
        "color": {"enum": COLOURS},
        "weight": {"enum": ["Default", "Lighter", "Bolder"]},
    },
}
CARD = {
    "type": "object",
    "required": ["type", "version", "body", "$schema"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "AdaptiveCard"},
        "$schema": {"const": "http://adaptivecards.io/schemas/adaptive-card.json"},
        "version": {"const": "1.3"},
        "body": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "inlines"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "RichTextBlock"},
                    "inlines": {"type": "array", "items": TEXT_RUN},
                    "spacing": {"enum": SPACING},
                },
            },
        },
        "actions": {
            "type": "array",
            "maxItems": 1,
            "items": {
                "type": "object",
                "required": ["type", "title", "url"],
                "additionalProperties": False,
                "properties": {
                    "type": {"const": "Action.OpenUrl"},
                    "title": {"type": "string"},
                    "url": {"type": "string", "pattern": "^https?://"},
                },
            },
        },
    },
}
ATTACHMENT = {
    "type": "object",
    "required": ["contentType", "content"],
    "additionalProperties": False,
    "properties": {"contentType": {"const": "application/vnd.microsoft.card.adaptive"}, "content": CARD},
}


def errors(attachment: Any) -> list[str]:
    """By either schema."""
    own = [error.message for error in Draft202012Validator(ATTACHMENT).iter_errors(attachment)]
    return own or [error.message for error in PUBLISHED.iter_errors(attachment["content"])]
