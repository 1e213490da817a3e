"""The request of a delivery as a page may show it: secrets masked, a long body cut."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from integrations import targets as kinds
from integrations.models import Integration
from integrations.targets.base import Target
from notifications.models import Delivery

SHOWN = 32_768  # characters of the body
MASK = "••••••"


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
        return min(self.size, SHOWN)

    @property
    def cut(self) -> bool:
        return self.size > SHOWN


def request_of(delivery: Delivery) -> SentRequest:
    integration = delivery.integration
    kind = kinds.KINDS.get(integration.kind)
    facts = kind.describe(integration.settings) if kind else []
    said = dict(facts)
    body = _body(delivery, integration)
    line = f"{said['Method']} {said['URL']}" if "URL" in said and "Method" in said else ""
    return SentRequest(line, _headers(delivery, integration) if line else (), body[:SHOWN], len(body), facts)


def _body(delivery: Delivery, integration: Integration) -> str:
    """The stored bytes, shown by the kind where it has secrets of its own in them, and indented."""
    if delivery.body is None:
        return ""
    raw = bytes(delivery.body)
    show = getattr(kinds.KINDS.get(integration.kind), "show", None)
    text = str(show(raw, _without_secrets(integration))) if show else raw.decode("utf-8", "replace")
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _without_secrets(integration: Integration) -> Target:
    return Target(
        integration.id, integration.name, integration.short_id, integration.kind, integration.settings
    )


def _headers(delivery: Delivery, integration: Integration) -> list[tuple[str, str]]:
    """What goes with every attempt; each value that is or may be secret is masked."""
    settings = integration.settings
    headers = [("Content-Type", delivery.content_type)]
    if settings.get("signing", {}).get("enabled"):
        headers += [
            ("webhook-id", str(delivery.id)),
            ("webhook-timestamp", "the time of the attempt"),
            ("webhook-signature", f"v1,{MASK}"),
        ]
    authorization = settings.get("authorization", {})
    scheme = {"basic": "Basic", "oauth": "Bearer"}.get(authorization.get("type", ""))
    if scheme:
        headers.append(("Authorization", f"{scheme} {MASK}"))
    elif authorization.get("type") == "api_key":
        headers.append((str(authorization.get("name", "")), MASK))
    given = settings.get("parameters", {}).get("header", {})
    headers += [(name, MASK if isinstance(value, dict) else str(value)) for name, value in given.items()]
    return headers
