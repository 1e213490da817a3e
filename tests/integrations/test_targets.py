"""What every kind of target has to keep, whatever it is. A kind joins by its golden folder:
``document.json`` (``{receiver}`` stands for a local server's URL) and ``body.json``, the bytes for ``golden/event.json``.
"""

import copy
import dataclasses
import json
import logging
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from integrations import services
from integrations.auth.parameters import secret_texts
from integrations.auth.sealing import unseal
from integrations.target_data import AttemptRequest, InvalidDocument
from integrations.targets import KINDS, kind_of
from integrations.transport.results import Result
from tests.receiver import Behaviour

GOLDEN = Path(__file__).parent / "golden"
EVENT = json.loads((GOLDEN / "event.json").read_text())
TOKEN = Behaviour(body=b'{"access_token": "the-access-token", "token_type": "Bearer", "expires_in": 600}')

HERE = [slug for slug in KINDS if (GOLDEN / slug / "document.json").exists()]
every_kind = pytest.mark.parametrize("kind", [KINDS[slug] for slug in HERE], ids=HERE)


def document_of(kind, receiver=None):
    text = (GOLDEN / kind.slug / "document.json").read_text()
    return json.loads(
        text.replace("{receiver}", receiver.url("") if receiver else "https://hook.example.com")
    )


def saved(kind, receiver=None):
    return services.save_integration(
        name="Golden", kind=kind.slug, document=document_of(kind, receiver)
    ).integration


def event_for(count):
    event = copy.deepcopy(EVENT)
    event["detail"]["usersFailing"] = [f"user{n}@example.com" for n in range(count)]
    event["detail"]["loginDetails"] = [{"login": f"user{n}@example.com", "details": []} for n in range(count)]
    event["detail"]["batch"]["totalUsers"] = count
    return event


@every_kind
def test_its_document_round_trips_through_a_form_that_never_shows_a_secret(kind):
    first = kind.clean(document_of(kind))
    again = kind.clean(copy.deepcopy(first.settings), first)
    assert (again.settings, again.secrets) == (first.settings, first.secrets)


@every_kind
def test_its_document_without_what_is_stored_asks_for_each_secret(kind):
    first = kind.clean(document_of(kind))
    if not first.secrets:
        pytest.fail("a kind without any secret needs a test of its own here")
    with pytest.raises(InvalidDocument):
        kind.clean(copy.deepcopy(first.settings))


@every_kind
@pytest.mark.parametrize(
    "document", [None, [], "x", 5, {}, {"unknown": 1}, {"url": 5}, {"authorization": []}]
)
def test_whatever_it_is_given_it_answers_with_errors_by_path(kind, document):
    with pytest.raises(InvalidDocument) as caught:
        kind.clean(document)
    assert caught.value.errors
    assert all(
        isinstance(path, str) and text.endswith((".", ")", "…")) for path, text in caught.value.errors.items()
    )


@every_kind
@pytest.mark.django_db
def test_its_secrets_appear_nowhere(kind, receiver, caplog):
    """Not in what is described, represented, logged or kept of an attempt, whatever the receiver answers."""
    caplog.set_level(logging.DEBUG)
    integration = saved(kind, receiver)
    target = services.target_of(integration)
    secrets = (
        [s for s in secret_texts(target.secrets) if s] + list(target.signing_secrets) + ["url-query-secret"]
    )
    receiver.script("/token", TOKEN)
    receiver.script(
        "/hook", lambda r: Behaviour(status=500, body=r.raw, headers=[("X-Echo", r.header("X-Key") or "")])
    )
    rendered = kind.render(EVENT, target)
    outcome = kind.send(
        AttemptRequest(EVENT["id"], rendered.body, rendered.content_type, 1_700_000_000), target
    )
    shown = "\n".join(
        [
            repr(kind.describe(integration.settings)),
            repr(target),
            repr(kind.clean(document_of(kind))),
            repr(services.document_of(integration)).replace("?key=url-query-secret", ""),
            kind.show(rendered.body, target),
            rendered.body.decode(),
            outcome.reason,
            outcome.token_step,
            caplog.text,
            integration.sealed,
            *(f"{name}: {value}" for name, value in outcome.headers.items()),
            outcome.body,
        ]
    )
    for secret in [*secrets, *map(quote_plus, secrets), "the-access-token"]:
        assert secret not in shown


@every_kind
@pytest.mark.django_db
def test_its_secrets_do_not_appear_in_errors(kind):
    document = document_of(kind)
    for text in secret_texts(kind.clean(document).secrets):
        damaged = json.loads(
            json.dumps(document).replace(json.dumps(text)[1:-1], json.dumps(text + "\ud800")[1:-1])
        )
        with pytest.raises(InvalidDocument) as caught:
            services.save_integration(name="x", kind=kind.slug, document=damaged)
        assert text not in str(caught.value)


@every_kind
@pytest.mark.parametrize("count", [0, 1, 50])
def test_it_renders_an_event_within_its_limit(kind, count):
    cleaned = kind.clean(document_of(kind))
    target = dataclasses.replace(_target(kind), settings=cleaned.settings, secrets=cleaned.secrets)
    rendered = kind.render(event_for(count), target)
    assert 0 < len(rendered.body) <= kind.max_bytes
    assert kind.render(event_for(count), target) == rendered, "the same event gives the same bytes"


@every_kind
def test_ten_thousand_users_are_neither_lost_nor_cut_within_a_body(kind):
    """Planning splits by count and size; what a kind renders of a batch stays readable at any size."""
    target = _target(kind)
    assert kind.render(event_for(10_000), target).body
    assert len(kind.render(event_for(1000), target).body) <= kind.max_bytes


@every_kind
def test_its_body_is_the_golden_one(kind):
    path = GOLDEN / kind.slug / "body.json"
    rendered = kind.render(EVENT, _target(kind))
    assert json.loads(rendered.body) == json.loads(path.read_text())


def _target(kind):
    from integrations.target_data import Target

    cleaned = kind.clean(document_of(kind))
    return Target(1, "Golden", "1c2d3e4f", kind.slug, cleaned.settings, cleaned.secrets)


@pytest.mark.django_db
@every_kind
@pytest.mark.parametrize(
    ("behaviour", "result", "status"),
    [
        (Behaviour(status=200), Result.DELIVERED, 200),
        (Behaviour(status=429, headers=[("Retry-After", "30")]), Result.RETRYABLE, 429),
        (Behaviour(status=500), Result.RETRYABLE, 500),
        (Behaviour(status=404), Result.PERMANENT, 404),
        (Behaviour(status=302, headers=[("Location", "/x")]), Result.PERMANENT, 302),
        (Behaviour(status=410), Result.GONE, 410),
        (Behaviour(delay=2), Result.RETRYABLE, None),
        (Behaviour(close="reset"), Result.RETRYABLE, None),
    ],
)
def test_an_answer_becomes_the_right_outcome(kind, receiver, behaviour, result, status):
    receiver.script("/token", TOKEN)
    receiver.script("/hook", behaviour)
    target = services.target_of(saved(kind, receiver))
    rendered = kind.render(EVENT, target)
    outcome = kind.send(
        AttemptRequest(EVENT["id"], rendered.body, rendered.content_type, 1_700_000_000), target
    )
    assert (outcome.result, outcome.status) == (result, status)
    assert outcome.reason.endswith(".")
    assert outcome.retry_after == (30 if status == 429 else None)


@every_kind
@pytest.mark.django_db
def test_what_is_stored_of_it_is_sealed(kind):
    integration = saved(kind)
    texts = secret_texts(unseal(integration.sealed))
    assert texts
    for text in texts:
        assert text not in json.dumps(integration.settings)


def test_a_kind_that_does_not_exist_is_named_with_those_that_do():
    with pytest.raises(KeyError, match=r"no kind “fax”\. Kinds: webhook"):
        kind_of("fax")
