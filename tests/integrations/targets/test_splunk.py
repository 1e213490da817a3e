"""Splunk: one event for each user in the collector's format, none of which Splunk would cut."""

import json

import pytest

from integrations.targets.splunk.kind import Splunk
from integrations.transport.results import Result
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

KIND = Splunk()
# props.conf: TRUNCATE
CUT = 10_000


def target(receiver: Receiver, **more):
    return events.target(KIND, {"url": receiver.url(""), "token": "0f1e2d3c-token"} | more)


def sent(event, **more):
    to = events.target(KIND, {"url": "https://splunk.example.com:8088", "token": "t"} | more)
    lines = KIND.render(event, to).body.split(b"\n")
    assert all(len(line) < CUT for line in lines)
    return [json.loads(line) for line in lines]


def test_each_user_is_an_event_with_time_host_source_and_source_type(receiver):
    outcome = events.send(KIND, events.failed(), target(receiver, index="identity"))
    assert outcome.result is Result.DELIVERED
    (request,) = receiver.requests
    assert (request.method, request.target) == ("POST", "/services/collector/event")
    assert request.header("Authorization") == "Splunk 0f1e2d3c-token"
    found = [json.loads(line) for line in request.body.splitlines()]
    assert [one["event"]["detail"]["usersFailing"] for one in found] == [
        ["user00000@example.com"],
        ["user00001@example.com"],
    ]
    first = found[0]
    assert first["time"] == 1769839200.123
    assert {key: first[key] for key in ("host", "source", "sourcetype", "index")} == {
        "host": "identity-checks",
        "source": "identity-checks",
        "sourcetype": "_json",
        "index": "identity",
    }
    whole = events.failed()
    assert first["event"] == whole | {
        "detail": whole["detail"]
        | {"usersFailing": ["user00000@example.com"], "loginDetails": whole["detail"]["loginDetails"][:1]}
    }


def test_no_index_is_named_where_the_token_has_its_own():
    assert "index" not in sent(events.failed())[0]


@pytest.mark.parametrize("token", ["0f1e2d3c", "Splunk 0f1e2d3c", "splunk 0f1e2d3c"])
def test_the_token_may_carry_its_scheme(receiver, token):
    events.send(KIND, events.failed(), target(receiver, token=token))
    assert receiver.requests[0].header("Authorization").lower() == "splunk 0f1e2d3c"


@pytest.mark.parametrize(
    "path", ["", "/", "/services/collector", "/services/collector/event", "/services/collector/raw/1.0"]
)
def test_the_collector_s_path_may_stand_in_the_url(path):
    cleaned = KIND.clean({"url": f"https://splunk.example.com:8088{path}", "token": "t"})
    assert cleaned.settings["url"] == "https://splunk.example.com:8088"


def test_a_resolved_event_names_its_users_each():
    (one,) = sent(events.resolved(still_failing=2))
    assert one["event"]["detail"]["usersResolved"] == ["kim@example.com"]
    assert one["event"]["detail"]["stillFailing"] == 2
    assert "usersFailing" not in one["event"]["detail"]


def test_an_event_without_users_is_one_event():
    assert [one["event"]["detail-type"] for one in sent(events.connectivity())] == ["WebhookTest"]
    assert len(sent(events.failed([]))) == 1


LONG = "x" * 50_000


@pytest.mark.parametrize(
    "event",
    [
        events.failed([events.user("kim@example.com", groups=["g" * 40] * 2000)]),
        events.failed([events.user("kim@example.com", **{f"field{n}": "v" * 90 for n in range(400)})]),
        events.failed([events.user("名" * 10_000)], message=LONG),
        events.failed([events.user("\x01" * 10_000, note="\x01" * 10_000)], message=LONG),
        events.failed(events.users(100), message=LONG),
        events.failed([events.user(login) for login in events.HOSTILE]),
        events.failed(events.users(1)) | {"detail": events.failed()["detail"] | {"title": LONG, "frameworks": [LONG]}},
    ],
)  # fmt: skip
def test_no_event_reaches_the_size_at_which_splunk_cuts_and_each_names_its_check_and_user(event):
    found = sent(event)
    logins = event["detail"]["usersFailing"]
    assert len(found) == len(logins)
    for one, login in zip(found, logins, strict=True):
        detail = one["event"]["detail"]
        assert detail["checkId"] == "no-mfa"
        assert login.startswith(detail["usersFailing"][0])


def test_what_is_left_out_is_marked_and_short_details_stay():
    (one,) = sent(events.failed([events.user("kim@example.com", department="IT", groups="g" * 20_000)]))
    detail = one["event"]["detail"]
    assert detail["truncated"] is True
    assert "department" in [pair["key"] for pair in detail["loginDetails"][0]["details"]]
    assert "truncated" not in sent(events.failed())[0]["event"]["detail"]


def test_a_hundred_of_the_largest_events_fit_into_a_request():
    people = [events.user(f"{n}@example.com", groups="g" * 20_000) for n in range(100)]
    to = events.target(KIND, {"url": "https://splunk.example.com:8088", "token": "t"})
    assert KIND.users_per_request(to) == 100
    assert len(KIND.render(events.failed(people, message=LONG), to).body) <= KIND.max_bytes < 1_000_001


@pytest.mark.parametrize(
    ("status", "body", "result", "word"),
    [
        (403, b'{"text":"Invalid token","code":4}', Result.PERMANENT, "Copy it again. (Invalid token)"),
        (403, b'{"text":"Token disabled","code":1}', Result.PERMANENT, "enable it"),
        (400, b'{"text":"Incorrect index","code":7}', Result.PERMANENT, "write to this index"),
        (400, b'{"text":"Data channel is missing","code":10}', Result.PERMANENT, "acknowledgement"),
        (400, b'{"text":"Invalid data format","code":6}', Result.PERMANENT, "refused the events. (Invalid"),
        (404, b"<html>", Result.PERMANENT, "8088"),
        (503, b'{"text":"Server is busy","code":9}', Result.RETRYABLE, "503"),
    ],
)
def test_a_refusal_says_what_to_do(receiver, status, body, result, word):
    receiver.script("/services/collector/event", Behaviour(status=status, body=body))
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert (outcome.result, outcome.status) == (result, status)
    assert word in outcome.reason
