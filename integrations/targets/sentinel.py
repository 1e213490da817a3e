"""Azure Sentinel: rows in a custom table through the Logs Ingestion API (docs/targets/sentinel.md).

https://learn.microsoft.com/en-us/azure/azure-monitor/logs/logs-ingestion-api-overview
"""

from dataclasses import replace
from typing import Any, ClassVar

from integrations import http
from integrations.authorization import OAuthClientCredentials
from integrations.outcomes import Outcome, Result
from integrations.targets.base import Event, Outgoing, Rendered, Target
from integrations.targets.calls import Call, FieldsKind, compact, parsed
from integrations.targets.fields import TIMES, Field
from integrations.targets.records import records

GUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_HINT = "Write the id as 8-4-4-4-12 hexadecimal digits."
API_VERSION = "2023-01-01"
ADVICE = {
    400: "The data collection rule refused the rows. Does its stream have the columns of the documentation?",
    401: "Azure refused the token. Do tenant, application and scope belong to this cloud?",
    403: "The application may not write to the data collection rule: give it the role Monitoring Metrics Publisher on it.",
    404: "There is no such data collection rule or stream at this endpoint.",
    413: "Azure takes at most 1 MB in one call.",
}


class Sentinel(FieldsKind):
    slug: ClassVar[str] = "sentinel"
    label: ClassVar[str] = "Azure Sentinel"
    summary: ClassVar[str] = "A row a user in a table of a Log Analytics workspace."
    one_message: ClassVar[bool] = False
    max_bytes: ClassVar[int] = 1_000_000
    # 12,000 calls a minute and rule are taken; so many are never needed.
    per_second: ClassVar[float | None] = 20.0
    concurrency: ClassVar[int] = 8
    audiences: ClassVar[frozenset[str]] = frozenset({"list"})
    form_fields: ClassVar[tuple[Field, ...]] = (
        Field(path="tenant_id", label="Directory (tenant) id", pattern=GUID, hint=_HINT),
        Field(path="client_id", label="Application (client) id", pattern=GUID, hint=_HINT),
        Field(path="client_secret", label="Client secret", help="Its value, not its id.", secret=True),
        Field(
            path="endpoint",
            label="Logs ingestion endpoint",
            help="Of the data collection rule or endpoint: https://….ingest.monitor.azure.com",
            widget="url",
            most=2048,
        ),
        Field(
            path="rule_id",
            label="Immutable id of the rule",
            pattern=r"dcr-[0-9a-f]{32}",
            hint="Write dcr- and 32 hexadecimal digits.",
        ),
        Field(
            path="stream",
            label="Stream",
            default="Custom-IdentityChecks_CL",
            pattern=r"Custom-[A-Za-z][A-Za-z0-9_]{0,90}",
            hint="Write Custom- and the table's name, such as Custom-IdentityChecks_CL.",
        ),
        Field(
            path="login_url",
            label="Entra address",
            help="Another one for a national cloud: https://login.microsoftonline.us",
            widget="url",
            required=False,
            default="https://login.microsoftonline.com",
        ),
        Field(
            path="scope",
            label="Scope",
            help="Another one for a national cloud: https://monitor.azure.us/.default",
            required=False,
            default="https://monitor.azure.com/.default",
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> Rendered:
        return Rendered(compact(records(event)))

    def attempt(self, outgoing: Outgoing, target: Target, call: Call) -> Outcome:
        auth = OAuthClientCredentials(_with_authorization(target))
        answer = self._post(outgoing, target, call, auth)
        if answer.status == 401:
            auth.renew()
            answer = self._post(outgoing, target, call, auth)
        if answer.status == 204:
            return call.outcome(answer)
        if 200 <= answer.status < 300:
            # The API answers 204 alone; a 200 comes from something else on the way.
            return call.outcome(answer, Result.RETRYABLE, f"Azure answers 204, but this was {answer.status}.")
        error = parsed(answer.body).get("error")
        said = (
            f" {error['code']}: {error.get('message', '')}"
            if isinstance(error, dict) and "code" in error
            else ""
        )
        advice = ADVICE.get(answer.status)
        return call.outcome(answer, reason=f"{advice}{said[:200]}" if advice else None)

    def _post(
        self, outgoing: Outgoing, target: Target, call: Call, auth: OAuthClientCredentials
    ) -> http.Answer:
        given = target.settings
        url = (
            f"{given['endpoint'].rstrip('/')}/dataCollectionRules/{given['rule_id']}"
            f"/streams/{given['stream']}?api-version={API_VERSION}"
        )
        try:
            return call.request("POST", url, body=outgoing.body, auth=auth)
        finally:
            call.step = auth.step


def _with_authorization(target: Target) -> Target:
    """The target as the OAuth client reads it: client credentials at Entra, the scope in the form's body."""
    given = target.settings
    authorization: dict[str, Any] = {
        "type": "oauth",
        "endpoint": f"{given['login_url'].rstrip('/')}/{given['tenant_id']}/oauth2/v2.0/token",
        "method": "POST",
        "client_authentication": "body",
        "client_id": given["client_id"],
        "parameters": {"body": {"scope": given["scope"]}},
    }
    secrets = {"authorization": {"client_secret": target.secrets["client_secret"]}}
    return replace(target, settings={**given, "authorization": authorization}, secrets=secrets)
