"""Each answer of the scripted AWS services as AWS's own models have it, in a sync that reads everything."""

import json
from collections.abc import Iterable, Mapping
from typing import Any
from xml.etree.ElementTree import Element, fromstring

import pytest

from cii_project.tools.scripted_sources.server import Answer, Asked, ScriptedServer, json_answer
from integrations.models import Sync
from integrations.services import probe_connection
from tests.doubles.aws_iam import result_of
from tests.doubles.aws_permission_sets import PermissionSet, ScriptedPermissionSets
from tests.sync import test_awsiam, test_identitycenter
from tests.sync.published import AnswerDiffers, answers_match, published, record_exchanges
from tests.sync.worlds import sync

# The model has the root user as any user; the example of the API reference gives it an account's id and neither path nor name
# (docs.aws.amazon.com/IAM/latest/APIReference/API_ListVirtualMFADevices.html).
ROOT_DEVICE = (
    "POST /iam/ListVirtualMFADevices 200:\n"
    "  $.VirtualMFADevices[1].User: 'Path' is a required property\n"
    "  $.VirtualMFADevices[1].User: 'UserName' is a required property\n"
    "  $.VirtualMFADevices[1].User.UserId: '123456789012' is too short"
)
SERVICES = {"AWSIdentityStore": "identitystore", "SWBExternalService": "sso-admin"}


def as_published(asked: Asked, answer: Answer) -> tuple[str, Answer]:
    """The path of the operation in the cut document, and the answer as JSON."""
    if target := asked.headers.get("X-Amz-Target", ""):
        family, _, operation = target.partition(".")
        return f"/{SERVICES[family]}/{operation}", answer
    action = asked.form["Action"]
    path = f"/{'sts' if action == 'AssumeRole' else 'iam'}/{action}"
    return path, json_answer(result_value(path, answer), answer.status)


def result_value(path: str, answer: Answer) -> Any:
    """The result of the query protocol as JSON, typed by the output's schema."""
    document = published("aws")
    schema = document["paths"][path]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    action = path.rpartition("/")[2]
    root = fromstring(answer.body)
    result = next((each for each in root if _name(each) == f"{action}Result"), None)
    if _name(root) != f"{action}Response" or result is None:
        raise AnswerDiffers(f"{path}: the answer is no {action}Response with {action}Result.")
    return _value(document, schema, result)


def _value(document: Mapping[str, Any], schema: Mapping[str, Any], element: Element) -> Any:
    """What the schema does not name stays text, so that the comparison refuses it."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "properties" in schema:
        known = schema["properties"]
        return {_name(each): _value(document, known.get(_name(each), {}), each) for each in element}
    if schema.get("type") == "array":
        return [
            _value(document, schema["items"], each) if _name(each) == "member" else {} for each in element
        ]
    text = element.text or ""
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if schema.get("type") == "integer":
        return int(text) if text.isdigit() else text
    return text


def _name(element: Element) -> str:
    return element.tag.rpartition("}")[2]


def differences(exchanges: Iterable[tuple[Asked, Answer]]) -> list[str]:
    found: dict[str, None] = {}
    for asked, answer in exchanges:
        if answer.status != 200:
            # The models name errors by their code alone.
            continue
        try:
            path, value = as_published(asked, answer)
            answers_match(published("aws"), path, "POST", value)
        except AnswerDiffers as error:
            found[str(error)] = None
    return list(found)


def operations(service: str) -> set[str]:
    return {each for each in published("aws")["paths"] if each.startswith(f"/{service}/")}


@pytest.mark.django_db(transaction=True)
def test_a_sync_of_an_account_is_answered_as_published():
    role = f"arn:aws:iam::{test_awsiam.ACCOUNT}:role/identity-checks"
    provider = test_awsiam.small_account(role=role, external_id="ext-1", page=2)
    exchanges = record_exchanges(provider)
    with ScriptedServer(provider) as server:
        connection = test_awsiam.connect(server, role_arn=role, external_id="ext-1")
        probe_connection(connection)
        done = sync(connection)

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    assert differences(exchanges) == [ROOT_DEVICE]
    assert {as_published(*each)[0] for each in exchanges} == operations("iam") | operations("sts")


@pytest.mark.django_db(transaction=True)
def test_a_sync_of_an_identity_store_and_its_permission_sets_is_answered_as_published():
    provider = test_identitycenter.small_store(page=2)
    ann = provider.users[0]["UserId"]
    provider.permissions = ScriptedPermissionSets(
        [
            PermissionSet("Admin", ("AdministratorAccess",), "", {"123456789012": [ann]}),
            PermissionSet("Own", (), '{"Statement": []}', {"123456789012": ["g-Staff"]}),
            PermissionSet("None"),
        ],
        page=2,
    )
    exchanges = record_exchanges(provider)
    with ScriptedServer(provider) as server:
        connection = test_identitycenter.connect(server, passes={"groups": True, "roles": True})
        probe_connection(connection)
        done = sync(connection)

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    assert differences(exchanges) == []
    asked = {as_published(*each)[0] for each in exchanges}
    assert asked == operations("identitystore") | operations("sso-admin")


def iam_answer(**values: Any) -> tuple[Asked, Answer]:
    user = {
        "UserName": "ann",
        "SerialNumber": "arn:aws:iam::123456789012:mfa/ann",
        "EnableDate": "2024-03-01T09:00:00Z",
    }
    asked = Asked(1, "POST", "/", {}, {}, b"Action=ListMFADevices")
    return asked, result_of("ListMFADevices", {"MFADevices": [user | values], "IsTruncated": False})


def store_answer(**values: Any) -> tuple[Asked, Answer]:
    asked = Asked(1, "POST", "/", {}, {"X-Amz-Target": "AWSIdentityStore.ListUsers"}, b"")
    _, users = as_published(asked, test_identitycenter.small_store()._page({"MaxResults": 1}, "Users", [
        test_identitycenter.store_user(1, "ann", **values)
    ]))  # fmt: skip
    return asked, users


@pytest.mark.parametrize(
    ("answer", "change", "text"),
    [
        (iam_answer, {"SerialNumber": "x"}, "SerialNumber: 'x' is too short"),
        (iam_answer, {"EnableDate": "yesterday"}, "EnableDate: 'yesterday' is not a 'date-time'"),
        (iam_answer, {"Type": "key"}, "('Type' was unexpected)"),
        (store_answer, {"UserStatus": "GONE"}, "UserStatus: 'GONE' is not one of ['ENABLED', 'DISABLED']"),
        (store_answer, {"CreatedAt": "2024-03-01"}, "CreatedAt: '2024-03-01' is not of type 'number'"),
        (store_answer, {"UserId": "ann"}, "UserId: 'ann' does not match"),
        (store_answer, {"Email": "ann@example.com"}, "('Email' was unexpected)"),
    ],
)
def test_an_answer_that_is_not_as_aws_publishes_it_is_refused(answer, change, text):
    assert differences([answer()]) == []
    (found,) = differences([answer(**change)])
    assert text in found


def test_an_answer_without_its_result_is_refused():
    asked, answer = iam_answer()
    wrong = Answer(200, answer.body.replace(b"ListMFADevicesResult", b"Result"))
    assert differences([(asked, wrong)]) == [
        "/iam/ListMFADevices: the answer is no ListMFADevicesResponse with ListMFADevicesResult."
    ]
    assert json.loads(as_published(asked, answer)[1].body)["IsTruncated"] is False
