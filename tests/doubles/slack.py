"""A Slack workspace on loopback: its documented methods, errors and answers, and nothing that it would not take."""

import json
from dataclasses import dataclass, field
from typing import Any

from slack_sdk.models.blocks import Block

from tests.receiver import Behaviour, Receiver, Recorded

TOKEN = "xoxb-1234567890-abcdefghij"
BLOCK_TYPES = {"header", "rich_text", "context", "actions"}


def refusal_of(message: dict[str, Any]) -> str | None:
    """The error that Slack would answer a message with, by the limits of its block reference."""
    blocks = message.get("blocks", [])
    if not message.get("text") or len(blocks) > 50 or len(message["text"]) > 40_000:
        return "no_text" if not message.get("text") else "invalid_blocks"
    for block in blocks:
        parsed = Block.parse(block)
        if parsed is None or block["type"] not in BLOCK_TYPES:
            return "invalid_blocks"
        parsed.validate_json()
    return None


@dataclass
class Workspace:
    receiver: Receiver
    channels: dict[str, dict[str, bool]] = field(default_factory=lambda: {"#identity": {}})
    members: dict[str, str] = field(default_factory=dict)
    posted: list[dict[str, Any]] = field(default_factory=list)
    limited: int = 0
    failing: str = ""

    def __post_init__(self) -> None:
        self.receiver.script("/api/chat.postMessage", self._post)
        self.receiver.script("/api/users.lookupByEmail", self._lookup)
        self.receiver.script(
            "/api/auth.test", lambda request: self._barred(request) or Behaviour(body=b'{"ok":true}')
        )
        self.receiver.script("/services/T0/B0/secret", self._hook)

    def _no(self, error: str, status: int = 200) -> Behaviour:
        return Behaviour(status=status, body=json.dumps({"ok": False, "error": error}).encode())

    def _barred(self, request: Recorded) -> Behaviour | None:
        if request.header("Authorization") != f"Bearer {TOKEN}":
            return self._no("invalid_auth")
        if self.limited:
            self.limited -= 1
            body = json.dumps({"ok": False, "error": "ratelimited"}).encode()
            return Behaviour(status=429, headers=[("Retry-After", "30")], body=body)
        return self._no(self.failing) if self.failing else None

    def _post(self, request: Recorded) -> Behaviour:
        if barred := self._barred(request):
            return barred
        message = json.loads(request.body)
        if set(message) - {"channel", "text", "mrkdwn", "blocks", "unfurl_links", "unfurl_media"}:
            return self._no("invalid_arguments")
        channel = message.get("channel")
        if channel not in self.channels and channel not in self.members.values():
            return self._no("channel_not_found")
        if self.channels.get(channel, {}).get("archived"):
            return self._no("is_archived")
        if error := refusal_of(message):
            return self._no(error)
        self.posted.append(message)
        return Behaviour(body=json.dumps({"ok": True, "channel": channel, "ts": "1.2"}).encode())

    def _lookup(self, request: Recorded) -> Behaviour:
        if barred := self._barred(request):
            return barred
        found = self.members.get(request.query.get("email", ""))
        if found is None:
            return self._no("users_not_found")
        return Behaviour(body=json.dumps({"ok": True, "user": {"id": found}}).encode())

    def _hook(self, request: Recorded) -> Behaviour:
        message = json.loads(request.body)
        if "channel" in message or refusal_of(message):
            return Behaviour(status=400, body=b"invalid_payload")
        self.posted.append(message)
        return Behaviour(body=b"ok")
