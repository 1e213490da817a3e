"""Webex: a bot that sends to a space or to users (docs/targets/webex.md).

https://developer.webex.com/docs/api/v1/messages/create-a-message
"""

import json
from typing import ClassVar

from integrations.json_types import JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.adaptive_card import attachment
from integrations.targets.shared.adaptive_card_page import card_page
from integrations.targets.shared.call import Call
from integrations.targets.shared.json_answers import compact, parse_object, refusal_reason, text_at
from integrations.targets.shared.preview import MessagePreview, source_of
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.summary import EventSummary, fit_into
from integrations.targets.shared.target_kind import ALL_AUDIENCES, Inert, TargetKind
from integrations.transport import http
from integrations.transport.results import AttemptOutcome, Result

API = "https://webexapis.com/v1"
# The stored body of a connectivity test of a target without a space.
TEST = b'{"do":"test"}'
MAX_TEXT = 7_439  # bytes of a message's text
ADVICE = {
    401: "Webex does not know this token. Copy the bot's access token again.",
    403: "The bot may not write there. Add it to the space.",
    404: "Webex finds no such space or person, or the bot is not in the space.",
}


class Webex(TargetKind):
    slug: ClassVar[str] = "webex"
    label: ClassVar[str] = "Webex"
    summary: ClassVar[str] = "A card in a space, or to each user or manager."
    position: ClassVar[int] = 40
    max_bytes: ClassVar[int] = 20_000
    per_second: ClassVar[float | None] = 2.0
    concurrency: ClassVar[int] = 2
    audiences: ClassVar[frozenset[str]] = ALL_AUDIENCES
    inert: ClassVar[Inert] = Inert.PLAIN
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="token",
            label="Bot access token",
            secret=True,
            pattern=r"[\x21-\x7e]+",
            hint="Write the token.",
        ),
        Field(
            path="room_id",
            label="Space id",
            help="The roomId of the space; the bot must be in it. Not needed if only users and managers get messages.",
            required=False,
            pattern=r"[A-Za-z0-9_=-]+",
            hint="Write the space's id: letters, digits, - and _.",
        ),
        Field(
            path="api_url",
            label="API address",
            help="Another one for Webex for Government: https://api-usgov.webex.com/v1",
            widget="url",
            required=False,
            default=API,
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(
            fit_into(
                event,
                target.frame,
                lambda summary: compact(_message(summary, target, _text(event, summary))),
                self.max_bytes,
            )
        )

    def preview(self, body: bytes, target: Target) -> MessagePreview:
        (card,) = json.loads(body)["attachments"]
        return MessagePreview(source_of(body), card_page(card["content"]))

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        headers = {"Authorization": f"Bearer {target.secrets['token']}"}
        if request.body == TEST:
            return self._outcome(
                call, call.request("GET", f"{_api(target)}/people/me", headers=headers), is_test=True
            )
        if b'"roomId":""' in request.body[:40]:
            reason = "This target has no space, so it can send direct messages only. Set its space id."
            return call.outcome_without_answer(Result.PERMANENT, reason)
        if b'"toPersonEmail":""' in request.body[:40]:
            return call.outcome_without_answer(
                Result.PERMANENT,
                "The user has no e-mail address, so Webex cannot find them.",
                concerns_recipient=True,
            )
        answer = call.request("POST", f"{_api(target)}/messages", body=request.body, headers=headers)
        return self._outcome(call, answer, is_person=request.body.startswith(b'{"toPersonEmail"'))

    def _outcome(
        self, call: Call, answer: http.HttpAnswer, *, is_person: bool = False, is_test: bool = False
    ) -> AttemptOutcome:
        if answer.is_success and "id" not in parse_object(answer.body):
            reason = "The answer is not from Webex's API: it has no “id”."
            if is_test:
                return call.outcome(answer, Result.RETRYABLE, reason)
            return call.unlike_vendor(answer, reason)
        if answer.status == 423:
            # “Locked”: with Retry-After, the space is busy.
            return call.outcome(answer, Result.RETRYABLE)
        if answer.status not in (*ADVICE, 400):
            return call.outcome(answer)
        answer_text = text_at(parse_object(answer.body), "message")
        return call.outcome(
            answer,
            reason=refusal_reason(
                answer, ADVICE.get(answer.status, "Webex refused the message."), answer_text
            ),
            # 400 means that the address is malformed, 404 that nobody has it.
            concerns_recipient=is_person
            and (answer.status == 404 or (answer.status == 400 and "email" in answer_text.lower())),
        )


def _api(target: Target) -> str:
    return str(target.settings["api_url"]).rstrip("/")


def _text(event: Event, summary: EventSummary) -> str:
    """The text for a client that shows no card, with less of each part where the card's text is too long."""
    text = summary.plain().encode()
    if len(text) > MAX_TEXT:
        text = fit_into(event, summary.frame, lambda shorter: shorter.plain().encode(), MAX_TEXT)[:MAX_TEXT]
    return text.decode("utf-8", "ignore")


def _message(summary: EventSummary, target: Target, text: str) -> JsonObject:
    # The first key: attempt() looks for it at the start.
    if summary.personal:
        to = {"toPersonEmail": summary.recipient_email}
    else:
        to = {"roomId": target.settings.get("room_id", "")}
        if summary.subject == "test" and not to["roomId"]:
            return {"do": "test"}
    return {**to, "text": text, "attachments": [attachment(summary)]}
