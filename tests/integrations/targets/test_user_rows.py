"""Rows of a table for log stores: one for each user, whatever the event says of them."""

import json

import pytest

from integrations.targets.shared.user_rows import user_rows
from notifications.rendering import payloads
from tests.integrations.targets import events


def resolved(*logins: str) -> dict:
    users = [
        {"login": login, "details": [{"key": "resolution", "value": json.dumps("cured")}]} for login in logins
    ]
    return payloads.check_resolved(
        events.event_of(is_resolved=True),
        id=events.DELIVERY,
        short_id="1c2d3e4f",
        users=[payloads.Item.of(user) for user in users],
        part=payloads.BatchPosition(1, 1, len(users)),
    )


def test_a_resolved_event_has_a_row_for_each_of_its_users():
    event = resolved("kim@example.com", "lee@example.com")
    assert "usersFailing" not in event["detail"]
    rows = user_rows(event)
    assert [(row["Login"], row["Details"], row["EventType"]) for row in rows] == [
        ("kim@example.com", {"resolution": "cured"}, "CHECK_RESOLVED"),
        ("lee@example.com", {"resolution": "cured"}, "CHECK_RESOLVED"),
    ]


@pytest.mark.parametrize(
    ("event", "logins"),
    [
        (events.failed(), ["user00000@example.com", "user00001@example.com"]),
        (events.direct(message="Hello"), ["kim@example.com"]),
        (events.failed([]), [""]),
        (events.connectivity(), [""]),
    ],
)
def test_every_other_event_has_a_row_for_each_user_or_one_without(event, logins):
    assert [row["Login"] for row in user_rows(event)] == logins


def test_details_that_the_table_would_truncate_lose_their_longest_values():
    person = events.user("kim@example.com", department="IT", groups=["g" * 40] * 2000, note="n" * 30_000)
    (row,) = user_rows(events.failed([person]), max_details=60_000)
    assert len(json.dumps(row["Details"])) <= 60_000
    assert row["Details"]["truncated"] is True
    assert (row["Details"]["department"], row["Details"]["note"]) == ("IT", "n" * 30_000)
    assert "groups" not in row["Details"]
    (whole,) = user_rows(events.failed([events.user("kim@example.com", department="IT")]), max_details=60_000)
    assert "truncated" not in whole["Details"]
