"""Slack: an incoming webhook, or a bot that writes to a channel and to people (docs/targets/slack.md).

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks,
https://docs.slack.dev/reference/methods/chat.postMessage, …/users.lookupByEmail, …/block-kit/blocks/rich-text-block

Whatever comes from users stands in rich text elements, which hold no markup: neither mentions nor links nor bold
can be made by a name. The fallback ``text`` is escaped (mentions and links) and no mrkdwn (emphasis).
"""

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlencode

from integrations import http
from integrations.outcomes import Outcome, Result, classify
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact, parsed
from integrations.targets.documents import Reader
from integrations.targets.fields import TIMES, Field
from integrations.targets.text import Summary, fitted, shortened

API = "https://slack.com/api"
MAX_HEADER = 150
MAX_FALLBACK = 300
# Keys of the stored bytes that Slack never sees: who the person is, and that nobody is to read it without a channel.
TO, TEST = "recipient_email", "connectivity"

RETRYABLE = frozenset({
    "ratelimited", "rate_limited", "internal_error", "fatal_error", "service_unavailable", "request_timeout",
    "rollup_error", "team_added_to_org", "message_limit_exceeded",
})  # fmt: skip
GONE = frozenset({"account_inactive", "token_revoked", "no_service", "no_active_hooks", "team_disabled"})
SAID = {
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
    "users_not_found": "Slack has no member with this person's e-mail address.",
    "ratelimited": "Slack asks to slow down.",
    "rate_limited": "Slack asks to slow down.",
    "no_service": "The incoming webhook was removed. Make another.",
    "invalid_token": "The incoming webhook's URL is not valid any more. Make another.",
    "invalid_blocks": "Slack refused the form of the message.",
    "msg_blocks_too_long": "Slack found the message too long.",
    "msg_too_long": "Slack found the message too long.",
    "restricted_action": "A setting of the workspace forbids the bot to write there.",
}


class Slack(FieldsKind):
    slug: ClassVar[str] = "slack"
    label: ClassVar[str] = "Slack"
    summary: ClassVar[str] = "A message in a channel, or to each person concerned."
    # Slack takes 40,000 characters of text, but far less of blocks (msg_blocks_too_long), and names no figure.
    max_bytes: ClassVar[int] = 16_000
    # https://docs.slack.dev/apis/web-api/rate-limits: about one message a second and channel.
    per_second: ClassVar[float | None] = 1.0
    concurrency: ClassVar[int] = 1
    audiences: ClassVar[frozenset[str]] = frozenset({"list", "user", "manager"})
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="mode",
            label="How to write",
            help="People can be written to by a bot only; an incoming webhook knows its one channel.",
            widget="select",
            choices=(("webhook", "Incoming webhook"), ("bot", "Bot token")),
            default="webhook",
        ),
        Field(
            path="url",
            label="Webhook URL",
            help="https://hooks.slack.com/services/… Whoever knows it can write: it is kept as a secret.",
            widget="url",
            secret=True,
            most=2048,
            when=("mode", ("webhook",)),
        ),
        Field(
            path="token",
            label="Bot token",
            help="xoxb-… with the scope chat:write, for direct messages also users:read.email.",
            secret=True,
            pattern=r"xoxb-[A-Za-z0-9-]{5,250}",
            hint="Write the bot's token; it begins with xoxb-.",
            when=("mode", ("bot",)),
        ),
        Field(
            path="channel",
            label="Channel",
            help="Name (#identity) or id (C0123456789). Not needed where only people are written to.",
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

    def check(self, reader: Reader, settings: dict[str, Any], secrets: dict[str, Any]) -> None:
        if settings.get("api_url"):
            settings["api_url"] = settings["api_url"].rstrip("/")

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(fitted(event, lambda said: compact(_message(said, target)), self.max_bytes))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        if target.settings["mode"] == "webhook":
            return self._outcome(call, call.request("POST", target.secrets["url"], body=outgoing.body))
        message = json.loads(outgoing.body)
        if TO in message:
            found = self._find(call, target, message.pop(TO))
            if isinstance(found, Outcome):
                return found
            message["channel"] = found
        if message.pop(TEST, False) and not message["channel"]:
            answer = call.request("POST", f"{target.settings['api_url']}/auth.test", headers=_bearer(target))
            return self._outcome(call, answer)
        if not message["channel"]:
            reason = "This target names no channel, so it can write to people only. Set its channel."
            return call.stopped(Result.PERMANENT, reason)
        url = f"{target.settings['api_url']}/chat.postMessage"
        return self._outcome(call, call.request("POST", url, body=compact(message), headers=_bearer(target)))

    def _find(self, call: Call, target: Target, email: str) -> str | Outcome:
        """The Slack id of a person, to whom a message then goes as to a channel."""
        if not email:
            return call.stopped(
                Result.PERMANENT, "This person has no e-mail address by which Slack could know them."
            )
        url = f"{target.settings['api_url']}/users.lookupByEmail?{urlencode({'email': email})}"
        answer = call.request("GET", url, headers=_bearer(target))
        user = parsed(answer.body).get("user")
        if answer.status == 200 and isinstance(user, Mapping) and isinstance(user.get("id"), str):
            return str(user["id"])
        return self._outcome(call, answer)

    def _outcome(self, call: Call, answer: http.Answer) -> Outcome:
        """The Web API says in the body what went wrong, with 200; an incoming webhook as text, with a status."""
        body = parsed(answer.body)
        error = body.get("error") if body.get("ok") is False else None
        if error is None and answer.status >= 400 and not body:
            error = answer.body[:60].decode("utf-8", "replace").strip()
        if not isinstance(error, str) or not error.replace("_", "").isalnum():
            if answer.status == 200 and call.target.settings["mode"] == "bot" and body.get("ok") is not True:
                return call.outcome(
                    answer, Result.RETRYABLE, "What answered is not Slack's API: no “ok” in it."
                )
            return call.outcome(answer)
        result = classify(answer.status)[0]
        if error in RETRYABLE:
            result = Result.RETRYABLE
        elif error in GONE:
            result = Result.GONE
        elif result in (Result.DELIVERED, Result.GONE):
            result = Result.PERMANENT
        said = SAID.get(error)
        return call.outcome(
            answer, result, f"{said} ({error})" if said else f"Slack answered with the error {error}."
        )


def _message(said: Summary, target: Target) -> dict[str, Any]:
    message: dict[str, Any] = {
        "text": escaped(shortened(said.headline, MAX_FALLBACK)),
        "mrkdwn": False,
        "blocks": blocks(said),
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if target.settings["mode"] == "bot":
        if said.personal:
            message[TO] = said.recipient_email
        else:
            message["channel"] = target.settings.get("channel", "")
        if said.subject == "test":
            message[TEST] = True
    return message


def _bearer(target: Target) -> dict[str, str]:
    return {"Authorization": f"Bearer {target.secrets['token']}"}


def escaped(text: str) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def blocks(said: Summary) -> list[dict[str, Any]]:
    """Block Kit of a summary: a header, then rich text, facts, and a button to the page."""
    header = {"type": "plain_text", "text": shortened(said.headline, MAX_HEADER), "emoji": False}
    made: list[dict[str, Any]] = [{"type": "header", "text": header}]
    elements = [_section(text) for text in said.paragraphs]
    if said.people and not said.customised_direct:
        elements.append(_list([person.line for person in said.people]))
        if said.more:
            elements.append(_section(said.and_more))
    if said.actions:
        elements += [_section("Recommended:", bold=True), _list(said.actions)]
    if elements:
        made.append({"type": "rich_text", "elements": elements})
    if said.subject == "list" and said.facts:
        text = " · ".join(f"{label}: {value}" for label, value in said.facts)
        made.append({"type": "context", "elements": [{"type": "plain_text", "text": text, "emoji": False}]})
    if said.link:
        label = {"type": "plain_text", "text": "Open the check", "emoji": False}
        made.append({"type": "actions", "elements": [{"type": "button", "text": label, "url": said.link}]})
    return made


def _section(text: str, *, bold: bool = False) -> dict[str, Any]:
    element: dict[str, Any] = {"type": "text", "text": text + "\n"}
    if bold:
        element["style"] = {"bold": True}
    return {"type": "rich_text_section", "elements": [element]}


def _list(texts: tuple[str, ...] | list[str]) -> dict[str, Any]:
    items = [{"type": "rich_text_section", "elements": [{"type": "text", "text": text}]} for text in texts]
    return {"type": "rich_text_list", "style": "bullet", "elements": items}
