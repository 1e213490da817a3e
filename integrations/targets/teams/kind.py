"""Microsoft Teams: a Workflows webhook that posts an Adaptive Card (docs/targets/teams.md).

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

import json
from typing import ClassVar

from integrations.json_types import JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.adaptive_card import attachment
from integrations.targets.shared.adaptive_card_page import card_page
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
from integrations.targets.shared.summary import EventSummary, fit_into
from integrations.targets.shared.target_kind import ALL_AUDIENCES, Inert, TargetKind
from integrations.transport.results import AttemptOutcome

ADVICE = {
    400: "The workflow refused the message: make it from the template “When a Teams webhook request is received”.",
    401: "The workflow refused the URL's signature, or takes signed-in callers only. Let anyone trigger it; copy its URL again.",
    403: "The workflow refused the URL's signature, or takes signed-in callers only. Let anyone trigger it; copy its URL again.",
    404: "The workflow does not exist any more, or is turned off.",
    413: "Teams takes at most 28 KB.",
}
# Codes with which a workflow that answers by a Response action passes on that its Post action found no such person: of
# Microsoft Graph (https://learn.microsoft.com/en-us/graph/errors) and of the Bot Framework, which Flow bot posts through.
NO_PERSON = frozenset({
    "UserNotFound", "PersonNotFound", "Request_ResourceNotFound", "ResourceNotFound", "NotFound", "ConversationNotFound",
    "BotNotInConversationRoster", "MessageWritesBlocked",
})  # fmt: skip


class Teams(TargetKind):
    slug: ClassVar[str] = "teams"
    label: ClassVar[str] = "Microsoft Teams"
    summary: ClassVar[str] = "A card in a channel, or to each user or manager, through a workflow."
    position: ClassVar[int] = 30
    max_bytes: ClassVar[int] = 28_000
    # Teams throttles above four requests a second.
    per_second: ClassVar[float | None] = 2.0
    concurrency: ClassVar[int] = 2
    audiences: ClassVar[frozenset[str]] = ALL_AUDIENCES
    inert: ClassVar[Inert] = Inert.PLAIN
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="url",
            label="Workflow URL",
            help="The HTTP POST URL of the workflow. The URL is a secret: only its host is shown.",
            widget="url",
            sealed=True,
            most=2048,
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(
            fit_into(event, target.frame, lambda summary: compact(_message(summary)), self.max_bytes)
        )

    def preview(self, body: bytes, target: Target) -> MessagePreview:
        (card,) = json.loads(body)["attachments"]
        return MessagePreview(source_of(body), card_page(card["content"]))

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        answer = call.request("POST", target.settings["url"], body=request.body)
        if answer.status not in ADVICE:
            return call.outcome(answer)
        error = object_at(parse_object(answer.body), "error")
        code = error["code"] if isinstance(error.get("code"), str) else ""
        if code in NO_PERSON and b'"recipient":{"email":' in request.body:
            return call.outcome(
                answer, reason=f"Teams finds no such person. ({code})", concerns_recipient=True
            )
        words = f"({code})" if code else text_at(error, "message")
        return call.outcome(answer, reason=refusal_reason(answer, ADVICE[answer.status], words))


def _message(summary: EventSummary) -> JsonObject:
    message: JsonObject = {"type": "message", "attachments": [attachment(summary)]}
    if summary.personal:
        # For the workflow's step that posts to a person: triggerBody()?['recipient']?['email'].
        message["recipient"] = {"email": summary.recipient_email, "displayName": summary.recipient_name}
    return message
