"""What every kind that is not the webhook keeps, whatever it is. A kind joins by a line in SAMPLES."""

import copy
import dataclasses
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.contrib.staticfiles import finders

from cii_project.configuration.applying import COMMON_KEYS
from integrations import services
from integrations.auth.parameters import secret_texts
from integrations.nested_values import value_at
from integrations.target_data import AttemptRequest, CleanedDocument, InvalidDocument
from integrations.targets import KINDS
from integrations.transport.results import Result
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver, Script

ROOT = Path(__file__).parent.parent.parent.parent
PEM = (
    rsa.generate_private_key(65537, 2048)
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    .decode()
)
AUTHORITY = trustme.CA().cert_pem.bytes().decode()
GUID = "aaaaaaaa-0000-4000-8000-000000000001"
WEBHOOK = {
    "url": "https://x.example.com/",
    "authorization": {"type": "api_key", "name": "x-key", "value": "secret"},
}
# “{here}” stands for the URL of a local receiver that answers every path alike.
SAMPLES: dict[str, list[dict[str, Any]]] = {
    "slack": [
        {"mode": "webhook", "url": "{here}/hook?key=secret-in-the-url"},
        {"mode": "bot", "token": "xoxb-secret-token", "channel": "#identity", "api_url": "{here}/api"},
    ],
    "teams": [{"url": "{here}/hook?sig=secret-in-the-url"}],
    "webex": [{"token": "secret-token", "room_id": "ROOM", "api_url": "{here}/v1"}],
    "email": [
        {
            "host": "127.0.0.1", "port": 1, "security": "tls", "login": "password", "username": "robot",
            "password": "secret-password", "sender": "a@example.com", "to": ["b@example.com"],
        }
    ],
    "jira": [{"url": "{here}", "email": "r@example.com", "api_token": "secret-token", "project": "SEC"}],
    "servicenow": [{"url": "{here}", "username": "robot", "password": "secret-password"}],
    "pagerduty": [{"routing_key": "secretsecretsecretsecretsecretse", "api_url": "{here}"}],
    "splunk": [{"url": "{here}", "token": "secret-token"}],
    "sentinel": [
        {
            "tenant_id": GUID, "client_id": GUID, "client_secret": "secret-of-the-client", "endpoint": "{here}",
            "rule_id": "dcr-" + "0" * 32, "login_url": "{here}",
        }
    ],
    "snowflake": [
        {
            "account": "ORG-ACC", "user": "robot", "private_key": PEM, "warehouse": "W", "database": "D",
            "url": "{here}",
        }
    ],
    "sendgrid": [{"api_key": "SG.secret-api-key", "sender": "a@example.com", "to": ["b@example.com"], "api_url": "{here}"}],
    "mailgun": [
        {
            "domain": "mg.example.com", "api_key": "secret-api-key", "sender": "a@example.com", "to": ["b@example.com"],
            "api_url": "{here}",
        }
    ],
    "msgraph": [
        {
            "tenant_id": GUID, "client_id": GUID, "client_secret": "secret-of-the-client", "sender": "a@example.com",
            "to": ["b@example.com"], "api_url": "{here}", "login_url": "{here}",
        }
    ],
    "googlechat": [{"url": "{here}/v1/spaces/A/messages?key=k&token=secret-in-the-url"}],
    "eventbridge": [
        {
            "region": "eu-central-1", "access_key_id": "AKIAIOSFODNN7EXAMPLE", "secret_access_key": "secret-access-key",
            "endpoint": "{here}",
        }
    ],
    "file": [{"destination": "file", "file_name": "x.jsonl"}, {"destination": "stdout"}],
}  # fmt: skip
CASES = [(KINDS[slug], sample) for slug, samples in SAMPLES.items() for sample in samples]
NAMES = [f"{slug}-{number}" for slug, samples in SAMPLES.items() for number, _ in enumerate(samples)]
every_kind = pytest.mark.parametrize(("kind", "sample"), CASES, ids=NAMES)
over_http = pytest.mark.parametrize(
    ("kind", "sample"),
    [case for case in CASES if "{here}" in json.dumps(case[1])],
    ids=[name for name, case in zip(NAMES, CASES, strict=True) if "{here}" in json.dumps(case[1])],
)

WITH_ADDRESS = [
    (kind, sample)
    for kind, sample in CASES
    if any("{here}" in str(sample.get(f.path)) and not (f.secret or f.sealed) for f in kind.form_fields)
]


def document(sample: dict[str, Any], receiver: Receiver | None = None) -> dict[str, Any]:
    here = receiver.url("") if receiver else "https://vendor.example.com"
    return json.loads(json.dumps(sample).replace("{here}", here))


def answering(receiver: Receiver, behaviour: Script | Behaviour) -> None:
    """Every path answers alike, except Entra's, which issues a token."""
    token = Behaviour(body=b'{"access_token":"the-access-token","token_type":"Bearer","expires_in":600}')
    receiver.script(f"/{GUID}/oauth2/v2.0/token", token)
    receiver.script_the_rest(behaviour)


def test_every_kind_but_the_webhook_has_a_sample_a_page_and_a_logo():
    assert set(SAMPLES) == set(KINDS) - {"webhook"}
    for slug, samples in SAMPLES.items():
        assert samples
        assert (ROOT / "docs/targets" / f"{slug}.md").is_file()
        assert "<svg" in Path(finders.find(KINDS[slug].logo)).read_text()


@every_kind
def test_it_says_what_a_form_needs_to_know(kind, sample):
    assert kind.form_fields
    paths = [field.path for field in kind.form_fields]
    assert len(paths) == len(set(paths))
    assert not set(paths) & set(COMMON_KEYS), "in a form and in a file these are the target's own"
    for field in kind.form_fields:
        assert field.label
        assert field.widget != "select" or field.choices
        if field.when:
            assert field.when[0] in paths[: paths.index(field.path)], "a condition names an earlier field"


@every_kind
def test_its_document_round_trips_through_a_form_that_never_shows_a_secret(kind, sample):
    first = kind.clean(document(sample))
    assert kind.clean(copy.deepcopy(first.settings), first) == first


@every_kind
def test_each_secret_is_asked_for_where_none_is_stored(kind, sample):
    first = kind.clean(document(sample))
    secret = {
        field.path for field in kind.form_fields if field.secret and value_at(first.secrets, field.path)
    }
    assert {
        field.path for field in kind.form_fields if field.secret and value_at(first.settings, field.path)
    } == set()
    if not secret:
        assert kind.slug == "file" or kind.sealed_urls
        return
    with pytest.raises(InvalidDocument) as caught:
        kind.clean(copy.deepcopy(first.settings))
    assert set(caught.value.errors) == secret


@every_kind
def test_a_stored_secret_does_not_follow_an_edit_to_another_address(kind, sample):
    """Neither another host nor another path or port of it, and none that was the default until now."""
    first = kind.clean(document(sample))
    for field in kind.form_fields:
        for value in OTHERS.get("port" if field.path == "port" else field.widget, ()):
            if field.sealed or (field.when and value_at(first.settings, field.when[0]) not in field.when[1]):
                continue
            with pytest.raises(InvalidDocument) as caught:
                kind.clean(copy.deepcopy(first.settings) | {field.path: value}, first)
            assert set(caught.value.errors) == asked_again(kind, first)
            assert all("Enter it again" in text for text in caught.value.errors.values())


OTHERS = {
    "url": [
        "https://evil.example",
        "https://vendor.example.com/another/path",
        "https://vendor.example.com:444",
    ],
    "host": ["evil.example"],
    "port": [4465],
}


def asked_again(kind, stored):
    return {field.path for field in kind.form_fields if field.secret and value_at(stored.secrets, field.path)}


@every_kind
def test_a_stored_secret_does_not_follow_an_edit_to_another_authority(kind, sample):
    if not any(field.path == "tls.ca" for field in kind.form_fields):
        return
    first = kind.clean(document(sample))
    for before, now in (("", AUTHORITY), (AUTHORITY, ""), (AUTHORITY, AUTHORITY * 2)):
        stored = kind.clean(document(sample) | {"tls": {"ca": before}})
        with pytest.raises(InvalidDocument) as caught:
            kind.clean(copy.deepcopy(first.settings) | {"tls": {"ca": now}}, stored)
        assert set(caught.value.errors) == asked_again(kind, first)
        kept = kind.clean(copy.deepcopy(first.settings) | {"tls": {"ca": before and before + "\n"}}, stored)
        assert kept.secrets == stored.secrets


@every_kind
def test_a_secret_that_cannot_be_opened_is_asked_for_with_the_reason(kind, sample):
    first = kind.clean(document(sample))
    lost = CleanedDocument(first.settings, {}, "It cannot be opened.")
    if not asked_again(kind, first):
        return
    with pytest.raises(InvalidDocument) as caught:
        kind.clean(copy.deepcopy(first.settings), lost)
    assert caught.value.errors == dict.fromkeys(asked_again(kind, first), "It cannot be opened.")
    assert kind.clean(document(sample), lost) == first


@pytest.mark.parametrize(("kind", "sample"), WITH_ADDRESS)
def test_a_stored_secret_does_not_follow_an_edit_to_http(kind, sample):
    """On the same host and port: only the scheme tells that the secret would travel in clear."""
    first = kind.clean(json.loads(json.dumps(sample).replace("{here}", "https://localhost:8443")))
    plain = json.loads(json.dumps(first.settings).replace("https://localhost", "http://localhost"))
    assert plain != first.settings
    with pytest.raises(InvalidDocument) as caught:
        kind.clean(plain, first)
    assert set(caught.value.errors) & {field.path for field in kind.form_fields if field.secret}


@every_kind
@pytest.mark.parametrize(
    "wrong", [None, [], "x", 5, {"unknown": 1}, {"timeouts": []}, {"url": 5, "mode": 7, "to": 3}]
)
def test_whatever_it_is_given_it_answers_with_errors_by_path(kind, sample, wrong):
    with pytest.raises(InvalidDocument) as caught:
        kind.clean(wrong)
    assert all(isinstance(path, str) and text.strip() for path, text in caught.value.errors.items())


@every_kind
@pytest.mark.parametrize(
    "value", [None, "", 0, True, [], {}, ["x"], {"a": 1}, "\x00", "\ud800", "x" * 5000, 1e400]
)
def test_no_value_of_any_key_is_more_than_an_error(kind, sample, value):
    good = document(sample)
    for key in good:
        with suppress(InvalidDocument):
            cleaned = kind.clean(good | {key: value})
            json.dumps([cleaned.settings, cleaned.secrets], allow_nan=False).encode()


@over_http
@pytest.mark.django_db
@pytest.mark.parametrize("status", [500, 400])
def test_its_secrets_appear_nowhere(kind, sample, receiver, caplog, status):
    """Not in what is described, represented, stored, logged or kept of an attempt, though the receiver sends all back."""
    caplog.set_level(logging.DEBUG)
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    to = services.target_of(integration)
    answering(
        receiver,
        lambda r: Behaviour(status=status, body=r.raw, headers=[("X-Echo", r.header("Authorization") or "")]),
    )
    rendered = kind.render(events.failed(), to)
    outcome = kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)
    assert receiver.requests
    shown = "\n".join(
        [
            repr(kind.describe(integration.settings)),
            json.dumps(integration.settings),
            integration.sealed,
            repr(to),
            repr(kind.clean(document(sample, receiver))),
            kind.show(rendered.body, to),
            rendered.body.decode(),
            repr(outcome),
            caplog.text,
        ]
    )
    secrets = [*secret_texts(to.secrets), "secret-in-the-url", "the-access-token"]
    assert [secret for secret in secrets if secret in shown or json.dumps(secret)[1:-1] in shown] == []


@every_kind
@pytest.mark.parametrize("count", [0, 1, 50, 10_000])
def test_it_renders_within_its_limit_and_always_the_same(kind, sample, count):
    """A kind that writes one message names the first users; the others get what planning cuts for them."""
    to = dataclasses.replace(events.target(kind, document(sample)), kind=kind.slug)
    people = events.users(count if kind.one_message else min(count, kind.users_per_request(to) or 900))
    event = events.failed(people)
    rendered = kind.render(event, to)
    assert 0 < len(rendered.body) <= kind.max_bytes
    assert kind.render(event, to) == rendered
    if kind.one_message and count == 10_000:
        assert b"more" in rendered.body


@every_kind
def test_it_renders_each_sort_of_event(kind, sample):
    to = events.target(kind, document(sample))
    for event in (
        events.connectivity(),
        events.direct(message="Hi"),
        events.resolved(),
        events.failed(message="Hi"),
    ):
        assert 0 < len(kind.render(event, to).body) <= kind.max_bytes


@over_http
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("behaviour", "result", "status"),
    [
        (Behaviour(status=429, headers=[("Retry-After", "30")]), Result.RETRYABLE, 429),
        (Behaviour(status=500), Result.RETRYABLE, 500),
        (Behaviour(status=503, body=b"<html>Bad gateway</html>"), Result.RETRYABLE, 503),
        (Behaviour(status=404), Result.PERMANENT, 404),
        (Behaviour(status=302, headers=[("Location", "/x")]), Result.PERMANENT, 302),
        (Behaviour(delay=2), Result.RETRYABLE, None),
        (Behaviour(close="reset"), Result.RETRYABLE, None),
        (Behaviour(status=500, body=b"{", length=50, close="half"), Result.RETRYABLE, 500),
    ],
)
def test_an_answer_becomes_the_right_outcome(kind, sample, receiver, behaviour, result, status):
    # Impatient only with those who never answer: a busy machine must not look like one of them.
    quick = document(sample, receiver) | {"timeouts": {"connect": 5, "answer": 5 if status else 0.3}}
    integration = services.save_integration(name="Sample", kind=kind.slug, document=quick).integration
    to = services.target_of(integration)
    answering(receiver, behaviour)
    rendered = kind.render(events.failed(), to)
    outcome = kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)
    assert (outcome.result, outcome.status) == (result, status)
    assert outcome.reason
    assert outcome.retry_after == (30 if status == 429 else None)
    assert outcome.latency_ms < 4900


@over_http
@pytest.mark.django_db
@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 5\r\nContent-Length: 4\r\n\r\nbad!",
        b"X-A: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
    ids=["contradictory", "long header"],
)
@pytest.mark.parametrize(
    ("status", "result"),
    [
        (302, Result.PERMANENT),
        (400, Result.PERMANENT),
        (401, Result.PERMANENT),
        (404, Result.PERMANENT),
        (410, Result.GONE),
        (429, Result.RETRYABLE),
        (503, Result.RETRYABLE),
    ],
)
def test_a_refusal_counts_by_its_status_however_it_goes_on(kind, sample, receiver, status, result, rest):
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    to = services.target_of(integration)
    answering(receiver, Behaviour(raw=b"HTTP/1.1 %d X\r\nRetry-After: 600\r\n%s" % (status, rest)))
    rendered = kind.render(events.failed(), to)
    outcome = kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)
    assert (outcome.result, outcome.status, outcome.retry_after) == (result, status, 600)
    assert outcome.reason


@over_http
@pytest.mark.django_db
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"{}",
        b'{"ok":1,"issues":5,"result":7,"error":[],"permissions":5,"errors":5,"errorMessages":5,"message":[]}',
        b'{"ok":false,"error":5,"issues":[5],"result":[5],"permissions":{"CREATE_ISSUES":5},"transitions":[5]}',
        b'{"ok":false,"error":{"code":5},"issues":[{}],"result":[{}],"user":5,"errors":[{}],"code":[]}',
        b"\xff\xfe",
        b"[" * 9000,
    ],
)
@pytest.mark.parametrize("status", [200, 422])
def test_no_answer_makes_it_fall_over(kind, sample, receiver, status, body):
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    to = services.target_of(integration)
    answering(receiver, Behaviour(status=status, body=body))
    for event in (events.failed(), events.resolved(), events.connectivity()):
        rendered = kind.render(event, to)
        outcome = kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)
        assert outcome.result in (Result.DELIVERED, Result.PERMANENT, Result.RETRYABLE)
        assert outcome.reason


# The shapes of the vendors' errors, with nulls for their texts.
NULL_MESSAGES = [
    {"error": {"code": None, "message": None, "detail": None}, "status": "failure"},
    {"error": {"code": "X", "message": None}},
    {"errorMessages": [None], "errors": {"field": None}},
    {"errors": [{"message": None, "field": None}], "message": None},
    {"errors": [None], "message": None, "text": None, "code": None},
    {"__type": None, "message": None, "Message": None},
    {"__type": "x#X", "message": None},
    {"ok": False, "error": None},
]


@over_http
@pytest.mark.django_db
@pytest.mark.parametrize("body", NULL_MESSAGES, ids=json.dumps)
def test_a_reason_has_no_null_of_the_vendor(kind, sample, receiver, body):
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    to = services.target_of(integration)
    rendered = kind.render(events.failed(), to)
    for status in (200, 202, 400, 401, 403, 404, 408, 422, 500):
        answering(receiver, Behaviour(status=status, body=json.dumps(body).encode()))
        outcome = kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)
        assert "None" not in outcome.reason
        assert outcome.reason.strip(" :")


PAGE = b"<!DOCTYPE html><html><title>Guest network</title><body>Please sign in</body></html>"


@over_http
@pytest.mark.django_db
@pytest.mark.parametrize(
    "page",
    [
        Behaviour(body=PAGE, headers=[("Content-Type", "text/html")]),
        Behaviour(body=b"\xef\xbb\xbf\r\n " + PAGE),
        Behaviour(body=PAGE + b"x" * 100_000),
        Behaviour(body=PAGE, length=400, hang_up=True),
    ],
    ids=["whole", "byte order mark", "long", "half"],
)
@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_page_of_html_is_never_a_delivery(kind, sample, receiver, page, status):
    """Such as the sign-in page of a network, or a check for robots."""
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    to = services.target_of(integration)
    answering(receiver, dataclasses.replace(page, status=status))
    for event in (events.failed(), events.resolved(), events.connectivity()):
        rendered = kind.render(event, to)
        outcome = kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)
        assert (outcome.result, outcome.status) == (Result.RETRYABLE, status)
        assert f"answered {status} with a page of HTML" in outcome.reason
        assert "Please sign in" in outcome.body


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("slug", "number", "status", "body"),
    [
        ("slack", 0, 200, b"ok"),
        ("slack", 0, 200, b""),
        ("slack", 1, 200, b'{"ok":true,"ts":"1"}'),
        ("teams", 0, 202, b""),
        ("teams", 0, 200, b"1"),
        ("teams", 0, 200, b'{"messageId":"1"}'),
        ("webex", 0, 200, b'{"id":"1"}'),
        ("googlechat", 0, 200, b'{"name":"spaces/A/messages/1"}'),
        ("splunk", 0, 200, b'{"text":"Success","code":0}'),
        ("splunk", 0, 200, b""),
        ("sendgrid", 0, 202, b""),
        ("mailgun", 0, 200, b'{"id":"<1@mg.example.com>","message":"Queued. Thank you."}'),
        ("msgraph", 0, 202, b""),
        ("pagerduty", 0, 202, b'{"status":"success","dedup_key":"x"}'),
        ("sentinel", 0, 204, b""),
        ("snowflake", 0, 200, b'{"code":"090001","statementHandle":"1"}'),
        ("snowflake", 0, 200, b""),
        ("eventbridge", 0, 200, b'{"FailedEntryCount":0,"Entries":[{"EventId":"1"}]}'),
    ],
)
def test_a_documented_answer_is_a_delivery_without_a_doubt(receiver, slug, number, status, body):
    outcome = answered(receiver, slug, number, Behaviour(status=status, body=body))
    assert outcome.result is Result.DELIVERED
    assert "not sent again" not in outcome.reason


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("slug", "number", "status", "body", "said"),
    [
        ("slack", 0, 200, b"hello", "Slack answers “ok”"),
        ("slack", 1, 202, b"{}", "no “ok”"),
        ("webex", 0, 202, b"{}", "no “id”"),
        ("googlechat", 0, 202, b"{}", "no “name”"),
        ("splunk", 0, 200, b"ok", "no “code”"),
        ("sendgrid", 0, 200, b"", "answers 202, but this was 200"),
        ("mailgun", 0, 202, b"{}", "no “id”"),
        ("msgraph", 0, 200, b"", "answers 202, but this was 200"),
        ("pagerduty", 0, 201, b"{}", "it answers 202"),
        ("sentinel", 0, 202, b"", "answers 204, but this was 202"),
        ("eventbridge", 0, 202, b"{}", "no “Entries”"),
    ],
)
def test_another_answer_than_the_vendor_s_is_said(receiver, slug, number, status, body, said):
    outcome = answered(receiver, slug, number, Behaviour(status=status, body=body))
    assert outcome.result is Result.DELIVERED
    assert outcome.reason.startswith(f"Answered {status}. ")
    assert said in outcome.reason
    assert outcome.reason.endswith("It is not sent again.")


@pytest.mark.django_db
@pytest.mark.parametrize(("status", "body"), [(200, b"ok"), (200, b"{}"), (201, b""), (202, b""), (204, b"")])
def test_rows_that_another_answered_for_are_merged_again(receiver, status, body):
    """A second MERGE of the same rows adds nothing."""
    outcome = answered(receiver, "snowflake", 0, Behaviour(status=status, body=body))
    assert outcome.result is Result.RETRYABLE


def answered(receiver, slug, number, behaviour):
    """The outcome of a failed event to the sample, whose every request is answered alike."""
    kind, sample = KINDS[slug], SAMPLES[slug][number]
    integration = services.save_integration(
        name="Sample", kind=slug, document=document(sample, receiver)
    ).integration
    to = services.target_of(integration)
    answering(receiver, behaviour)
    rendered = kind.render(events.failed(), to)
    return kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)


# Advice for a refusal with 400.
REFUSED = {
    "webex": "Webex refused the message.",
    "googlechat": "Google Chat refused the message or the URL.",
    "teams": "The workflow refused the message: make it from the template “When a Teams webhook request is received”.",
    "pagerduty": "PagerDuty refused the event.",
    "splunk": "Splunk refused the events.",
    "sentinel": (
        "The data collection rule refused the rows. Does its stream have the columns of the documentation?"
    ),
    "eventbridge": "EventBridge did not take the event.",
    "sendgrid": "SendGrid refused the message.",
    "mailgun": "Mailgun refused the message.",
    "msgraph": "Microsoft Graph refused the message.",
}
NULLS = b'{"ok":false,"error":{"code":null,"message":null},"errors":[null],"message":null,"text":null,"__type":null}'
ERROR = b'{"code":"BadRequest","message":"No such field"}'
ERROR_WITHOUT_MESSAGE = b'{"error":{"code":"BadRequest","message":null}}'


@pytest.mark.django_db
@pytest.mark.parametrize("slug", REFUSED)
@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (Behaviour(status=400), "The answer was 400."),
        (Behaviour(status=400, body=b" Bad gateway key\n"), "The answer was 400: Bad gateway key"),
        (
            Behaviour(status=400, body=b"<html><head><title>Bad Request</title></head><body>x</body></html>"),
            "The answer was 400: Bad Request",
        ),
        (Behaviour(status=400, body=b"<p>no title"), "The answer was 400."),
        (Behaviour(status=400, body=NULLS), f"The answer was 400: {NULLS.decode()}"),
        (Behaviour(status=400, body=b"[]"), "The answer was 400: []"),
    ],
    ids=["empty", "text", "page", "page without a title", "nulls", "list"],
)
def test_a_refusal_without_the_vendor_s_words_says_what_was_answered(receiver, slug, answer, words):
    outcome = answered(receiver, slug, 0, answer)
    assert (outcome.result, outcome.reason) == (Result.PERMANENT, f"{REFUSED[slug]} {words}")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("slug", "body", "words"),
    [
        ("webex", b'{"message":"No such space"}', "No such space"),
        ("googlechat", b'{"error":{"message":"No such field"}}', "No such field"),
        ("teams", ERROR_WITHOUT_MESSAGE, "(BadRequest)"),
        ("teams", b'{"error":{"code":null,"message":"No such field"}}', "No such field"),
        ("pagerduty", b'{"errors":["one",null,"two"]}', "one; two"),
        ("pagerduty", b'{"errors":"no key"}', "no key"),
        ("pagerduty", b'{"errors":[],"message":"Event object is invalid"}', "Event object is invalid"),
        ("pagerduty", b'{"errors":[{"field":"x"}]}', 'The answer was 400: {"errors":[{"field":"x"}]}'),
        ("pagerduty", b'{"errors":[NaN]}', 'The answer was 400: {"errors":[NaN]}'),
        ("splunk", b'{"text":"No data","code":5}', "(No data)"),
        ("sentinel", b'{"error":' + ERROR + b"}", "BadRequest: No such field"),
        ("sentinel", ERROR_WITHOUT_MESSAGE, "BadRequest"),
        ("sentinel", b'{"error":{"message":"No such field"}}', "No such field"),
        ("sendgrid", b'{"errors":[{"message":"one"},{"message":null},{"message":"two"}]}', "one; two"),
        ("mailgun", b'{"message":"No such field"}', "No such field"),
        ("msgraph", b'{"error":' + ERROR + b"}", "BadRequest: No such field"),
        ("msgraph", ERROR_WITHOUT_MESSAGE, "BadRequest"),
        ("msgraph", b'{"error":{"code":"\\ud800","message":-Infinity}}', "?"),
        ("msgraph", b'{"error":{"code":null,"message":"No such field"}}', "No such field"),
    ],
)
def test_a_refusal_says_the_vendor_s_words_and_no_empty_ones(receiver, slug, body, words):
    outcome = answered(receiver, slug, 0, Behaviour(status=400, body=body))
    assert outcome.result is Result.PERMANENT
    assert outcome.reason.removeprefix(f"{REFUSED[slug]} ") == words


@pytest.mark.django_db
@pytest.mark.parametrize("slug", REFUSED)
def test_a_text_that_broke_off_is_not_quoted(receiver, slug):
    """Its end may be a part of a secret, which masking does not find."""
    broken = Behaviour(status=400, body=b"You sent a secr" * 100, close="half")
    outcome = answered(receiver, slug, 0, broken)
    assert outcome.reason.startswith(f"{REFUSED[slug]} The answer was 400. ")
    assert "secr" not in outcome.reason


# Their first request reads, so what it answers is no sign that anything was taken.
READS_FIRST = {"jira", "servicenow", "snowflake"}


@over_http
@pytest.mark.django_db
@pytest.mark.parametrize(
    "answer",
    [
        Behaviour(body=b""),
        Behaviour(body=b"ok"),
        Behaviour(body=b"{}"),
        Behaviour(status=202, body=b"{}"),
        Behaviour(body=b'{"id":"1","ok":true,"name":"x"}', length=400, close="half"),
        Behaviour(body=b'{"text":"' + b"x" * 200_000 + b'"}'),
        Behaviour(raw=b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 2, 3\r\n\r\nok"),
    ],
    ids=["empty", "text", "object", "202", "half", "long", "contradictory"],
)
def test_a_message_that_was_answered_2xx_is_not_sent_again(kind, sample, receiver, answer):
    if kind.slug in READS_FIRST:
        pytest.skip("It reads before it writes; its own tests have its answers.")
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    to = services.target_of(integration)
    answering(receiver, answer)
    rendered = kind.render(events.failed(), to)
    outcome = kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)
    assert outcome.result is Result.DELIVERED, outcome.reason


@over_http
@pytest.mark.django_db
def test_an_address_that_is_not_allowed_is_never_called(kind, sample, receiver, settings):
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    settings.ALLOWED_NETWORKS = []
    to = services.target_of(integration)
    rendered = kind.render(events.failed(), to)
    outcome = kind.send(AttemptRequest("id", rendered.body, rendered.content_type, 1_700_000_000), to)
    assert outcome.result is Result.PERMANENT
    assert receiver.requests == []
