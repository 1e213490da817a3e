"""JSON from outside is refused beyond the bounds, and each place that reads some says so instead of failing."""

import json
from datetime import UTC, datetime

import pytest

from cii_project.tools.receiver.verification import ExpectedCredentials, verify_request
from integrations.auth.token_answers import AnswerError, parse_token_answer
from integrations.formats import bounded_json
from integrations.formats.bounded_json import OutOfBounds
from integrations.targets.shared import json_answers
from integrations.targets.webhook import bodies
from integrations.transport.results import AttemptOutcome, Result

DEEP = b"[" * 100_000
BEYOND = [
    (b"[" * 33 + b"]" * 33, "nested more than 32 levels deep"),
    (DEEP, "nested more than 32 levels deep"),
    (b'{"a":' * 50_000, "nested more than 32 levels deep"),
    (b"[" + b"1," * 50_000 + b"1]", "more than 50,000 values"),
    (b"[" + b"[]," * 50_000 + b"[]]", "more than 50,000 values"),
    (b'"' + b"x" * (1 << 20) + b'"', "larger than 1,048,576 bytes"),
]


@pytest.mark.parametrize(("data", "problem"), BEYOND, ids=[problem for _, problem in BEYOND])
@pytest.mark.parametrize("kind", [bytes, str])
def test_what_lies_beyond_the_bounds_is_refused(data, problem, kind):
    with pytest.raises(OutOfBounds, match=problem):
        bounded_json.loads(data if kind is bytes else data.decode())


@pytest.mark.parametrize(
    "value", [[], {}, 1, "x", None, {"a": [1, {"b": [None]}]}, [1] * 50_000, json.loads("[" * 32 + "]" * 32)]
)
def test_what_lies_within_is_read(value):
    assert bounded_json.loads(json.dumps(value)) == value


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[1", b"nul", b"1" * 5_000])
def test_what_is_no_json_is_a_value_error(data):
    with pytest.raises(ValueError, match=r"."):
        bounded_json.loads(data)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize("body", [b'{"a":' * 50_000, b'{"access_token": ' + DEEP])
def test_a_token_endpoint_that_answers_it_gives_no_token(status, body):
    with pytest.raises(AnswerError, match=f"it answered {status}"):
        parse_token_answer(status, "application/json", body, datetime.now(UTC))


def test_an_answer_of_a_receiver_that_holds_it_is_no_object():
    assert json_answers.parse_object(b'{"a":' + DEEP) == {}


def test_the_receiver_of_the_demonstration_refuses_it():
    result, event = verify_request("/", {}, DEEP, ExpectedCredentials(), datetime.now(UTC).timestamp())
    assert (result.status, event) == (400, None)
    assert "nested more than 32 levels deep" in result.problems[0]


def test_a_template_that_makes_it_is_refused_when_it_is_saved():
    with pytest.raises(bodies.TemplateError, match="nested more than 32 levels deep"):
        bodies.check_template("{% for i in (1..40) %}[{% endfor %}{% for i in (1..40) %}]{% endfor %}")


def test_no_outcome_of_an_attempt_holds_what_a_database_refuses():
    odd = "a\0b\ud800"
    made = AttemptOutcome(Result.DELIVERED, odd, headers={odd: odd}, body=odd, token_step=odd)
    good = "a\N{REPLACEMENT CHARACTER}b?"
    assert (made.reason, made.body, made.token_step, made.headers) == (good, good, good, {good: good})
