"""A webhook's own body: what a template may make, what is refused when it is saved, what is sent."""

import json

import pytest

from integrations import services
from integrations.target_data import InvalidDocument, Target
from integrations.targets import kind_of
from integrations.targets.webhook import bodies
from integrations.templating import liquid
from integrations.templating.liquid import TemplateError
from tests.integrations import sending

WEBHOOK = kind_of("webhook")
GOOD = (
    '{"text": {{ detail.title | json }}, "kind": {{ detail_type | json }}, "people": ['
    "{% for user in users %}{{ user.login | json }}{% unless forloop.last %},{% endunless %}{% endfor %}]}"
)


def document(**body):
    return {
        "url": "https://hook.example.com/in",
        "authorization": {"type": "api_key", "name": "x-token", "value": "sesame"},
        "body": body,
    }


def target(document):
    cleaned = WEBHOOK.clean(document)
    return Target(1, "Test", "1c2d3e4f", "webhook", cleaned.settings, cleaned.secrets)


def rendered(event, **body):
    return json.loads(WEBHOOK.render(event, target(document(**body))).body)


def test_without_a_template_the_body_is_the_contracts_event():
    event = bodies.samples()[0]
    assert rendered(event) == event
    assert "body" not in WEBHOOK.clean(document()).settings


@pytest.mark.parametrize("event", bodies.samples(), ids=lambda event: event["detail-type"])
def test_a_template_makes_the_body_of_every_kind_of_event(event):
    people = {"FAILED_CHECK": 2, "CHECK_RESOLVED": 2, "DIRECT_MESSAGE": 1, "WebhookTest": 0}
    made = rendered(event, template=GOOD)
    assert made["text"] == event["detail"]["title"]
    assert made["kind"] == event["detail-type"]
    assert len(made["people"]) == people[event["detail-type"]]


def test_details_are_there_by_name_decoded():
    template = "{% assign first = users | first %}[{{ first.details.createdAt | json }}, {{ first.details.nope | json }}]"
    assert rendered(bodies.samples()[0], template=template) == ["2025-01-31T06:00:00Z", None]


def test_no_login_breaks_out_of_its_json():
    for login in ('a"b', "a\\", "a\nb", "{{ 7 }}", "</script>", "\u2028"):
        assert rendered(bodies.samples(login)[0], template=GOOD)["people"][0] == login


def test_body_parameters_join_an_object_and_no_list():
    given = document(template=GOOD) | {"parameters": {"body": {"team": "iam"}}}
    event = bodies.samples()[0]
    assert json.loads(WEBHOOK.render(event, target(given)).body)["team"] == "iam"
    given["body"] = {"template": "[{{ detail.title | json }}]"}
    assert json.loads(WEBHOOK.render(event, target(given)).body) == ["No MFA Configured"]


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ('{"text": {{ detail.title }}}', "renders no valid JSON"),
        ('{"text": "{{ users[0].login }}"}', "renders no valid JSON"),
        ('{"text": {{ nope | json }}}', "There is no variable “nope” here."),
        ('{"text": {{ detail.title | json }', "Line 1"),
        ("{{ detail.title | json }}", "neither an object"),
        ('{"n": NaN}', "renders no valid JSON"),
        ('{% include "x" %}', "Line 1"),
        ("[{% for i in (1..100000) %}1,{% endfor %}1]", "loop"),
        ("x" * 20_000, "longer than"),
    ],
)
def test_what_makes_no_json_is_refused_when_it_is_saved(template, problem):
    with pytest.raises(InvalidDocument) as caught:
        WEBHOOK.clean(document(template=template))
    assert list(caught.value.errors) == ["body.template"]
    assert problem in caught.value.errors["body.template"]


@pytest.mark.parametrize("most", [0, 10_001, True, "1", 1.5])
def test_a_number_of_users_that_makes_no_sense_is_refused(most):
    with pytest.raises(InvalidDocument, match="whole number from 1"):
        WEBHOOK.clean(document(users_per_request=most))


def test_what_only_some_events_break_on_fails_when_it_is_sent_and_says_why():
    template = '{"first": {% if detail.batch.totalUsers == 77 %}oops{% else %}1{% endif %}}'
    event = bodies.samples()[0]
    event["detail"]["batch"]["totalUsers"] = 77
    with pytest.raises(TemplateError, match="renders no valid JSON"):
        rendered(event, template=template)


def test_the_preview_is_the_body_of_an_event_about_two_users():
    assert json.loads(bodies.preview_body(GOOD))["people"] == ["kim@example.com", "lee@example.com"]


def test_an_endless_template_is_cut_off():
    text = "{% for i in (1..40000) %}{% for j in (1..40000) %}x{% endfor %}{% endfor %}"
    with pytest.raises(TemplateError):
        liquid.render_template(liquid.parse_template(text, liquid.BODY), {})


@pytest.mark.django_db
def test_a_stored_template_is_sent_as_compact_json(receiver):
    given = document(template='{\n  "text":  {{ detail.title | json }}\n}') | {"url": receiver.url("/hook")}
    saved = services.save_integration(name="own", kind="webhook", document=given)
    sending.probe(saved.integration, bodies.samples()[-1])
    assert receiver.requests[0].body == b'{"text":"Webhook connectivity test"}'
    kept = services.document_of(saved.integration)
    again = services.save_integration(
        name="own", kind="webhook", document=kept, integration=saved.integration
    )
    assert again.changed is False
