"""No template holds a request for longer than 2.5 seconds, no matter who wrote it and wherever it is previewed or saved.

TEMPLATES: how many generated ones are tried, TEMPLATES_FROM: the number of the first.
"""

import json
import os
import re
import time

import pytest
from django.utils import timezone

from checks.models import Check
from integrations.models import Integration
from integrations.targets.webhook.bodies import samples
from integrations.templating import template_process
from notifications.models import Delivery, Event, MessageTemplate
from notifications.rendering.render import UNRENDERED
from notifications.services import replay_matching
from tests.conftest import WAIT_SECONDS
from tests.console.checks_world import HTMX, client_of, failing_run, webhook
from tests.integrations.hostile_templates import template
from tests.integrations.test_template_process import SLOW

pytestmark = pytest.mark.django_db
COUNT = os.environ.get("TEMPLATES", "")
SLOT = {"kind": "webhook", "audience": "list"}
MESSAGES = "/checks/no-mfa/messages"
BODY = "/integrations/body-preview/"
GIVEN = {
    "name": "own",
    "url": "http://127.0.0.1:9/hook",
    "authorization": "basic",
    "username": "cii",
    "password": "s3cret-pass",
}


def post(client, url, data):
    """The answer's text and how long the request was held."""
    began = time.monotonic()
    answer = client.post(url, data, headers=HTMX)
    held = time.monotonic() - began
    assert answer.status_code in (200, 302), url
    return answer.content.decode(), held


@pytest.fixture
def engineer(monkeypatch):
    failing_run("kim@example.com")
    template_process.render_in_process("", "strict", [{}])  # started
    client = client_of("Engineer")
    client.get(MESSAGES)  # what a process does once
    monkeypatch.setattr(template_process, "WAIT_SECONDS", WAIT_SECONDS)
    return client


def test_a_slow_template_holds_none_of_the_requests_that_render_it(engineer):
    target = webhook("soar", "http://127.0.0.1:9/")
    for url, data in (
        (f"{MESSAGES}/preview", {**SLOT, "text": SLOW}),
        (MESSAGES, {**SLOT, "text": SLOW}),
        (f"{MESSAGES}/test/{target.id}", {**SLOT, "text": SLOW}),
        (BODY, {"template": SLOW}),
        ("/integrations/add/webhook/", {**GIVEN, "template": SLOW}),
    ):
        said, held = post(engineer, url, data)
        assert held < 2.5, url
        assert "takes longer than" in said, url
    assert not MessageTemplate.objects.exists()
    assert not Delivery.objects.exists()
    assert Integration.objects.count() == 1


def test_a_preview_that_finds_no_process_ready_asks_again_by_itself(engineer, monkeypatch):
    monkeypatch.setattr(template_process, "WAIT_SECONDS", 0.0)
    pool = template_process._Pool()
    monkeypatch.setattr(template_process, "_pool", lambda _: pool)
    try:
        said, _ = post(engineer, f"{MESSAGES}/preview", {**SLOT, "text": "Hello"})
    finally:
        pool.close()
    assert "Rendering…" in said
    assert f'hx-post="{MESSAGES}/preview"' in said
    assert "alert" not in said


@pytest.mark.parametrize("where", ["", "?in=dialog"])
def test_a_saved_template_that_is_slow_holds_no_test(engineer, where):
    target = webhook("soar", "http://127.0.0.1:9/")
    target.settings["body"] = {"template": SLOW}
    target.save()
    said, held = post(engineer, f"/integrations/{target.id}/test/{where}", {})
    assert held < 2.5
    assert re.search(
        r"Not sent\. The template of the body cannot be rendered: .*takes longer than 1\.5 seconds", said
    )
    assert not Delivery.objects.exists()


def test_saved_templates_that_are_slow_hold_no_replay(engineer, monkeypatch):
    target = webhook("soar", "http://127.0.0.1:9/")
    now = timezone.now()
    event = Event.objects.create(origin="current", check_ref=Check.objects.get(slug="no-mfa"), created_at=now)
    for number in range(6):
        Delivery.objects.create(
            event=event, batch=number,
            created_at=now, integration=target, state="dead", content_type=UNRENDERED,
            body=json.dumps(samples()[0]).encode(),
        )  # fmt: skip
    target.settings["body"] = {"template": SLOW}
    target.save()
    began = time.monotonic()
    assert replay_matching(Delivery.objects.all()) == 0
    assert time.monotonic() - began < 4


@pytest.mark.templates
@pytest.mark.skipif(not COUNT, reason="Takes minutes: set TEMPLATES to the number of templates, such as 300.")
def test_no_generated_template_holds_a_request(engineer):
    first = int(os.environ.get("TEMPLATES_FROM", "0"))
    longest, refused = {}, 0
    for number in range(first, first + int(COUNT)):
        source = template(number)
        url, data = (
            (BODY, {"template": source})
            if number % 3 == 0
            else (f"{MESSAGES}/preview", {**SLOT, "text": source})
        )
        said, longest[number] = post(engineer, url, data)
        refused += "takes longer than" in said
    slow = {number: held for number, held in longest.items() if held >= 2.5}
    assert not slow
    assert refused, "none of them tried to take long"
