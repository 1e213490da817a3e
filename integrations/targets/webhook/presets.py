"""Presets of the webhook: documents for receivers that accept the contract's event. docs/targets/<slug>.md has the steps."""

from collections.abc import Mapping
from dataclasses import dataclass

from integrations.json_types import JsonMapping
from integrations.logos import logo_path


@dataclass(frozen=True, slots=True)
class Preset:
    """A receiver that a webhook can send to.

    ``document`` is the initial document; the user replaces texts in capitals with hyphens, such as ``YOUR-ORG``.
    ``ask`` lists what is secret and therefore left out: dotted path → what to enter.
    """

    slug: str
    label: str
    summary: str
    document: JsonMapping
    ask: Mapping[str, str]

    @property
    def logo(self) -> str:
        return logo_path("webhook", self.slug)


PRESETS: tuple[Preset, ...] = (
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
        summary="A flow that starts with an API endpoint or the Cisco Identity Intelligence card.",
        document={
            "url": "https://YOUR-ORG.workflows.okta.com/api/flo/YOUR-FLOW/invoke",
            "authorization": {"type": "api_key", "name": "x-api-client-token"},
        },
        ask={"authorization.value": "The client token of the flow's API endpoint."},
    ),
)


def preset_of(slug: str) -> Preset | None:
    """The preset of that slug, if there is one."""
    return next((preset for preset in PRESETS if preset.slug == slug), None)
