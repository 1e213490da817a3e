"""A webhook's own body in its form: written, previewed, refused beside its field, kept."""

import pytest

from integrations.models import Integration
from integrations.targets.webhook.bodies import samples
from tests.console.checks_world import HTMX, client_of, text

pytestmark = pytest.mark.django_db

ADD = "/integrations/add/webhook/"
PREVIEW = "/integrations/body-preview/"
TEMPLATE = '{"title": {{ detail.title | json }}}'
GIVEN = {
    "name": "own",
    "url": "http://127.0.0.1:9/hook",
    "authorization": "basic",
    "username": "cii",
    "password": "s3cret-pass",
    "template": TEMPLATE,
    "users_per_request": "1",
}


def test_template_and_number_of_users_are_saved_shown_and_kept():
    client = client_of("Engineer")
    assert client.post(ADD, GIVEN).status_code == 302
    made = Integration.objects.get()
    assert made.settings["body"] == {"template": TEMPLATE, "users_per_request": 1}
    page = text(client.get(f"/integrations/{made.pk}/"))
    assert "a template of its own" in page
    assert "1 at most" in page
    form = text(client.get(f"/integrations/{made.pk}/edit/"))
    assert "{{ detail.title | json }}" in form
    client.post(
        f"/integrations/{made.pk}/edit/", GIVEN | {"password": "", "template": "", "users_per_request": ""}
    )
    made.refresh_from_db()
    assert "body" not in made.settings


def test_a_template_that_makes_no_json_is_refused_beside_its_field():
    answer = client_of("Engineer").post(ADD, GIVEN | {"template": '{"title": {{ detail.title }}}'})
    assert "The template renders no valid JSON" in text(answer)
    assert not Integration.objects.exists()


def test_the_preview_shows_what_becomes_of_a_sample_and_stores_nothing():
    client = client_of("Engineer")
    shown = text(client.post(PREVIEW, {"template": TEMPLATE}, headers=HTMX))
    assert samples()[0]["detail"]["title"] in shown
    wrong = text(client.post(PREVIEW, {"template": "<b>{{ detail.title }}"}, headers=HTMX))
    assert "The template renders no valid JSON" in wrong
    assert "<b>" not in wrong
    assert "the event of the contract" in text(client.post(PREVIEW, {"template": " "}, headers=HTMX))
    assert client_of("Operator").post(PREVIEW, {"template": TEMPLATE}, headers=HTMX).status_code == 403
