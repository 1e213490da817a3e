"""Slack: an incoming webhook, or a bot that writes to a channel and to people (docs/targets/slack.md).

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
https://docs.slack.dev/reference/methods/chat.postMessage, …/users.lookupByEmail, …/block-kit/blocks/rich-text-block

Text is in rich text elements, which have no markup: a name cannot become a mention, a link or bold text. The author's
emphasis, lists and links are styles, lists and link elements of it.
The fallback ``text`` is escaped (mentions and links) and not mrkdwn (emphasis).
"""

import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import ClassVar
from urllib.parse import urlencode

from integrations.formatted_text import Block, Line, Paragraph, TextSpan
from integrations.json_types import JsonObject
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.documents import DocumentReader
from integrations.targets.shared.json_answers import compact, parse_object, refusal_reason, text_of
from integrations.targets.shared.preview import MessagePreview, source_of
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.summary import EventSummary, fit_into, truncate
from integrations.targets.shared.target_kind import ALL_AUDIENCES, Inert, TargetKind
from integrations.targets.slack.preview import message_page
from integrations.transport import http
from integrations.transport.results import AttemptOutcome, Result, result_of_status

API = "https://slack.com/api"
MAX_HEADER = 150
MAX_FALLBACK = 300
LONGEST_CODE = 60  # bytes of an error code
# Keys of the stored bytes that are not sent to Slack: the recipient, and that a message is a connectivity test.
TO, TEST = "recipient_email", "connectivity"

RETRYABLE = frozenset({
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
    "rollup_error", "team_added_to_org", "message_limit_exceeded",
})  # fmt: skip
GONE = frozenset({"account_inactive", "token_revoked", "no_service", "no_active_hooks", "team_disabled"})
# Errors of a message to a person that do not concern the bot or the workspace.
OF_PERSON = frozenset({
    "users_not_found", "user_not_found", "user_disabled", "user_not_visible", "channel_not_found", "cannot_dm_bot",
    "messages_tab_disabled", "is_archived",
})  # fmt: skip
ERROR_TEXTS = {
    "invalid_auth": "Slack does not know this token. Copy the bot's token (xoxb-…) again.",
    "not_authed": "Slack got no token.",
    "token_expired": "The token has expired. Copy the bot's token again.",
    "token_revoked": "The token was revoked. Install the app again and copy its token.",
    "account_inactive": "The bot's account was removed. Install the app again.",
    "channel_not_found": "Slack finds no such channel, or it is private and the bot no member. Invite the bot: /invite.",
    "not_in_channel": "The bot is no member of the channel. Invite it: /invite, or grant chat:write.public.",
    "is_archived": "The channel is archived. Choose another.",
    "channel_is_archived": "The channel is archived. Choose another.",
    "missing_scope": "The bot lacks a scope: chat:write, and for direct messages users:read.email.",
    "users_not_found": "Slack has no member with this e-mail address.",
    "ratelimited": "Slack asks to slow down.",
    "rate_limited": "Slack asks to slow down.",
    "no_service": "The incoming webhook was removed. Make another.",
    "invalid_token": "The incoming webhook's URL is not valid any more. Make another.",
    "invalid_blocks": "Slack refused the form of the message.",
    "msg_blocks_too_long": "Slack found the message too long.",
    "msg_too_long": "Slack found the message too long.",
    "restricted_action": "A setting of the workspace forbids the bot to write there.",
}


class Slack(TargetKind):
    slug: ClassVar[str] = "slack"
    label: ClassVar[str] = "Slack"
    summary: ClassVar[str] = "A message in a channel, or to each user or manager."
    position: ClassVar[int] = 20
    # Slack takes 40,000 characters of text, but far less of blocks (msg_blocks_too_long), and names no figure. About
    # 13,200 characters were found (https://github.com/slackapi/bolt-js/issues/2509), and a refusal at 11,341 of text in
    # rich text (…/issues/2867), whose containers count as well; this is the whole message with them.
    max_bytes: ClassVar[int] = 12_000
    # https://docs.slack.dev/apis/web-api/rate-limits: about one message a second and channel.
    per_second: ClassVar[float | None] = 1.0
    concurrency: ClassVar[int] = 1
    audiences: ClassVar[frozenset[str]] = ALL_AUDIENCES
    inert: ClassVar[Inert] = Inert.ESCAPED
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="mode",
            label="How to write",
            help="Only a bot can send direct messages; an incoming webhook has one channel.",
            widget="select",
            choices=(("webhook", "Incoming webhook"), ("bot", "Bot token")),
            default="webhook",
        ),
        Field(
            path="url",
            label="Webhook URL",
            help="https://hooks.slack.com/services/… The URL is a secret: only its host is shown.",
            widget="url",
            sealed=True,
            most=2048,
            when=("mode", ("webhook",)),
        ),
        Field(
            path="token",
            label="Bot token",
            help="xoxb-… with the scope chat:write, for direct messages also users:read.email.",
            secret=True,
            pattern=r"xoxb-[A-Za-z0-9-]{5,250}",
            hint="Write the bot's token; it starts with xoxb-.",
            when=("mode", ("bot",)),
        ),
        Field(
            path="channel",
            label="Channel",
            help="Name (#identity) or id (C0123456789). Not needed if only users and managers get messages.",
            required=False,
            most=80,
            pattern=r"#?[^\s#@<>&,:!*]+",
            hint="Write a channel's name such as #identity, or its id.",
            when=("mode", ("bot",)),
        ),
        Field(
            path="api_url",
            label="API address",
            help="Another one for GovSlack: https://slack-gov.com/api",
            widget="url",
            required=False,
            default=API,
            when=("mode", ("bot",)),
        ),
        *TIMES,
    )

    def check(self, reader: DocumentReader, settings: JsonObject, secrets: JsonObject) -> None:
        if settings.get("api_url"):
            settings["api_url"] = settings["api_url"].rstrip("/")

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(
            fit_into(event, target.frame, lambda summary: compact(_message(summary, target)), self.max_bytes)
        )

    def preview(self, body: bytes, target: Target) -> MessagePreview:
        return MessagePreview(source_of(body), message_page(json.loads(body)))

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        if target.settings["mode"] == "webhook":
            return self._outcome(call, call.request("POST", target.settings["url"], body=request.body))
        message = json.loads(request.body)
        is_person = TO in message
        if is_person:
            found = self._find(call, target, message.pop(TO))
            if isinstance(found, AttemptOutcome):
                return found
            message["channel"] = found
        if message.pop(TEST, False) and not message["channel"]:
            answer = call.request("POST", f"{target.settings['api_url']}/auth.test", headers=_bearer(target))
            return self._outcome(call, answer, is_message=False)
        if not message["channel"]:
            reason = "This target has no channel, so it can send direct messages only. Set its channel."
            return call.outcome_without_answer(Result.PERMANENT, reason)
        url = f"{target.settings['api_url']}/chat.postMessage"
        answer = call.request("POST", url, body=compact(message), headers=_bearer(target))
        return self._outcome(call, answer, is_person=is_person)

    def _find(self, call: Call, target: Target, email: str) -> str | AttemptOutcome:
        """The Slack id of a user, which takes the place of a channel; or the outcome if there is none."""
        if not email:
            return call.outcome_without_answer(
                Result.PERMANENT,
                "The user has no e-mail address, so Slack cannot find them.",
                concerns_recipient=True,
            )
        url = f"{target.settings['api_url']}/users.lookupByEmail?{urlencode({'email': email})}"
        answer = call.request("GET", url, headers=_bearer(target))
        user = parse_object(answer.body).get("user")
        if answer.status == 200 and isinstance(user, Mapping) and isinstance(user.get("id"), str):
            return str(user["id"])
        found = self._outcome(call, answer, is_person=True, is_message=False)
        if found.result is Result.DELIVERED:
            return call.outcome(answer, Result.RETRYABLE, "Slack's answer names no member. Nothing was sent.")
        return found

    def _outcome(
        self, call: Call, answer: http.HttpAnswer, *, is_person: bool = False, is_message: bool = True
    ) -> AttemptOutcome:
        """The Web API reports errors in the body, with status 200; an incoming webhook as text, with another status.

        ``is_message``: the request sent the message, so that it must not be repeated once it was taken.
        """
        body = parse_object(answer.body)
        if body.get("ok") is False:
            return _failure(call, answer, text_of(body.get("error")), is_person=is_person)
        if answer.status >= 400 and not body and (error := _error_text(answer.body)):
            return _failure(call, answer, error, is_person=is_person)
        reason = "The answer is not from Slack's API: it has no “ok”."
        is_bot = call.target.settings["mode"] == "bot"
        if is_bot and answer.is_success and body.get("ok") is not True:
            if not is_message:
                return call.outcome(answer, Result.RETRYABLE, answer.incomplete or reason)
            return call.unlike_vendor(answer, reason)
        if not is_bot and answer.is_success and answer.body.strip() not in (b"", b"ok"):
            return call.unlike_vendor(answer, "Slack answers “ok”, but this was something else.")
        return call.outcome(answer)


def _error_text(body: bytes) -> str:
    """The error code that an incoming webhook answers as text; "" for another text, such as a proxy's."""
    text = body.decode("utf-8", "replace").strip() if len(body) <= LONGEST_CODE else ""
    return text if text.replace("_", "").isalnum() else ""


def _failure(call: Call, answer: http.HttpAnswer, error: str, *, is_person: bool) -> AttemptOutcome:
    """The outcome of an error of Slack's. ``error`` is empty if Slack names none."""
    result = result_of_status(answer.status)[0]
    if error in RETRYABLE:
        result = Result.RETRYABLE
    elif error in GONE:
        result = Result.GONE
    elif result in (Result.DELIVERED, Result.GONE):
        result = Result.PERMANENT
    if advice := ERROR_TEXTS.get(error):
        reason = f"{advice} ({error})"
    elif error:
        reason = f"Slack answered with the error {error}."
    else:
        reason = refusal_reason(answer, "Slack did not take the request, and names no error.")
    is_of_person = is_person and error in OF_PERSON
    return call.outcome(answer, result, reason, concerns_recipient=is_of_person)


def _message(summary: EventSummary, target: Target) -> JsonObject:
    message: JsonObject = {
        "text": escape_markup(truncate(summary.headline, MAX_FALLBACK)),
        "mrkdwn": False,
        "blocks": blocks(summary),
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if target.settings["mode"] == "bot":
        if summary.personal:
            message[TO] = summary.recipient_email
        else:
            message["channel"] = target.settings.get("channel", "")
        if summary.subject == "test":
            message[TEST] = True
    return message


def _bearer(target: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.secrets['token']}"}


def escape_markup(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def blocks(summary: EventSummary) -> list[JsonObject]:
    """Block Kit of a summary: a header, then rich text, facts, and a button to the page."""
    header = {"type": "plain_text", "text": truncate(summary.headline, MAX_HEADER), "emoji": False}
    made: list[JsonObject] = [{"type": "header", "text": header}]
    elements = [_block(block) for block in summary.blocks]
    if summary.people and not summary.names_users:
        elements.append(_list([person.spans for person in summary.people]))
        if summary.more:
            elements.append(_section(summary.and_more))
    if summary.actions:
        elements += [
            _section(summary.translate("What to do:"), bold=True),
            _list([(TextSpan(action),) for action in summary.actions]),
        ]
    if elements:
        made.append({"type": "rich_text", "elements": elements})
    if summary.subject == "list" and summary.facts:
        text = " · ".join(f"{label}: {value}" for label, value in summary.facts)
        made.append({"type": "context", "elements": [{"type": "plain_text", "text": text, "emoji": False}]})
    if summary.link:
        label = {"type": "plain_text", "text": summary.link_label, "emoji": False}
        made.append({"type": "actions", "elements": [{"type": "button", "text": label, "url": summary.link}]})
    return made


def _block(block: Block) -> JsonObject:
    """Rich text, in which only the styles and links of the author are markup."""
    if isinstance(block, Paragraph):
        return {"type": "rich_text_section", "elements": _elements(block.lines, end="\n")}
    items = [{"type": "rich_text_section", "elements": _elements(item)} for item in block.items]
    made: JsonObject = {"type": "rich_text_list", "style": "bullet", "elements": items}
    if block.start is not None:
        made |= {"style": "ordered", "offset": block.start - 1}
    return made


def _elements(lines: Sequence[Line], end: str = "") -> list[JsonObject]:
    """Text and links; what has one style is one element."""
    spans = [span for line in lines for span in (*line, TextSpan("\n"))]
    spans[-1:] = [TextSpan(end)] if end else []
    groups = groupby(spans, key=lambda span: (span.bold, span.italic, span.url))
    return [_element("".join(span.text for span in group), *style) for style, group in groups]


def _element(text: str, bold: bool, italic: bool, url: str) -> JsonObject:
    made: JsonObject = {"type": "link", "url": url, "text": text} if url else {"type": "text", "text": text}
    if bold or italic:
        made["style"] = {name: True for name, is_set in (("bold", bold), ("italic", italic)) if is_set}
    return made


def _section(text: str, *, bold: bool = False) -> JsonObject:
    element: JsonObject = {"type": "text", "text": text + "\n"}
    if bold:
        element["style"] = {"bold": True}
    return {"type": "rich_text_section", "elements": [element]}


def _list(lines: Sequence[Line]) -> JsonObject:
    items = [{"type": "rich_text_section", "elements": _elements((line,))} for line in lines]
    return {"type": "rich_text_list", "style": "bullet", "elements": items}
