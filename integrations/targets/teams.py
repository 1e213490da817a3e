"""Microsoft Teams: a Workflows webhook that posts an Adaptive Card (docs/targets/teams.md).

https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
"""

from typing import Any, ClassVar

from integrations.outcomes import Outcome
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact, parsed, part
from integrations.targets.cards import attachment
from integrations.targets.fields import TIMES, Field
from integrations.targets.text import Summary, fitted

ADVICE = {
    400: "The workflow refused the message: make it from the template “When a Teams webhook request is received”.",
    401: "The workflow refused the URL's signature, or takes signed-in callers only. Let anyone trigger it; copy its URL again.",
    403: "The workflow refused the URL's signature, or takes signed-in callers only. Let anyone trigger it; copy its URL again.",
    404: "The workflow does not exist any more, or is turned off.",
    413: "Teams takes at most 28 KB.",
}


class Teams(FieldsKind):
    slug: ClassVar[str] = "teams"
    label: ClassVar[str] = "Microsoft Teams"
    summary: ClassVar[str] = "A card in a channel, or to each person concerned, through a workflow."
    max_bytes: ClassVar[int] = 28_000
    # Teams throttles above four requests a second.
    per_second: ClassVar[float | None] = 2.0
    concurrency: ClassVar[int] = 2
    audiences: ClassVar[frozenset[str]] = frozenset({"list", "user", "manager"})
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(
            path="url",
            label="Workflow URL",
            help="The HTTP POST URL of the workflow. Its signature lets anybody post: it is kept as a secret.",
            widget="url",
            secret=True,
            most=2048,
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(fitted(event, lambda said: compact(_message(said)), self.max_bytes))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        answer = call.request("POST", target.secrets["url"], body=outgoing.body)
        if answer.status not in ADVICE:
            return call.outcome(answer)
        error = part(parsed(answer.body), "error")
        code = f" ({error['code']})" if isinstance(error.get("code"), str) else ""
        return call.outcome(answer, reason=f"{ADVICE[answer.status]}{code}")


def _message(said: Summary) -> dict[str, Any]:
    message: dict[str, Any] = {"type": "message", "attachments": [attachment(said)]}
    if said.personal:
        # For the workflow's step that posts to a person: triggerBody()?['recipient']?['email'].
        message["recipient"] = {"email": said.recipient_email, "displayName": said.recipient_name}
    return message
