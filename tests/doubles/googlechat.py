"""A Google Chat space on loopback: its incoming webhook with the documented fields, limits and answers."""

import json
from dataclasses import dataclass, field
from typing import Any

from tests.receiver import Behaviour, Receiver, Recorded

PATH = "/v1/spaces/AAAA/messages"
QUERY = "key=the-key-of-the-webhook&token=the-token-of-the-webhook"
MOST_BYTES = 32_000
MOST_WIDGETS = 100
WIDGETS = {"textParagraph": {"text"}, "buttonList": {"buttons"}}


def error(status: int, name: str, message: str) -> Behaviour:
    body = {"error": {"code": status, "message": message, "status": name}}
    return Behaviour(status=status, body=json.dumps(body).encode())


def problem_of(message: dict[str, Any]) -> str:
    """What the reference of messages and cards does not allow; empty for a message that is taken."""
    if set(message) - {"text", "cardsV2", "thread", "fallbackText"}:
        return "Unknown name in the message"
    for card in (one["card"] for one in message.get("cardsV2", [])):
        if set(card) - {"header", "sections"} or not card.get("header", {}).get("title"):
            return "Unknown name in the card, or no title"
        widgets = [widget for section in card.get("sections", []) for widget in section["widgets"]]
        if len(widgets) > MOST_WIDGETS or any(not section["widgets"] for section in card.get("sections", [])):
            return "Too many widgets, or none"
        for widget in widgets:
            ((name, value),) = widget.items()
            if set(value) != WIDGETS.get(name):
                return f"Unknown name in {name}"
    return ""


@dataclass
class Space:
    receiver: Receiver
    threads: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    answer: Behaviour | None = None

    def __post_init__(self) -> None:
        self.receiver.script(PATH, self._post)

    @property
    def url(self) -> str:
        return self.receiver.url(f"{PATH}?{QUERY}")

    def _post(self, request: Recorded) -> Behaviour:
        if self.answer:
            return self.answer
        if request.query.get("key") != "the-key-of-the-webhook":
            return error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.")
        if request.query.get("token") != "the-token-of-the-webhook":
            return error(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        message = json.loads(request.body)
        problem = "Too large" if len(request.body) > MOST_BYTES else problem_of(message)
        if problem:
            return error(400, "INVALID_ARGUMENT", problem)
        replies = request.query.get("messageReplyOption") == "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"
        key = message["thread"]["threadKey"] if replies else f"new-{len(self.threads)}"
        self.threads.setdefault(key, []).append(message)
        return Behaviour(
            body=json.dumps({"name": "spaces/AAAA/messages/B", "thread": {"name": key}}).encode()
        )
