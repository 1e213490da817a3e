"""What every kind that is not the webhook keeps, whatever it is. A kind joins by a line in SAMPLES."""

import copy
import dataclasses
import json
import logging
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from integrations import services
from integrations.outcomes import Result
from integrations.parameters import secret_texts
from integrations.targets import KINDS
from integrations.targets.base import InvalidDocument, Outgoing
from integrations.targets.calls import FieldsKind
from integrations.targets.fields import at
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

ROOT = Path(__file__).parent.parent.parent.parent
PEM = (
    rsa.generate_private_key(65537, 2048)
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    .decode()
)
GUID = "aaaaaaaa-0000-4000-8000-000000000001"
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
    "file": [{"destination": "file", "name": "x.jsonl"}, {"destination": "stdout"}],
}  # fmt: skip
CASES = [(KINDS[slug], sample) for slug, samples in SAMPLES.items() for sample in samples]
NAMES = [f"{slug}-{number}" for slug, samples in SAMPLES.items() for number, _ in enumerate(samples)]
every_kind = pytest.mark.parametrize(("kind", "sample"), CASES, ids=NAMES)
over_http = pytest.mark.parametrize(
    ("kind", "sample"),
    [case for case in CASES if "{here}" in json.dumps(case[1])],
    ids=[name for name, case in zip(NAMES, CASES, strict=True) if "{here}" in json.dumps(case[1])],
)


def document(sample: dict[str, Any], receiver: Receiver | None = None) -> dict[str, Any]:
    here = receiver.url("") if receiver else "https://vendor.example.com"
    return json.loads(json.dumps(sample).replace("{here}", here))


def answering(receiver: Receiver, behaviour: Behaviour) -> None:
    """Every path answers alike, but for Entra's, which hands out a token."""
    token = Behaviour(body=b'{"access_token":"the-access-token","token_type":"Bearer","expires_in":600}')
    receiver._scripts = _Everywhere(receiver, behaviour, f"/{GUID}/oauth2/v2.0/token", token)


class _Everywhere(dict):
    def __init__(self, receiver: Receiver, behaviour: Behaviour, path: str, other: Behaviour) -> None:
        super().__init__()
        receiver.script("/", behaviour)
        self.everywhere = receiver._scripts["/"]
        receiver.script(path, other)
        self[path] = receiver._scripts[path]

    def get(self, path, default=None):
        return super().get(path, self.everywhere)


def test_every_kind_but_the_webhook_has_a_sample_a_page_a_logo_and_golden_files():
    assert set(SAMPLES) == set(KINDS) - {"webhook"}
    for slug, samples in SAMPLES.items():
        assert samples
        assert (ROOT / "docs/targets" / f"{slug}.md").is_file()
        assert "<svg" in (ROOT / "static/console/logos" / f"{slug}.svg").read_text()
        assert list((ROOT / "tests/integrations/golden" / slug).glob("list.*"))


@every_kind
def test_it_says_what_a_form_needs_to_know(kind, sample):
    assert isinstance(kind, FieldsKind)
    paths = [field.path for field in kind.form_fields]
    assert len(paths) == len(set(paths))
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
    secret = {field.path for field in kind.form_fields if field.secret and at(first.secrets, field.path)}
    assert {
        field.path for field in kind.form_fields if field.secret and at(first.settings, field.path)
    } == set()
    if not secret:
        assert kind.slug == "file"
        return
    with pytest.raises(InvalidDocument) as caught:
        kind.clean(copy.deepcopy(first.settings))
    assert set(caught.value.errors) == secret


@every_kind
def test_a_stored_secret_does_not_follow_an_edit_to_another_host(kind, sample):
    first = kind.clean(document(sample))
    addresses = [
        f
        for f in kind.form_fields
        if f.widget in ("url", "host") and not f.secret and f.path in first.settings
    ]
    for field in addresses:
        evil = "evil.example" if field.widget == "host" else "https://evil.example"
        with pytest.raises(InvalidDocument) as caught:
            kind.clean(copy.deepcopy(first.settings) | {field.path: evil}, first)
        assert set(caught.value.errors) <= {f.path for f in kind.form_fields if f.secret}


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
def test_its_secrets_appear_nowhere(kind, sample, receiver, caplog):
    """Not in what is described, represented, stored, logged or kept of an attempt, though the receiver sends all back."""
    caplog.set_level(logging.DEBUG)
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    to = services.target_of(integration)
    answering(receiver, Behaviour(status=500))
    receiver._scripts.everywhere.steps = lambda r: Behaviour(
        status=500, body=r.raw, headers=[("X-Echo", r.header("Authorization") or "")]
    )
    rendered = kind.render(events.failed(), to)
    outcome = kind.send(Outgoing("id", rendered.body, rendered.content_type, 1_700_000_000), to)
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
    people = events.users(count if kind.one_message else min(count, 1000))
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
        (Behaviour(status=200, body=b"{", length=50, close="half"), Result.RETRYABLE, 200),
    ],
)
def test_an_answer_becomes_the_right_outcome(kind, sample, receiver, behaviour, result, status):
    # Impatient only with those who never answer: a busy machine must not look like one of them.
    quick = document(sample, receiver) | {"timeouts": {"connect": 5, "answer": 5 if status else 0.3}}
    integration = services.save_integration(name="Sample", kind=kind.slug, document=quick).integration
    to = services.target_of(integration)
    answering(receiver, behaviour)
    rendered = kind.render(events.failed(), to)
    outcome = kind.send(Outgoing("id", rendered.body, rendered.content_type, 1_700_000_000), to)
    assert (outcome.result, outcome.status) == (result, status)
    assert outcome.reason
    assert outcome.retry_after == (30 if status == 429 else None)
    assert outcome.latency_ms < 4900


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
        outcome = kind.send(Outgoing("id", rendered.body, rendered.content_type, 1_700_000_000), to)
        assert outcome.result in (Result.DELIVERED, Result.PERMANENT, Result.RETRYABLE)
        assert outcome.reason


@over_http
@pytest.mark.django_db
def test_an_address_that_is_not_allowed_is_never_called(kind, sample, receiver, settings):
    integration = services.save_integration(
        name="Sample", kind=kind.slug, document=document(sample, receiver)
    ).integration
    settings.ALLOWED_NETWORKS = []
    to = services.target_of(integration)
    rendered = kind.render(events.failed(), to)
    outcome = kind.send(Outgoing("id", rendered.body, rendered.content_type, 1_700_000_000), to)
    assert outcome.result is Result.PERMANENT
    assert receiver.requests == []
