"""Receivers that a webhook can write to as it is: each preset fills in the webhook's document, plain data.

``document`` is what the form (or a file) begins with; a text in capitals with hyphens, such as ``YOUR-ORG``, is for the person to replace.
Whatever is secret is left out and listed in ``ask``, by dotted path. docs/targets/<slug>.md says the steps.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Preset:
    slug: str
    label: str
    summary: str
    document: Mapping[str, Any]
    ask: Mapping[str, str]


PRESETS: tuple[Preset, ...] = (
    Preset(
        slug="splunk",
        label="Splunk",
        summary="Its HTTP Event Collector, the raw endpoint: each event as the contract writes it.",
        document={
            "url": "https://YOUR-SPLUNK:8088/services/collector/raw",
            "authorization": {"type": "api_key", "name": "Authorization"},
            "parameters": {"query": {"sourcetype": "_json", "source": "identity-checks"}},
        },
        ask={"authorization.value": "The word Splunk, a space, and the collector's token: Splunk 0f1e2d3c-…"},
    ),
    Preset(
        slug="datadog",
        label="Datadog",
        summary="Its logs intake; the pipeline for Cisco Identity Intelligence reads the events.",
        document={
            "url": "https://http-intake.logs.datadoghq.com/api/v2/logs",
            "authorization": {"type": "api_key", "name": "DD-API-KEY"},
            # The filter of that pipeline: https://github.com/DataDog/integrations-core/tree/master/cisco_identity_intelligence
            "parameters": {
                "query": {"ddsource": "cisco-identity-intelligence", "service": "identity-checks"}
            },
        },
        ask={"authorization.value": "An API key of the organisation."},
    ),
    Preset(
        slug="google-secops",
        label="Google SecOps",
        summary="A webhook feed; the OORT parser reads the events.",
        document={
            "url": "https://YOUR-FEED-ENDPOINT",
            "authorization": {"type": "api_key", "name": "X-goog-api-key"},
            "parameters": {"header": {"X-Webhook-Access-Key": {"secret": True}}},
        },
        ask={
            "authorization.value": "An API key of the Google Cloud project, restricted to the Chronicle API.",
            "parameters.header.X-Webhook-Access-Key": "The secret key that the feed generated.",
        },
    ),
    Preset(
        slug="okta-workflows",
        label="Okta Workflows",
        summary="A flow that begins with an API endpoint or the Cisco Identity Intelligence card.",
        document={
            "url": "https://YOUR-ORG.workflows.okta.com/api/flo/YOUR-FLOW/invoke",
            "authorization": {"type": "api_key", "name": "x-api-client-token"},
        },
        ask={"authorization.value": "The client token of the flow's API endpoint."},
    ),
)


def get(slug: str) -> Preset | None:
    return next((preset for preset in PRESETS if preset.slug == slug), None)
