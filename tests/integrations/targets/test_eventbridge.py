"""EventBridge, against a double that checks signature, fields and sizes as its API reference describes them."""

import json
from datetime import UTC, datetime

import pytest

from integrations.auth.signature_v4 import (
    Credentials,
    CredentialScope,
    authorization,
    signing_key,
)
from integrations.target_data import InvalidDocument
from integrations.targets.eventbridge.kind import EventBridge
from integrations.transport.results import Result
from tests.doubles.eventbridge import KEY_ID, REGION, SECRET, Bus, error, size_of
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

KIND = EventBridge()
DOCUMENT = {
    "region": REGION,
    "event_bus": "identity-checks",
    "access_key_id": KEY_ID,
    "secret_access_key": SECRET,
}


@pytest.fixture
def bus(receiver: Receiver) -> Bus:
    return Bus(receiver)


def target(receiver: Receiver, **more: str):
    return events.target(KIND, {**DOCUMENT, "endpoint": receiver.url(""), **more})


# --- The signature ----------------------------------------------------------------------------------
# AWS's published test suite for Signature Version 4 (key, date and region are the suite's), and the example of its guide.
SUITE = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
MOMENT = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
HOST = {"Host": "example.amazonaws.com", "X-Amz-Date": "20150830T123600Z"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
VECTORS = {
    "get-vanilla": (
        "GET", "/", HOST, b"", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
    ),
    "get-vanilla-query-order-key-case": (
        "GET", "/?Param2=value2&Param1=value1", HOST, b"",
        "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
    ),
    "post-vanilla": (
        "POST", "/", HOST, b"", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
    ),
    "post-x-www-form-urlencoded": (
        "POST", "/", {**HOST, **FORM}, b"Param1=value1",
        "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", VECTORS)
def test_the_signature_is_that_of_the_published_test_suite(name):
    method, path, headers, body, signature = VECTORS[name]
    scope = CredentialScope(MOMENT, "us-east-1", "service")
    found = authorization(method, f"https://example.amazonaws.com{path}", headers, body, SUITE, scope)
    names = ";".join(sorted(header.lower() for header in headers))
    assert found == (
        "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )


def test_the_signature_is_that_of_the_guides_example():
    scope = CredentialScope(MOMENT, "us-east-1", "iam")
    headers = {
        "Host": "iam.amazonaws.com",
        "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
        "X-Amz-Date": "20150830T123600Z",
    }
    url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08"
    found = authorization("GET", url, headers, b"", SUITE, scope)
    assert found.endswith("Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7")
    assert signing_key(SUITE.secret_access_key, scope).hex() == (
        "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
    )


# --- Events -----------------------------------------------------------------------------------------
def test_the_event_is_the_contracts_with_its_id_in_the_detail(receiver, bus):
    event = events.failed()
    outcome = events.send(KIND, event, target(receiver))
    assert (outcome.result, outcome.reason) == (
        Result.DELIVERED,
        "EventBridge took the event as 11710aed-b79e-4468-a20b-000000000001.",
    )
    (entry,) = bus.taken
    assert entry.pop("Detail") == {"eventId": event["id"], **event["detail"]}
    assert entry == {
        "Time": 1_769_839_200,
        "Source": event["source"],
        "DetailType": "FAILED_CHECK",
        "EventBusName": "identity-checks",
    }


@pytest.mark.parametrize(
    "event", [events.direct(), events.resolved(), events.note(), events.connectivity()]
)  # fmt: skip
def test_every_kind_of_event_is_taken(receiver, bus, event):
    assert events.send(KIND, event, target(receiver)).result is Result.DELIVERED
    assert bus.taken[0]["DetailType"] == event["detail-type"]


def test_what_is_counted_is_at_least_what_aws_counts():
    event = events.failed([events.user('"\\ü' * 100) for _ in range(50)])
    body = KIND.render(event, events.target(KIND, DOCUMENT)).body
    entry = json.loads(body)
    detail = json.dumps(entry["Detail"], ensure_ascii=False, separators=(",", ":"))
    assert size_of({**entry, "Detail": detail}) <= len(body)


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-central-1", "https://events.eu-central-1.amazonaws.com/"),
        ("us-gov-west-1", "https://events.us-gov-west-1.amazonaws.com/"),
        ("cn-north-1", "https://events.cn-north-1.amazonaws.com.cn/"),
    ],
)
def test_a_region_has_its_address(monkeypatch, region, url):
    called = []
    monkeypatch.setattr(
        "integrations.targets.shared.call.http.request",
        lambda method, url, **_: called.append(url) or (_ for _ in ()).throw(RuntimeError),
    )
    with pytest.raises(RuntimeError):
        events.send(KIND, events.failed(), events.target(KIND, {**DOCUMENT, "region": region}))
    assert called == [url]


# --- Refusals ---------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("code", "result"),
    [
        ("ThrottlingException", Result.RETRYABLE),
        ("InternalFailure", Result.RETRYABLE),
        ("AccessDeniedException", Result.PERMANENT),
        ("MalformedDetail", Result.PERMANENT),
    ],
)
def test_an_entry_that_failed_in_a_request_that_was_taken_is_no_delivery(receiver, bus, code, result):
    bus.failing = code
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert outcome.result is result
    assert f"{code}: No." in outcome.reason


@pytest.mark.parametrize(
    ("failed", "entry", "result", "reason"),
    [
        (0, {"EventId": "e1"}, Result.DELIVERED, "EventBridge took the event as e1."),
        (0, {"EventId": "e1", "ErrorCode": None, "ErrorMessage": None}, Result.DELIVERED, "took the event as e1."),
        (0, {"EventId": "e1", "ErrorCode": ""}, Result.DELIVERED, "took the event as e1."),
        (0, {"EventId": None}, Result.DELIVERED, "EventBridge took the event."),
        (0, {}, Result.DELIVERED, "EventBridge took the event."),
        (1, {}, Result.RETRYABLE, "did not take the event. It does not say why."),
        (1, {"EventId": "e1"}, Result.RETRYABLE, "did not take the event. It does not say why."),
        (1, {"ErrorCode": None, "ErrorMessage": None}, Result.RETRYABLE, "did not take the event. It does not say why."),
        (1, {"ErrorCode": "", "ErrorMessage": "Slow down"}, Result.RETRYABLE, "did not take the event. Slow down"),
        (1.0, {}, Result.RETRYABLE, "did not take the event. It does not say why."),
        (1, {"ErrorCode": "MalformedDetail"}, Result.PERMANENT, "did not take the event. MalformedDetail"),
        (1, {"ErrorCode": "MalformedDetail", "ErrorMessage": None}, Result.PERMANENT, "event. MalformedDetail"),
        # An error that is named counts, also where the count is missing.
        (None, {"ErrorCode": "ThrottlingException"}, Result.RETRYABLE, "event. ThrottlingException"),
    ],
)  # fmt: skip
def test_an_event_is_delivered_only_if_no_entry_failed(receiver, bus, failed, entry, result, reason):
    bus.answer = Behaviour(body=json.dumps({"FailedEntryCount": failed, "Entries": [entry]}).encode())
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert outcome.result is result
    assert outcome.reason.endswith(reason)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, {"__type": "ThrottlingException"}),
        ({}, {"__type": "com.amazon.coral.service#ThrottlingException"}),
        ({}, {"__type": "ThrottlingException:http://internal.amazon.com/coral/"}),
        ({}, {"__type": "aws.protocoltests#ThrottlingException:http://internal.amazon.com/coral/#1"}),
        ({}, {"code": "ThrottlingException:http://internal.amazon.com/coral/"}),
        ({}, {"__type": "", "code": "ThrottlingException"}),
        ({"x-amzn-ErrorType": "ThrottlingException:http://internal.amazon.com/coral/"}, None),
        ({"X-Amzn-Errortype": "ThrottlingException"}, {"message": "Rate exceeded"}),
        ({"x-amzn-errortype": "com.amazon.coral.service#ThrottlingException"}, {"__type": "Other"}),
    ],
)
def test_the_code_of_a_refusal_is_found_wherever_the_protocol_has_it(receiver, bus, headers, body):
    """https://smithy.io/2.0/aws/protocols/aws-json-1_1-protocol.html#operation-error-serialization"""
    bus.answer = Behaviour(
        status=400, headers=[*headers.items()], body=b"" if body is None else json.dumps(body).encode()
    )
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert outcome.result is Result.RETRYABLE
    assert "ThrottlingException" in outcome.reason
    assert "http:" not in outcome.reason


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "EventBridge did not take the event. The answer was 400."),
        (b'{"__type":null,"message":null}', 'The answer was 400: {"__type":null,"message":null}'),
        (b'{"__type":"ValidationException","message":null}', "did not take the event. ValidationException"),
        (b'{"message":"Bad entry"}', "EventBridge did not take the event. Bad entry"),
        (b"<html><title>Bad Request</title></html>", "The answer was 400: Bad Request"),
    ],
)
def test_a_refusal_says_what_the_answer_says(receiver, bus, body, reason):
    bus.answer = Behaviour(status=400, body=body)
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert outcome.result is Result.PERMANENT
    assert outcome.reason.endswith(reason)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"secret_access_key": "x" * 40}, "check the secret access key"),
        ({"access_key_id": "AKIAIOSFODNN7EXAMPLF"}, "AWS does not know this access key"),
        ({"region": "eu-west-1"}, "check the secret access key"),
    ],
)
def test_wrong_credentials_are_a_refusal_with_advice(receiver, bus, change, reason):
    outcome = events.send(KIND, events.failed(), target(receiver, **change))
    assert outcome.result is Result.PERMANENT
    assert reason in outcome.reason
    assert SECRET not in repr(outcome)


@pytest.mark.parametrize(
    "answer",
    [
        error("ThrottlingException", "Rate exceeded"),
        error("InternalException", "", 500),
        Behaviour(status=503, body=b"<html>"),
        Behaviour(body=b"<html>Sign in</html>"),
        Behaviour(body=b'{"FailedEntryCount":1,"Entries":[]}'),
        Behaviour(body=b'{"FailedEntryCount":1,"Entries":[{}]}'),
        Behaviour(body=b'{"FailedEntryCount":1,"Entries":[{"ErrorCode":null,"ErrorMessage":null}]}'),
    ],
)
def test_what_passes_is_retried(receiver, bus, answer):
    bus.answer = answer
    assert events.send(KIND, events.failed(), target(receiver)).result is Result.RETRYABLE


@pytest.mark.parametrize(
    "change",
    [
        {"region": "Frankfurt"},
        {"event_bus": "arn:aws:sns:eu-central-1:123456789012:topic"},
        {"access_key_id": "robot"},
        {"secret_access_key": ""},
    ],
)
def test_a_wrong_document_is_refused(change):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean({**DOCUMENT, **change})
    assert list(caught.value.errors) == list(change)
    arn = "arn:aws:events:eu-central-1:123456789012:event-bus/identity-checks"
    KIND.clean({**DOCUMENT, "event_bus": arn})
