"""Each preset, once its secrets are filled in, is a webhook that its receiver would take."""

import copy
import json
from pathlib import Path

import pytest
from django.contrib.staticfiles import finders

from integrations.target_data import InvalidDocument
from integrations.targets.webhook.kind import Webhook
from integrations.targets.webhook.presets import PRESETS, preset_of
from integrations.transport.results import Result
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

ROOT = Path(__file__).parent.parent.parent.parent
KIND = Webhook()
every_preset = pytest.mark.parametrize("preset", PRESETS, ids=[preset.slug for preset in PRESETS])


def filled(preset, values: dict[str, str], url: str = "") -> dict:
    document = copy.deepcopy(dict(preset.document)) | ({"url": url} if url else {})
    for path, value in values.items():
        part = document
        *parents, key = path.split(".")
        for parent in parents:
            part = part.setdefault(parent, {})
        part[key] = {"value": value, "secret": True} if isinstance(part.get(key), dict) else value
    return document


@every_preset
def test_it_asks_for_exactly_the_secrets_that_are_missing(preset):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean(filled(preset, {}))
    assert sorted(caught.value.errors) == sorted(preset.ask)


@every_preset
def test_with_its_secrets_it_is_a_webhook(preset):
    cleaned = KIND.clean(filled(preset, dict.fromkeys(preset.ask, "the-secret")))
    assert "the-secret" not in repr(KIND.describe(cleaned.settings))


@every_preset
def test_it_has_a_page_of_steps_and_a_logo(preset):
    assert preset.label in (ROOT / "docs/targets" / f"{preset.slug}.md").read_text()
    assert "<svg" in Path(finders.find(preset.logo)).read_text()


@pytest.mark.parametrize(
    ("slug", "secrets", "headers", "query"),
    [
        (
            "datadog",
            {"authorization.value": "dd-key"},
            {"DD-API-KEY": "dd-key"},
            {"ddsource": "cisco-identity-intelligence", "service": "identity-checks"},
        ),
        (
            "google-secops",
            {"authorization.value": "api-key", "parameters.header.X-Webhook-Access-Key": "feed-key"},
            {"X-goog-api-key": "api-key", "X-Webhook-Access-Key": "feed-key"},
            {},
        ),
        (
            "okta-workflows",
            {"authorization.value": "client-token"},
            {"x-api-client-token": "client-token"},
            {},
        ),
    ],
)
def test_its_receiver_gets_the_event_with_the_headers_it_wants(
    receiver: Receiver, slug, secrets, headers, query
):
    receiver.script("/in", Behaviour(status=202))
    preset = preset_of(slug)
    outcome = events.send(
        KIND, events.failed(), events.target(KIND, filled(preset, secrets, receiver.url("/in")))
    )
    assert outcome.result is Result.DELIVERED
    (request,) = receiver.requests
    assert {name: request.header(name) for name in headers} == headers
    assert request.query == query
    assert json.loads(request.body) == events.failed()


def test_a_preset_that_does_not_exist_is_none():
    assert preset_of("fax") is None
