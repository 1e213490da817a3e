"""The contract's fields, their order and types; how a list is split."""

import itertools
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given, strategies as st
from jsonschema import ValidationError

from notifications.rendering import payloads, schema
from notifications.rendering.batch import partition
from notifications.rendering.payloads import BatchPosition, CheckEvent, CheckText, Item, Recipient, Tenant

TENANT = Tenant("11111111-2222-3333-4444-555555555555")
CHECK = CheckText(
    slug="no-mfa",
    title="No MFA Configured",
    severity="critical",
    description=["One.", "Two."],
    recommended_actions=["Enrol a factor."],
    tags=["tier-1", "pci"],
    topics=["MFA"],
    frameworks=["NIST-800-53:IA-2(1)"],
)
DELIVERY = UUID("aaaaaaaa-0000-4000-8000-000000000001")
EVENT = UUID("bbbbbbbb-0000-4000-8000-000000000002")
RUN = UUID("cccccccc-0000-4000-8000-000000000003")
# A time with microseconds in another zone: the contract has UTC.
PUBLISHED = datetime(2026, 1, 31, 7, 0, 5, 123_999, tzinfo=timezone(timedelta(hours=1)))
KIM = {
    "login": "kim@example.com",
    "details": [
        {"key": "providersFailingChecks", "value": '["providerFailingCheck-no-mfa-x__OKTA__1c2d3e4f"]'}
    ],
}
COMMON = {"id": DELIVERY, "short_id": "1c2d3e4f"}


def event_of(**options):
    return CheckEvent(EVENT, TENANT, CHECK, PUBLISHED, **options)


def failed_check(message=None, **options):
    event = event_of(**{"run_id": RUN, **options})
    return payloads.failed_check(event, **COMMON, users=[Item.of(KIM)], part=BatchPosition(), message=message)


def test_failed_check_has_every_field_in_the_contracts_order():
    event = failed_check("Hello", link="https://cii.example.com/checks/no-mfa/", is_test=True)
    assert list(event) == [
        "version", "id", "detail-type", "source", "account", "time", "region", "resources", "detail",
    ]  # fmt: skip
    assert list(event["detail"]) == [
        "id", "checkId", "title", "severity", "description", "recommendedActions", "published", "usersFailing",
        "loginDetails", "checkTags", "checkTopics", "checkScope", "frameworks", "message", "runId",
        "referenceUrl", "batch", "test",
    ]  # fmt: skip
    assert event["version"] == "0"
    assert event["source"] == "11111111-2222-3333-4444-555555555555__1c2d3e4f"
    assert event["time"] == "2026-01-31T06:00:05Z"
    assert event["detail"]["published"] == "2026-01-31T06:00:05.123Z"
    assert event["detail"]["checkTags"] == ["pci", "tier-1"]
    assert event["detail"]["checkScope"] == "USER"
    assert event["detail"]["batch"] == {"index": 1, "count": 1, "totalUsers": 1}
    schema.validator("FAILED_CHECK").validate(event)


def test_what_is_not_set_is_absent_and_batch_never_is():
    detail = failed_check(run_id=None)["detail"]
    assert not {"message", "runId", "referenceUrl", "test"} & set(detail)
    assert "batch" in detail


def test_direct_message_names_the_failing_user_and_the_recipient():
    event = payloads.direct_message(
        event_of(),
        **COMMON,
        user=Item.of(KIM),
        user_trust_level="UNTRUSTED",
        recipient=Recipient("manager", "boss@example.com", "boss@example.com", "The Boss"),
        message="Hello",
    )
    schema.validator("DIRECT_MESSAGE").validate(event)
    detail = event["detail"]
    assert detail["login"] == "kim@example.com"
    assert detail["loginDetails"] == [KIM]
    assert detail["recipient"] == {
        "kind": "manager", "login": "boss@example.com", "email": "boss@example.com", "displayName": "The Boss",
    }  # fmt: skip


def test_webhook_test_speaks_of_no_user():
    event = payloads.webhook_test(event_of(), **COMMON)
    schema.validator("WebhookTest").validate(event)
    assert event["detail"]["title"] == "Webhook connectivity test"
    assert event["detail"]["test"] is True


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("id",), "no uuid"),
        (("source",), "tenant__xyz"),
        (("account",), "12"),
        (("time",), "2026-01-31T06:00:05.123Z"),
        (("detail", "published"), "2026-01-31T06:00:05Z"),
        (("detail", "severity"), "urgent"),
        (("detail", "usersFailing"), "kim@example.com"),
        (("detail", "loginDetails"), [{"login": "kim", "details": [{"key": "factors", "value": ["sms"]}]}]),
        (("detail", "test"), False),
    ],
)
def test_the_schema_refuses_a_wrong_type(path, value):
    event = failed_check()
    place = event
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        schema.validator("FAILED_CHECK").validate(event)


@pytest.mark.parametrize("detail_type", schema.FILES)
def test_each_schema_is_itself_valid_and_has_a_name_of_its_own(detail_type):
    document = schema.load(detail_type)
    type(schema.validator(detail_type)).check_schema(document)
    assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert len({each["$id"] for each in schema.all().values()}) == len(schema.FILES)


def test_an_unknown_detail_type_names_the_known_ones():
    with pytest.raises(KeyError, match="FAILED_CHECK"):
        schema.load("NOPE")


@pytest.mark.parametrize(
    ("severities", "level"),
    [
        (["low", "critical"], "UNTRUSTED"),
        (["high"], "QUESTIONABLE"),
        (["medium", "low"], "NEUTRAL"),
        (["low"], "FAVORABLE"),
        ([], "UNKNOWN"),
    ],
)
def test_the_worst_open_finding_decides_the_trust_level(severities, level):
    assert payloads.trust_level(severities) == level


@given(
    sizes=st.lists(st.integers(1, 400), max_size=300),
    base=st.integers(0, 500),
    max_users=st.integers(1, 50),
    max_bytes=st.integers(1, 2000),
)
def test_a_list_is_split_never_cut_and_each_batch_keeps_within_both_limits(sizes, base, max_users, max_bytes):
    batches = partition(sizes, base, max_users, max_bytes)
    assert [index for batch in batches for index in batch] == list(range(len(sizes)))
    for batch in batches:
        assert 1 <= len(batch) <= max_users
        weight = base + sum(sizes[index] for index in batch)
        assert weight <= max_bytes or len(batch) == 1
    for batch, following in itertools.pairwise(batches):
        weight = base + sum(sizes[index] for index in batch) + sizes[following.start]
        assert len(batch) == max_users or weight > max_bytes  # none is smaller than it must be


@given(st.datetimes(datetime(1970, 1, 1), timezones=st.just(UTC)))
def test_times_have_the_contracts_form_for_any_moment(moment):
    text = payloads.milliseconds(moment)
    assert abs(datetime.fromisoformat(text) - moment) < timedelta(milliseconds=1)
    assert len(text) == len("2026-01-31T06:00:05.123Z")
