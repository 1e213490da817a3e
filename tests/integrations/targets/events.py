"""Events of the contract for the tests of the kinds, made by the builder that the application uses."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from integrations.formatted_text import MessageText
from integrations.target_data import AttemptRequest, CleanedDocument, Target
from integrations.targets.shared.target_kind import TargetKind
from integrations.templating.markdown import inert, parse_markdown
from integrations.transport.results import AttemptOutcome
from notifications.rendering import payloads

GOLDEN = Path(__file__).parent.parent / "golden"
DELIVERY = UUID("11111111-1111-4111-8111-111111111111")
EVENT = UUID("22222222-2222-4222-8222-222222222222")
RUN = UUID("33333333-3333-4333-8333-333333333333")
PUBLISHED = datetime(2026, 1, 31, 6, 0, 0, 123000, tzinfo=UTC)
TENANT = payloads.Tenant("44444444-4444-4444-8444-444444444444")
CHECK = payloads.CheckText(
    slug="no-mfa",
    title="No MFA Configured",
    severity="critical",
    description=[
        "A password alone protects these accounts.",
        "Whoever learns it is in, after 14 days of grace.",
    ],
    recommended_actions=["Enrol a second factor & keep it.", "Disable accounts that nobody uses."],
    tags=["soc2", "pci"],
    topics=["MFA"],
    frameworks=["NIST-800-53:IA-2(1)"],
)
LINK = "https://identity.example.com/checks/no-mfa/"
# What an author wrote, with a value in each place where one can stand.
FORMATTED = (
    "Hello **{0}**, *{0}*\nas **_agreed_**\n\n"
    "What to do:\n- [Set it up for {0}](https://author.example/?user={0}) soon\n- Tell {0}\n\n"
    "1. Read https://author.example/{0}\n2. Write to <mailto:help@author.example>"
)
# Each of these is markup somewhere: HTML, Slack's mentions, tables, emphasis, links, a reversed direction, a line break.
HOSTILE = [
    "<script>alert(1)</script>@example.com",
    "<!channel> <!everyone> <@U0123> @everyone @here",
    "a|b|c`d`*e*_f_~g~",
    "[click](https://evil.example/) ![x](https://evil.example/x.png)",
    "\u202egnp.exe@example.com\u2066",
    "משתמש@example.com",
    "line\r\nBcc: victim@example.com",
    "=cmd|'/C calc'!A0",
    "{{ 7 * 7 }} ${7*7} {color:red}x{color} h1. x",
    "<at>everyone</at>",
    "\u200b\u2060",
    "n" * 10_000,
]


def user(login: str, **details: Any) -> dict[str, Any]:
    failing = json.dumps([f"providerFailingCheck-no-mfa-{TENANT.id}__OKTA__1c2d3e4f"])
    pairs = [{"key": "providersFailingChecks", "value": failing}]
    pairs += [{"key": key, "value": json.dumps(value)} for key, value in details.items()]
    return {"login": login, "details": pairs}


def users(count: int) -> list[dict[str, Any]]:
    return [user(f"user{n:05d}@example.com", lastSignIn="2026-01-01T00:00:00Z") for n in range(count)]


def event_of(**more: Any) -> payloads.CheckEvent:
    return payloads.CheckEvent(EVENT, TENANT, CHECK, PUBLISHED, **more)


def failed(
    people: list[dict[str, Any]] | None = None,
    *,
    part: payloads.BatchPosition | None = None,
    message: str | None = None,
    link: str = LINK,
    test: bool = False,
) -> dict[str, Any]:
    people = users(2) if people is None else people
    items = [payloads.Item.of(person) for person in people]
    event = event_of(run_id=RUN, link=link, is_test=test)
    part = part or payloads.BatchPosition(1, 1, len(people))
    return payloads.failed_check(
        event, id=DELIVERY, short_id="1c2d3e4f", users=items, part=part, message=message
    )


def formatted(text: str) -> MessageText:
    """The message of an author, with ``text`` as the value of its variables."""
    return MessageText(parse_markdown(FORMATTED.format(inert(text))))


def direct(email: str = "ann@example.com", login: str = "kim@example.com", **more: Any) -> dict[str, Any]:
    recipient = payloads.Recipient("manager", email or "ann", email, "Ann Lee")
    return payloads.direct_message(
        event_of(), id=DELIVERY, short_id="1c2d3e4f", user=payloads.Item.of(user(login)),
        user_trust_level="UNTRUSTED", recipient=recipient, **more,
    )  # fmt: skip


def resolved(still_failing: int = 0) -> dict[str, Any]:
    """One user is cured of the check; ``still_failing`` others fail it yet."""
    event = failed([user("kim@example.com")])
    detail = event["detail"] | {"usersResolved": ["kim@example.com"], "stillFailing": still_failing}
    return event | {"detail-type": "CHECK_RESOLVED", "detail": detail}


def note(email: str = "ann@example.com") -> dict[str, Any]:
    """One user is cured; the message is for one person."""
    event = resolved()
    recipient = {"kind": "user", "login": email or "ann", "email": email, "displayName": "Ann Lee"}
    return event | {"detail": event["detail"] | {"recipient": recipient}}


def connectivity() -> dict[str, Any]:
    return payloads.webhook_test(event_of(), id=DELIVERY, short_id="1c2d3e4f")


def target(kind: TargetKind, document: dict[str, Any], id: int = 1) -> Target:
    cleaned = kind.clean(document)
    return Target(id, "Test", "1c2d3e4f", kind.slug, cleaned.settings, cleaned.secrets)


def stored(kind: TargetKind, document: dict[str, Any]) -> CleanedDocument:
    return kind.clean(document)


def send(kind: TargetKind, event: dict[str, Any], to: Target) -> AttemptOutcome:
    rendered = kind.render(event, to)
    assert len(rendered.body) <= kind.max_bytes
    return kind.send(AttemptRequest(str(DELIVERY), rendered.body, rendered.content_type, 1_769_839_200), to)


def matches_golden(kind: str, name: str, body: bytes) -> None:
    """Compare with the file of that name; UPDATE_GOLDEN=1 writes it again, for a person to read the difference."""
    path = GOLDEN / kind / name
    if path.suffix == ".json":
        body = (json.dumps(json.loads(body), indent=1, ensure_ascii=False) + "\n").encode()
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    assert body == path.read_bytes()
