"""Google Chat: a card in a space, through an incoming webhook (docs/targets/googlechat.md).

https://developers.google.com/workspace/chat/quickstart/webhooks, …/chat/api/reference/rest/v1/spaces.messages/create,
…/chat/api/reference/rest/v1/cards

Texts of widgets are read as simple HTML (…/chat/format-messages#card-formatting), so all text in them is escaped.
"""

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import ClassVar

from integrations.auth.parameters import with_query
from integrations.formatted_text import Block, Line, Paragraph, TextSpan
from integrations.json_types import JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.googlechat.preview import card_page
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import (
    compact,
    object_at,
    parse_object,
    refusal_reason,
    text_at,
)
from integrations.targets.shared.preview import MessagePreview, source_of
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.summary import EventSummary, fit_into, truncate
from integrations.targets.shared.target_kind import Inert, TargetKind
from integrations.transport.results import AttemptOutcome

MAX_TITLE = 200
BREAK = "<br>"
# One thread a check; a deleted thread is started again.
THREADS = {"messageReplyOption": "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD"}
ADVICE = {
    400: "Google Chat refused the message or the URL.",
    401: "Google Chat does not know the URL's key or token. Copy the webhook's URL again.",
    403: "The webhook may not post: it was deleted, or the organization does not allow incoming webhooks.",
    404: "The space does not exist any more.",
    413: "Google Chat takes at most 32,000 bytes.",
}


class GoogleChat(TargetKind):
    slug: ClassVar[str] = "googlechat"
    label: ClassVar[str] = "Google Chat"
    summary: ClassVar[str] = "A card in a space, with one thread for each check."
    position: ClassVar[int] = 45
    # A message takes 32,000 bytes.
    max_bytes: ClassVar[int] = 31_000
    # A space takes one message a second from all its webhooks.
    per_second: ClassVar[float | None] = 1.0
    concurrency: ClassVar[int] = 1
    inert: ClassVar[Inert] = Inert.ESCAPED
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="url",
            label="Webhook URL",
            help="https://chat.googleapis.com/v1/spaces/…/messages?key=…&token=… The URL is a secret: only its host is shown.",
            widget="url",
            sealed=True,
            # The option of the thread is added: the whole may have 2,048 characters.
            most=1900,
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(
            fit_into(event, target.frame, lambda summary: compact(_message(summary, target)), self.max_bytes)
        )

    def preview(self, body: bytes, target: Target) -> MessagePreview:
        (card,) = json.loads(body)["cardsV2"]
        return MessagePreview(source_of(body), card_page(card["card"]))

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        answer = call.request("POST", with_query(target.settings["url"], THREADS), body=request.body)
        body = parse_object(answer.body)
        if answer.is_success and "name" not in body:
            reason = "What answered is not Google Chat: no “name” in it."
            return call.unlike_vendor(answer, reason)
        advice = ADVICE.get(answer.status)
        message = text_at(object_at(body, "error"), "message")
        return call.outcome(answer, reason=refusal_reason(answer, advice, message) if advice else None)


def _message(summary: EventSummary, target: Target) -> JsonObject:
    key = summary.check_id or "connectivity"
    return {
        "fallbackText": truncate(summary.headline, MAX_TITLE),
        "cardsV2": [{"cardId": "message", "card": _card(summary)}],
        "thread": {"threadKey": f"identity-checks-{key}-{target.short_id}"},
    }


def _card(summary: EventSummary) -> JsonObject:
    header = {"title": truncate(summary.headline, MAX_TITLE)}
    if summary.subject == "list" and summary.facts:
        header["subtitle"] = " · ".join(f"{label}: {value}" for label, value in summary.facts)
    texts = [_blocks(summary.blocks)]
    if summary.people and not summary.names_users:
        lines = [f"• {_line(person.spans)}" for person in summary.people]
        texts.append(BREAK.join([*lines, escape(summary.and_more)] if summary.more else lines))
    if summary.actions:
        texts.append(
            BREAK.join(
                [
                    f"<b>{escape(summary.translate('What to do:'))}</b>",
                    *(f"• {escape(action)}" for action in summary.actions),
                ]
            )
        )
    widgets: list[JsonObject] = [{"textParagraph": {"text": text}} for text in texts if text]
    if summary.link:
        button = {"text": summary.link_label, "onClick": {"openLink": {"url": summary.link}}}
        widgets.append({"buttonList": {"buttons": [button]}})
    card: JsonObject = {"header": header}
    if widgets:
        card["sections"] = [{"widgets": widgets}]
    return card


def _blocks(blocks: Sequence[Block]) -> str:
    """One text for all blocks: a card takes a hundred widgets at most."""
    html = ""
    for block in blocks:
        if html:
            html += BREAK * 2 if block.is_apart else BREAK
        html += BREAK.join(_lines(block))
    return html


def _lines(block: Block) -> Iterable[str]:
    if isinstance(block, Paragraph):
        yield from map(_line, block.lines)
        return
    for mark, item in zip(block.marks, block.items, strict=True):
        yield f"{mark.replace('-', '•')} {BREAK.join(map(_line, item))}"


def _line(line: Line) -> str:
    return "".join(map(_span, line))


def _span(span: TextSpan) -> str:
    html = escape(span.text)
    if span.italic:
        html = f"<i>{html}</i>"
    if span.bold:
        html = f"<b>{html}</b>"
    return f'<a href="{escape(span.url)}">{html}</a>' if span.url else html
