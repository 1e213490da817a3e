"""The request of a delivery for a page: secrets masked, a long body shortened."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from integrations.models import Integration
from integrations.services import KINDS, Target, load_json
from notifications.models import Delivery

SHOWN_CHARACTERS = 32_768  # characters of the body
HIDDEN = "••••••"


@dataclass(frozen=True, slots=True)
class SentRequest:
    """``line``: method and address; ``facts``: label and value of the target's configuration as it is now."""

    line: str = ""
    headers: Sequence[tuple[str, str]] = ()
    body: str = ""
    size: int = 0
    facts: Sequence[tuple[str, str]] = field(default_factory=list)

    @property
    def shown(self) -> int:
        return min(self.size, SHOWN_CHARACTERS)

    @property
    def cut(self) -> bool:
        return self.size > SHOWN_CHARACTERS


def sent_request(delivery: Delivery) -> SentRequest:
    integration = delivery.integration
    kind = KINDS.get(integration.kind)
    facts = kind.describe(integration.settings) if kind else []
    said = dict(facts)
    body = _body(delivery, integration)
    line = f"{said['Method']} {said['URL']}" if "URL" in said and "Method" in said else ""
    return SentRequest(
        line, _headers(delivery, integration) if line else (), body[:SHOWN_CHARACTERS], len(body), facts
    )


def _body(delivery: Delivery, integration: Integration) -> str:
    """The stored bytes, indented. A kind that puts its own secrets into them shows them itself, masked."""
    if delivery.body is None:
        return ""
    raw = bytes(delivery.body)
    kind = KINDS.get(integration.kind)
    text = kind.show(raw, _without_secrets(integration)) if kind else raw.decode("utf-8", "replace")
    try:
        return json.dumps(load_json(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def recipient_text(delivery: Delivery) -> str:
    """The text that the recipient reads: the texts of the body, without its structure."""
    body = _body(delivery, delivery.integration)
    try:
        document = load_json(body)
    except ValueError:
        return body[:SHOWN_CHARACTERS]
    detail = document.get("detail") if isinstance(document, dict) else None
    if isinstance(detail, dict) and isinstance(detail.get("message"), str):
        return str(detail["message"])[:SHOWN_CHARACTERS]
    return "\n".join(_texts(document))[:SHOWN_CHARACTERS] or body[:SHOWN_CHARACTERS]


def _texts(value: object) -> Iterator[str]:
    """The texts of a chat's message. If there are blocks, the text field repeats them."""
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, dict):
        for key, each in value.items():
            if isinstance(each, str) and key in ("text", "markdown") and "blocks" not in value:
                yield each
            elif not isinstance(each, str):
                yield from _texts(each)


def _without_secrets(integration: Integration) -> Target:
    return Target(
        integration.id, integration.name, integration.short_id, integration.kind, integration.settings
    )


def _headers(delivery: Delivery, integration: Integration) -> list[tuple[str, str]]:
    """The headers of every attempt; each value that is or may be secret is masked."""
    settings = integration.settings
    headers = [("Content-Type", delivery.content_type)]
    if settings.get("signing", {}).get("enabled"):
        headers += [
            ("webhook-id", str(delivery.id)),
            ("webhook-timestamp", "the time of the attempt"),
            ("webhook-signature", f"v1,{HIDDEN}"),
        ]
    authorization = settings.get("authorization", {})
    scheme = {"basic": "Basic", "oauth": "Bearer"}.get(authorization.get("type", ""))
    if scheme:
        headers.append(("Authorization", f"{scheme} {HIDDEN}"))
    elif authorization.get("type") == "api_key":
        headers.append((str(authorization.get("name", "")), HIDDEN))
    given = settings.get("parameters", {}).get("header", {})
    headers += [(name, HIDDEN if isinstance(value, dict) else str(value)) for name, value in given.items()]
    return headers
