"""Azure Sentinel, against doubles of Entra's token endpoint and the Logs Ingestion API."""

import json
import re

import pytest

from integrations import services
from integrations.target_data import InvalidDocument
from integrations.targets.sentinel.kind import Sentinel
from integrations.transport.results import Result
from notifications.rendering.batch import partition
from tests.doubles.azure import CLIENT, INGEST, RULE, TENANT, Azure
from tests.integrations.targets import events
from tests.receiver import Behaviour, Receiver

KIND = Sentinel()


@pytest.fixture
def azure(receiver: Receiver) -> Azure:
    return Azure(receiver)


def document(receiver: Receiver | None = None, **more: str):
    here = receiver.url("") if receiver else "https://rule.westeurope-1.ingest.monitor.azure.com"
    login = {"login_url": receiver.url("")} if receiver else {}
    return {
        "tenant_id": TENANT, "client_id": CLIENT, "client_secret": "the-client-secret", "endpoint": here,
        "rule_id": RULE, **login, **more,
    }  # fmt: skip


def target(receiver: Receiver, **more: str):
    made = services.save_integration(name="Sentinel", kind="sentinel", document=document(receiver, **more))
    return services.target_of(made.integration)


@pytest.mark.django_db
def test_each_user_becomes_a_row_and_204_is_delivered(receiver, azure):
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert (outcome.result, outcome.status) == (Result.DELIVERED, 204)
    assert "New token" in outcome.token_step
    assert [row["Login"] for row in azure.rows] == ["user00000@example.com", "user00001@example.com"]
    assert azure.rows[0]["Details"]["lastSignIn"] == "2026-01-01T00:00:00Z"


@pytest.mark.django_db
def test_one_token_serves_many_sends_and_a_refused_one_is_renewed_once(receiver, azure):
    to = target(receiver)
    events.send(KIND, events.failed(), to)
    events.send(KIND, events.failed(), to)
    assert azure.tokens == 1
    azure.revoked = 1
    assert events.send(KIND, events.failed(), to).result is Result.DELIVERED
    assert azure.tokens == 2


@pytest.mark.django_db
def test_without_a_token_nothing_is_sent_and_the_reason_says_why(receiver, azure):
    outcome = events.send(KIND, events.failed(), target(receiver, client_secret="a-wrong-secret"))
    assert outcome.result is Result.RETRYABLE
    assert "AADSTS7000215" in outcome.reason
    assert "a-wrong-secret" not in repr(outcome)
    assert receiver.of(INGEST) == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("answer", "result", "word"),
    [
        (Behaviour(status=413), Result.PERMANENT, "1 MB"),
        (
            Behaviour(status=403, body=b'{"error":{"code":"OperationFailed","message":"no"}}'),
            Result.PERMANENT,
            "Publisher",
        ),
        (Behaviour(status=404), Result.PERMANENT, "no such"),
        (Behaviour(status=429, headers=[("Retry-After", "60")]), Result.RETRYABLE, "429"),
        (Behaviour(status=503), Result.RETRYABLE, "503"),
        (Behaviour(status=200, body=b"<html>"), Result.RETRYABLE, "a page of HTML"),
        (Behaviour(status=200, body=b"{}"), Result.DELIVERED, "Azure answers 204, but this was 200."),
    ],
)
def test_what_azure_answers(receiver, azure, answer, result, word):
    azure.answers = [answer]
    outcome = events.send(KIND, events.failed(), target(receiver))
    assert outcome.result is result
    assert word in outcome.reason
    assert outcome.retry_after == (60 if outcome.status == 429 else None)


def test_ten_thousand_users_fit_into_calls_of_one_megabyte_as_planning_cuts_them():
    to = events.target(KIND, document())
    people = events.users(10_000)
    sizes = [len(json.dumps(person)) * 2 for person in people]
    cuts = partition(sizes, 1000, 1000, KIND.max_bytes)
    bodies = [KIND.render(events.failed(people[cut.start : cut.stop]), to).body for cut in cuts]
    assert all(len(body) <= KIND.max_bytes for body in bodies)
    assert sum(len(json.loads(body)) for body in bodies) == 10_000


def test_the_page_makes_the_table_of_the_columns_that_are_sent():
    page = (events.GOLDEN.parents[2] / "docs/targets/sentinel.md").read_text()
    types = {"datetime": str, "string": str, "dynamic": (dict, list), "boolean": bool}
    columns = dict(re.findall(r"([A-Z][A-Za-z]+)=(datetime|string|dynamic|boolean)", page))
    (sample,) = json.loads(page.partition("```json\n")[2].partition("```")[0])
    (row,) = json.loads(KIND.render(events.failed(events.users(1)), events.target(KIND, document())).body)
    for found in (sample, row):
        assert list(found) == list(columns)
        assert all(isinstance(value, types[columns[name]]) for name, value in found.items())


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"tenant_id": "contoso"}, "tenant_id"),
        ({"rule_id": "dcr-1"}, "rule_id"),
        ({"stream": "IdentityChecks_CL"}, "stream"),
        ({"endpoint": "http://ingest.monitor.azure.com"}, "endpoint"),
        ({"client_secret": ""}, "client_secret"),
    ],
)
def test_a_bad_document_names_the_key_that_is_wrong(change, path):
    with pytest.raises(InvalidDocument) as caught:
        KIND.clean(document() | change)
    assert list(caught.value.errors) == [path]
