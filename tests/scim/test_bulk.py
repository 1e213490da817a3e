"""Bulk operations (RFC 7644, section 3.7)."""

import pytest

from integrations.models import ScimResource
from tests.scim.worlds import GROUP, error

pytestmark = pytest.mark.django_db


def user(number, **values):
    data = {"userName": f"user{number}@example.com", **values}
    return {"method": "POST", "path": "/Users", "bulkId": f"u{number}", "data": data}


def bulk(sender, *operations, **more):
    return sender.send("POST", "Bulk", {"Operations": list(operations), **more})


def test_each_operation_has_its_own_answer(sender):
    ann = sender.create()
    answer = bulk(
        sender,
        user(1),
        user(1),
        {
            "method": "PATCH",
            "path": f"/Users/{ann['id']}",
            "data": {"Operations": [{"op": "add", "path": "title", "value": "Chief"}]},
        },
        {
            "method": "PUT",
            "path": f"/Users/{ann['id']}",
            "version": 'W/"9"',
            "data": {"userName": "ann@example.com"},
        },
        {"method": "DELETE", "path": f"/Users/{ann['id']}"},
    ).json()
    assert answer["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"]
    found = answer["Operations"]
    assert [each["status"] for each in found] == ["201", "409", "200", "412", "204"]
    assert found[0]["bulkId"] == "u1"
    assert found[0]["location"].endswith(
        f"/Users/{ScimResource.objects.get(name_key='user1@example.com').scim_id}"
    )
    assert found[1]["response"]["scimType"] == "uniqueness"
    assert found[2]["version"] == 'W/"2"'


def test_an_operation_names_another_one_that_may_come_later(sender):
    group = {
        "method": "POST",
        "path": "/Groups",
        "bulkId": "g",
        "data": {"schemas": [GROUP], "displayName": "G", "members": [{"value": "bulkId:u1"}]},
    }
    change = {
        "method": "PATCH",
        "path": "/Users/bulkId:u1",
        "data": {"Operations": [{"op": "add", "path": "title", "value": "Chief"}]},
    }
    found = bulk(sender, change, group, user(1)).json()["Operations"]
    assert [each["status"] for each in found] == ["200", "201", "201"]
    made = ScimResource.objects.get(kind="Group")
    assert made.members.get().member.document["title"] == "Chief"


def test_operations_that_name_each_other_in_a_circle_fail(sender):
    def group(name, other):
        return {
            "method": "POST",
            "path": "/Groups",
            "bulkId": name,
            "data": {"displayName": name, "members": [{"value": f"bulkId:{other}"}]},
        }

    found = bulk(sender, group("a", "b"), group("b", "a"), user(1)).json()["Operations"]
    assert [each["status"] for each in found] == ["409", "409", "201"]


def test_it_ends_after_so_many_errors(sender):
    bad = {"method": "POST", "path": "/Users", "bulkId": "x", "data": {}}
    found = bulk(sender, user(1), bad, bad, user(2), failOnErrors=1).json()["Operations"]
    assert [each["status"] for each in found] == ["201", "400"]
    assert not ScimResource.objects.filter(name_key="user2@example.com").exists()


def test_fifty_operations_are_taken_and_fifty_one_refused(sender):
    assert error(bulk(sender, *map(user, range(51))))[0] == 413
    assert not ScimResource.objects.exists()
    found = bulk(sender, *map(user, range(50))).json()["Operations"]
    assert {each["status"] for each in found} == {"201"}


@pytest.mark.parametrize(
    "operation",
    [
        "POST",
        {},
        {"method": "GET", "path": "/Users/1"},
        {"method": "POST", "path": "/Users", "data": {"userName": "x"}},
        {"method": "POST", "path": "/Printers", "bulkId": "x", "data": {}},
        {"method": "POST", "path": "/Users/1", "bulkId": "x", "data": {}},
        {"method": "DELETE", "path": "/Users"},
        {"method": "DELETE", "path": ["/Users"]},
        {"method": ["POST"], "path": "/Users", "bulkId": "x"},
        {"method": "POST", "path": "/Users", "bulkId": {"a": 1}, "data": {"userName": "x"}},
        {"method": "POST", "path": "/Users", "bulkId": "x"},
    ],
)
def test_a_malformed_operation_fails_alone(sender, operation):
    found = bulk(sender, operation, user(1)).json()["Operations"]
    assert [each["status"] for each in found] == ["400", "201"]


@pytest.mark.parametrize("body", [[], "x", {}, {"Operations": []}, {"Operations": {"a": 1}}])
def test_a_malformed_request(sender, body):
    assert error(sender.send("POST", "Bulk", body))[:2] == (400, "invalidSyntax")
