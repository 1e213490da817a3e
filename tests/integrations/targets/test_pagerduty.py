"""PagerDuty, against a double that enforces the documented fields of the Events API v2."""

import json

import pytest

from integrations.targets.pagerduty.kind import PagerDuty
from integrations.transport.results import Result
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver, Recorded

KIND = PagerDuty()
KEY = "R0UT1NGKEY" + "a" * 22
EVENT_FIELDS = {"routing_key", "event_action", "dedup_key", "payload", "links", "client", "client_url"}
PAYLOAD_FIELDS = {
    "summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details",
}  # fmt: skip


class PagerDutyDouble:
    def __init__(self, receiver: Receiver) -> None:
        self.open: dict[str, int] = {}
        self.actions: list[str] = []
        receiver.script("/v2/enqueue", self._enqueue)

    def _enqueue(self, request: Recorded) -> Behaviour:
        event = json.loads(request.body)
        payload = event.get("payload", {})
        errors = [f"unknown {name}" for name in (set(event) - EVENT_FIELDS) | (set(payload) - PAYLOAD_FIELDS)]
        if event.get("routing_key") != KEY:
            errors.append("'routing_key' is invalid")
        if event.get("event_action") not in ("trigger", "acknowledge", "resolve"):
            errors.append("'event_action' is invalid")
        if payload.get("severity") not in ("critical", "error", "warning", "info"):
            errors.append("'severity' is invalid")
        if not payload.get("source") or not 0 < len(payload.get("summary", "")) <= 1024:
            errors.append("'summary' or 'source' is invalid")
        if len(event.get("dedup_key", "")) > 255 or len(request.body) > 512 * 1024:
            errors.append("too long")
        if errors:
            return Behaviour(
                status=400, body=json.dumps({"status": "invalid event", "errors": errors}).encode()
            )
        self.actions.append(event["event_action"])
        if event["event_action"] == "resolve":
            self.open.pop(event["dedup_key"], None)
        else:
            self.open[event["dedup_key"]] = self.open.get(event["dedup_key"], 0) + 1
        return Behaviour(status=202, body=b'{"status":"success","message":"Event processed"}')


@pytest.fixture
def service(receiver: Receiver) -> PagerDutyDouble:
    return PagerDutyDouble(receiver)


def target(receiver: Receiver, key: str = KEY):
    return events.target(KIND, {"routing_key": key, "api_url": receiver.url("")})


def test_one_alert_a_check_is_opened_joined_and_resolved(receiver, service):
    to = target(receiver)
    for event in (events.failed(), events.failed(events.users(10_000))):
        assert events.send(KIND, event, to).result is Result.DELIVERED
    assert list(service.open.values()) == [2]
    assert events.send(KIND, events.resolved(), to).result is Result.DELIVERED
    assert service.open == {}


def test_while_others_fail_the_alert_stays_open(receiver, service):
    events.send(KIND, events.failed(), target(receiver))
    assert events.send(KIND, events.resolved(still_failing=3), target(receiver)).result is Result.DELIVERED
    assert service.actions == ["trigger"]


def test_a_test_wakes_nobody(receiver, service):
    assert events.send(KIND, events.connectivity(), target(receiver)).result is Result.DELIVERED
    assert (service.actions, service.open) == (["trigger", "resolve"], {})


def test_a_wrong_key_is_a_refusal_without_the_key(receiver, service):
    outcome = events.send(KIND, events.failed(), target(receiver, key="x" * 32))
    assert outcome.result is Result.PERMANENT
    assert "'routing_key' is invalid" in outcome.reason
    assert "x" * 32 not in repr(outcome)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"errors": ["'x' is invalid", None]}, "PagerDuty refused the event. 'x' is invalid"),
        ({"errors": [], "message": "Event object is invalid"}, "PagerDuty refused the event. Event object is invalid"),
        (
            {"errors": [None], "message": None},
            'PagerDuty refused the event. The answer was 400: {"errors": [null], "message": null}',
        ),
        (None, "PagerDuty refused the event. The answer was 400: null"),
    ],
)  # fmt: skip
def test_a_refusal_with_null_messages_is_a_sentence(receiver, body, said):
    receiver.script("/v2/enqueue", Behaviour(status=400, body=json.dumps(body).encode()))
    assert events.send(KIND, events.failed(), target(receiver)).reason == said


@pytest.mark.parametrize("failing", [Behaviour(status=503), Behaviour(close="after")])
@pytest.mark.parametrize("event", [events.failed(), events.connectivity(), events.resolved()])
def test_a_retry_sends_the_same_key_so_that_an_alert_is_not_opened_twice(receiver, event, failing):
    """PagerDuty joins events of one key to one alert, also if it took the first and its answer was lost."""
    taken = Behaviour(status=202, body=b'{"status":"success"}')
    receiver.script("/v2/enqueue", [failing, taken])
    assert events.send(KIND, event, target(receiver)).result is Result.RETRYABLE
    assert events.send(KIND, event, target(receiver)).result is Result.DELIVERED
    assert len({json.loads(request.body)["dedup_key"] for request in receiver.requests}) == 1


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_retried(receiver, status):
    receiver.script("/v2/enqueue", Behaviour(status=status))
    assert events.send(KIND, events.failed(), target(receiver)).result is Result.RETRYABLE


def test_a_page_instead_of_the_api_is_no_delivery(receiver):
    receiver.script("/v2/enqueue", Behaviour(body=b"<html>Sign in</html>"))
    assert events.send(KIND, events.failed(), target(receiver)).result is Result.RETRYABLE
