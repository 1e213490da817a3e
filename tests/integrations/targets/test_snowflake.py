"""Snowflake, against a double of its SQL API that verifies the token and really runs the statements."""

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from integrations.outcomes import Result
from integrations.targets.base import InvalidDocument
from integrations.targets.snowflake import Snowflake, address
from tests.doubles.snowflake import Account
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

KIND = Snowflake()
KEY = rsa.generate_private_key(65537, 2048)


def pem(key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def document(**more):
    return {
        "account": "myorg-account1", "user": "robot", "private_key": pem(KEY), "warehouse": "compute_wh",
        "database": "security", "create_table": True, **more,
    }  # fmt: skip


@pytest.fixture
def account(receiver: Receiver) -> Account:
    return Account(receiver, KEY.public_key())


def target(receiver: Receiver, **more):
    return events.target(KIND, document(url=receiver.url(""), **more))


@pytest.mark.parametrize(
    ("name", "event"),
    [("list", events.failed()), ("hostile", events.failed([events.user(login) for login in events.HOSTILE]))],
)
def test_rows_look_as_their_golden_files(name, event):
    events.matches_golden(
        "snowflake", f"{name}.json", KIND.render(event, events.target(KIND, document())).body
    )


def test_the_table_is_made_and_each_user_becomes_a_row(receiver, account):
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert outcome.result is Result.DELIVERED, outcome
    rows = account.rows()
    assert [row["LOGIN"] for row in rows] == ["user00000@example.com", "user00001@example.com"]
    assert rows[0]["CHECK_ID"] == "no-mfa"
    assert rows[0]["TIME_GENERATED"].year == 2026
    assert rows[0]["TEST"] is False


def test_the_same_event_twice_leaves_its_rows_once(receiver, account):
    to = target(receiver)
    for _ in range(2):
        assert events.send(KIND, events.failed(events.users(500)), to).result is Result.DELIVERED
    assert len(account.rows()) == 500
    events.send(KIND, events.failed() | {"id": "another"}, to)
    assert len(account.rows()) == 502


def test_a_table_that_exists_is_only_merged_into(receiver, account):
    to = target(receiver)
    events.send(KIND, events.failed(), to)
    account.statements.clear()
    events.send(KIND, events.failed(), to)
    assert [statement.split()[0] for statement in account.statements] == ["MERGE"]


def test_unless_asked_no_table_is_made(receiver, account):
    outcome = events.send(KIND, events.failed(), target(receiver, create_table=False))
    assert outcome.result is Result.PERMANENT
    assert "does not exist" in outcome.reason
    assert [statement.split()[0] for statement in account.statements] == ["MERGE"]


def test_a_name_is_a_value_and_never_sql(receiver, account):
    hostile = [*events.HOSTILE, "'); DROP TABLE SECURITY.PUBLIC.IDENTITY_CHECKS; --", "?", ":x"]
    outcome = events.send(KIND, events.failed([events.user(login) for login in hostile]), target(receiver))
    assert outcome.result is Result.DELIVERED
    assert sorted(row["LOGIN"] for row in account.rows()) == sorted(hostile)


def test_a_key_that_snowflake_does_not_know_is_a_refusal(receiver, account):
    other = rsa.generate_private_key(65537, 2048)
    outcome = events.send(KIND, events.failed(), target(receiver, private_key=pem(other)))
    assert (outcome.result, outcome.status) == (Result.PERMANENT, 401)
    assert "RSA_PUBLIC_KEY" in outcome.reason
    token = receiver.requests[0].header("Authorization").removeprefix("Bearer ")
    assert token not in repr(outcome)


@pytest.mark.parametrize(
    ("status", "result"),
    [
        (202, Result.RETRYABLE),
        (408, Result.RETRYABLE),
        (429, Result.RETRYABLE),
        (503, Result.RETRYABLE),
        (403, Result.PERMANENT),
    ],
)
def test_what_snowflake_answers(receiver, account, status, result):
    account.answers = [Behaviour(status=status, body=b'{"code":"x","message":"y"}')]
    assert events.send(KIND, events.failed(), target(receiver)).result is result


def test_a_table_that_may_not_be_made_is_a_refusal(receiver, account):
    no_such = Behaviour(status=422, body=b'{"code":"002003","message":"does not exist"}')
    not_allowed = Behaviour(status=422, body=b'{"code":"003001","message":"Insufficient privileges"}')
    account.answers = [no_such, not_allowed]
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert (outcome.result, "Insufficient privileges" in outcome.reason) == (Result.PERMANENT, True)


def test_the_address_is_that_of_the_account():
    assert (
        address(events.target(KIND, document(account="MY_ORG-ACC")))
        == "https://my-org-acc.snowflakecomputing.com"
    )


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"table": "x; DROP TABLE y"}, "table"),
        ({"database": 'a"b'}, "database"),
        ({"account": "https://x.snowflakecomputing.com"}, "account"),
        ({"private_key": "nonsense"}, "private_key"),
        ({"private_key": pem(rsa.generate_private_key(65537, 1024))}, "private_key"),
        ({"private_key": pem(ec.generate_private_key(ec.SECP256R1()))}, "private_key"),
    ],
)
def test_a_bad_document_names_the_key_that_is_wrong(change, path):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean(document() | change)
    assert list(caught.value.errors) == [path]
