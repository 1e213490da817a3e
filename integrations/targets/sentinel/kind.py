"""Azure Sentinel: rows in a custom table through the Logs Ingestion API (docs/targets/sentinel.md).

https://learn.microsoft.com/en-us/azure/azure-monitor/logs/logs-ingestion-api-overview
"""

from typing import ClassVar

from integrations.auth.authorization import OAuthClientCredentials
from integrations.target_data import AttemptRequest, Event, RenderedBody, Target
from integrations.targets.shared.call import Call
from integrations.targets.shared.entra import APPLICATION_FIELDS, LOGIN_URL, application
from integrations.targets.shared.json_answers import (
    code_and_message,
    compact,
    object_at,
    parse_object,
    refusal_reason,
    text_at,
)
from integrations.targets.shared.setting_fields import TIMES, Field
from integrations.targets.shared.target_kind import Inert, TargetKind
from integrations.targets.shared.user_rows import user_rows
from integrations.transport import http
from integrations.transport.results import AttemptOutcome

API_VERSION = "2023-01-01"
# Azure truncates a value at 64 KB and answers 204, the data lake of Sentinel one at 32 KB:
# https://learn.microsoft.com/en-us/azure/azure-monitor/service-limits#logs-ingestion-api,
# https://learn.microsoft.com/en-us/azure/sentinel/datalake/sentinel-lake-service-limits
MAX_DETAILS = 32_000
ADVICE = {
    400: "The data collection rule refused the rows. Does its stream have the columns of the documentation?",
    401: "Azure refused the token. Do tenant, application and scope belong to this cloud?",
    403: "The application may not write to the data collection rule: give it the role Monitoring Metrics Publisher on it.",
    404: "There is no such data collection rule or stream at this endpoint.",
    413: "Azure takes at most 1 MB in one call.",
}


class Sentinel(TargetKind):
    slug: ClassVar[str] = "sentinel"
    label: ClassVar[str] = "Azure Sentinel"
    summary: ClassVar[str] = "A row for each user in a table of a Log Analytics workspace."
    position: ClassVar[int] = 90
    one_message: ClassVar[bool] = False
    max_bytes: ClassVar[int] = 1_000_000
    # A rule takes 12,000 calls per minute, far more than needed.
    per_second: ClassVar[float | None] = 20.0
    concurrency: ClassVar[int] = 8
    inert: ClassVar[Inert] = Inert.DATA
    form_fields: ClassVar[tuple[Field, ...]] = (
        *APPLICATION_FIELDS,
        Field(
            path="endpoint",
            label="Logs ingestion endpoint",
            help="Of the data collection rule or endpoint: https://….ingest.monitor.azure.com",
            widget="url",
            # The path of the rule and the stream is added: the whole may have 2,048 characters.
            most=1024,
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
        LOGIN_URL,
        Field(
            path="scope",
            label="Scope",
            help="Another one for a national cloud: https://monitor.azure.us/.default",
            required=False,
            default="https://monitor.azure.com/.default",
        ),
        *TIMES,
    )

    def render(self, event: Event, target: Target) -> RenderedBody:
        return RenderedBody(compact(user_rows(event, max_details=MAX_DETAILS)))

    def attempt(self, request: AttemptRequest, target: Target, call: Call) -> AttemptOutcome:
        auth = application(target, target.settings["scope"])
        answer = auth.send(lambda: self._post(request, target, call, auth))
        if answer.status == 204:
            return call.outcome(answer)
        if answer.is_success:
            # The API answers 204 alone.
            return call.unlike_vendor(answer, f"Azure answers 204, but this was {answer.status}.")
        error = object_at(parse_object(answer.body), "error")
        words = code_and_message(text_at(error, "code"), text_at(error, "message"))
        advice = ADVICE.get(answer.status)
        return call.outcome(answer, reason=refusal_reason(answer, advice, words) if advice else None)

    def _post(
        self, request: AttemptRequest, target: Target, call: Call, auth: OAuthClientCredentials
    ) -> http.HttpAnswer:
        settings = target.settings
        url = (
            f"{settings['endpoint'].rstrip('/')}/dataCollectionRules/{settings['rule_id']}"
            f"/streams/{settings['stream']}?api-version={API_VERSION}"
        )
        return call.request("POST", url, body=request.body, auth=auth)
