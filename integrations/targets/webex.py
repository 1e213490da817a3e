"""Webex: a bot that writes to a space or to people (docs/targets/webex.md).

https://developer.webex.com/docs/api/v1/messages/create-a-message
"""

from typing import Any, ClassVar

from integrations import http
from integrations.outcomes import Outcome, Result
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact, parsed
from integrations.targets.cards import attachment
from integrations.targets.fields import TIMES, Field
from integrations.targets.text import Summary, fitted

API = "https://webexapis.com/v1"
# What is kept of a test of a target that names no space.
TEST = b'{"do":"test"}'
MAX_TEXT = 7_439  # bytes of a message's text
ADVICE = {
    401: "Webex does not know this token. Copy the bot's access token again.",
    403: "The bot may not write there. Add it to the space.",
    404: "Webex finds no such space or person, or the bot is not in the space.",
}


class Webex(FieldsKind):
    slug: ClassVar[str] = "webex"
    label: ClassVar[str] = "Webex"
    summary: ClassVar[str] = "A card in a space, or to each person concerned."
    max_bytes: ClassVar[int] = 20_000
    per_second: ClassVar[float | None] = 2.0
    concurrency: ClassVar[int] = 2
    audiences: ClassVar[frozenset[str]] = frozenset({"list", "user", "manager"})
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
            help="The roomId of the space; the bot must be in it. Not needed where only people are written to.",
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

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(fitted(event, lambda said: compact(_message(said, target)), self.max_bytes))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        headers = {"Authorization": f"Bearer {target.secrets['token']}"}
        if outgoing.body == TEST:
            return self._outcome(call, call.request("GET", f"{_api(target)}/people/me", headers=headers))
        if b'"roomId":""' in outgoing.body[:40]:
            reason = "This target names no space, so it can write to people only. Set its space id."
            return call.stopped(Result.PERMANENT, reason)
        if b'"toPersonEmail":""' in outgoing.body[:40]:
            return call.stopped(
                Result.PERMANENT, "This person has no e-mail address by which Webex could know them."
            )
        return self._outcome(
            call, call.request("POST", f"{_api(target)}/messages", body=outgoing.body, headers=headers)
        )

    def _outcome(self, call: Call, answer: http.Answer) -> Outcome:
        if answer.status == 200 and "id" not in parsed(answer.body):
            return call.outcome(answer, Result.RETRYABLE, "What answered is not Webex's API: no “id” in it.")
        if answer.status == 423:
            # “Locked”: with Retry-After, the space is busy.
            return call.outcome(answer, Result.RETRYABLE)
        if answer.status not in (*ADVICE, 400):
            return call.outcome(answer)
        said = str(parsed(answer.body).get("message", ""))[:200]
        return call.outcome(
            answer, reason=f"{ADVICE.get(answer.status, 'Webex refused the message.')} {said}".strip()
        )


def _api(target: Target) -> str:
    return str(target.settings["api_url"]).rstrip("/")


def _message(said: Summary, target: Target) -> dict[str, Any]:
    # First, where attempt() looks.
    if said.personal:
        to = {"toPersonEmail": said.recipient_email}
    else:
        to = {"roomId": target.settings.get("room_id", "")}
        if said.subject == "test" and not to["roomId"]:
            return {"do": "test"}
    text = said.plain().encode()[:MAX_TEXT].decode("utf-8", "ignore")
    return {**to, "text": text, "attachments": [attachment(said)]}
