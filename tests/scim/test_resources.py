"""Users and groups over the protocol: created, read, replaced, deleted, listed (RFC 7644, sections 3.3 to 3.6)."""

import re

import pytest

from integrations.models import ScimResource
from tests.scim.worlds import CHECKS, ENTERPRISE, GROUP, USER, Sender, connect, error

pytestmark = pytest.mark.django_db


def test_a_created_user_is_answered_as_it_can_be_read_again(sender):
    answer = sender.send("POST", "Users", {"schemas": [USER], "userName": "Ann@Example.com", "active": True})
    made = answer.json()
    assert answer.status_code == 201
    assert re.fullmatch(r"[0-9a-f-]{36}", made["id"])
    assert made["schemas"] == [USER]
    assert made["meta"]["resourceType"] == "User"
    assert made["meta"]["location"] == answer["Location"]
    assert answer["Location"].endswith(f"/scim/v2/push/Users/{made['id']}")
    assert made["meta"]["version"] == answer["ETag"] == 'W/"1"'
    assert sender.get(f"Users/{made['id']}").json() == made


def test_extensions_are_named_in_schemas(sender):
    made = sender.create(**{ENTERPRISE: {"employeeNumber": "1001"}, CHECKS: {"mfaFactors": []}})
    assert made["schemas"] == [USER, ENTERPRISE, CHECKS]
    assert made[CHECKS] == {"mfaFactors": []}


def test_names_of_attributes_have_no_case_and_unknown_ones_are_not_stored(sender):
    made = sender.create(
        DisplayName="Ann", password="s3cret-of-ann", shoeSize=38, EMAILS=[{"Value": "a@example.com"}]
    )
    assert made["displayName"] == "Ann"
    assert made["emails"] == [{"value": "a@example.com"}]
    assert "s3cret" not in str(ScimResource.objects.get().document)
    assert "shoeSize" not in made


def test_a_user_name_is_unique_without_case(sender):
    sender.create(userName="ann@example.com")
    answer = sender.send("POST", "Users", {"userName": "ANN@example.com"})
    assert error(answer)[:2] == (409, "uniqueness")
    bob = sender.create(userName="bob@example.com")
    assert error(sender.send("PUT", f"Users/{bob['id']}", {"userName": "Ann@Example.com"}))[:2] == (
        409,
        "uniqueness",
    )


def test_two_sources_may_have_the_same_user_name(sender):
    sender.create()
    Sender(*connect("other")).create()
    assert ScimResource.objects.count() == 2


def test_put_replaces_and_patch_changes(sender):
    made = sender.create(title="Clerk", displayName="Ann")
    replaced = sender.send(
        "PUT", f"Users/{made['id']}", {"userName": "ann@example.com", "displayName": "Ann"}
    )
    assert replaced.status_code == 200
    assert "title" not in replaced.json()
    patched = sender.patch(f"Users/{made['id']}", {"op": "add", "path": "title", "value": "Chief"})
    assert patched.json()["title"] == "Chief"
    assert patched["ETag"] == 'W/"3"'


def test_a_put_without_a_change_keeps_the_version(sender):
    made = sender.create(title="Clerk")
    again = sender.send("PUT", f"Users/{made['id']}", {"userName": "ann@example.com", "title": "Clerk"})
    assert again["ETag"] == 'W/"1"'


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_another_version_is_not_changed(sender, method):
    made = sender.create()
    body = {"userName": "ann@example.com", "Operations": [{"op": "remove", "path": "title"}]}
    answer = sender.send(method, f"Users/{made['id']}", body, **{"If-Match": 'W/"7"'})
    assert error(answer)[0] == 412
    answer = sender.send(method, f"Users/{made['id']}", body, **{"If-Match": 'W/"1"'})
    assert answer.status_code in (200, 204)


def test_what_is_known_already_is_not_sent_again(sender):
    made = sender.create()
    answer = sender.get(f"Users/{made['id']}", **{"If-None-Match": made["meta"]["version"]})
    assert (answer.status_code, answer.content) == (304, b"")


def test_a_deleted_user_is_gone_and_its_name_free(sender):
    made = sender.create()
    answer = sender.send("DELETE", f"Users/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert error(sender.get(f"Users/{made['id']}"))[0] == 404
    assert error(sender.send("DELETE", f"Users/{made['id']}"))[0] == 404
    assert sender.create()["id"] != made["id"]


def test_a_user_name_is_required(sender):
    assert error(sender.send("POST", "Users", {"displayName": "Ann"})) == (
        400,
        "invalidValue",
        "userName is required.",
    )
    made = sender.create()
    answer = sender.patch(f"Users/{made['id']}", {"op": "remove", "path": "userName"})
    assert error(answer)[:2] == (400, "invalidValue")


def test_what_an_import_would_reject_is_refused_at_once(sender):
    answer = sender.send("POST", "Users", {"userName": "ann@example.com", CHECKS: {"failedSignIns": -1}})
    assert error(answer)[:2] == (400, "invalidValue")
    assert "failed_sign_ins" in error(answer)[2]
    assert not ScimResource.objects.exists()


def test_pages_of_a_listing(sender):
    for number in range(5):
        sender.create(userName=f"user{number}@example.com")
    page = sender.get("Users?startIndex=2&count=2").json()
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (5, 2, 2)
    assert [each["userName"] for each in page["Resources"]] == ["user1@example.com", "user2@example.com"]
    assert sender.get("Users?count=0").json()["Resources"] == []
    assert sender.get("Users?startIndex=-3&count=1").json()["startIndex"] == 1
    assert error(sender.get("Users?count=many"))[:2] == (400, "invalidValue")


def test_a_filter_that_nothing_meets_answers_200(sender):
    page = sender.get('Users?filter=userName eq "nobody@example.com"')
    assert (page.status_code, page.json()["totalResults"], page.json()["Resources"]) == (200, 0, [])


def test_only_the_attributes_that_are_asked_for_are_answered(sender):
    made = sender.create(
        name={"givenName": "Ann", "familyName": "Ames"},
        title="Clerk",
        **{ENTERPRISE: {"department": "Finance", "costCenter": "7"}},
    )
    path = f"Users/{made['id']}"
    found = sender.get(f"{path}?attributes=userName,name.givenName,{ENTERPRISE}:department").json()
    assert found == {
        "schemas": made["schemas"],
        "id": made["id"],
        "userName": "ann@example.com",
        "name": {"givenName": "Ann"},
        ENTERPRISE: {"department": "Finance"},
    }
    found = sender.get(f"{path}?excludedAttributes=name,meta,{ENTERPRISE}").json()
    assert found == {
        "schemas": made["schemas"],
        "id": made["id"],
        "userName": "ann@example.com",
        "title": "Clerk",
    }


def test_groups_have_members_and_members_have_groups(sender):
    ann, bob = sender.create(), sender.create(userName="bob@example.com")
    group = sender.create_group("Payroll", ann["id"], bob["id"])
    assert [each["value"] for each in group["members"]] == [ann["id"], bob["id"]]
    assert group["members"][0]["$ref"].endswith(f"/Users/{ann['id']}")
    found = sender.get(f"Users/{ann['id']}").json()["groups"]
    assert [(each["value"], each["display"]) for each in found] == [(group["id"], "Payroll")]
    assert "members" not in sender.get(f"Groups/{group['id']}?excludedAttributes=members").json()
    assert sender.send("DELETE", f"Groups/{group['id']}").status_code == 204
    assert "groups" not in sender.get(f"Users/{ann['id']}").json()


def test_a_member_has_to_exist_in_the_same_source(sender):
    other = Sender(*connect("other")).create()
    answer = sender.send(
        "POST", "Groups", {"schemas": [GROUP], "displayName": "G", "members": [{"value": other["id"]}]}
    )
    assert error(answer)[:2] == (400, "invalidValue")


def test_the_server_describes_itself(sender):
    config = sender.get("ServiceProviderConfig").json()
    assert config["bulk"] == {"supported": True, "maxOperations": 50, "maxPayloadSize": 8 * 1024 * 1024}
    assert config["patch"] == config["etag"] == {"supported": True}
    kinds = sender.get("ResourceTypes").json()["Resources"]
    assert [each["endpoint"] for each in kinds] == ["/Users", "/Groups"]
    assert kinds[0]["schemaExtensions"][0]["schema"] == ENTERPRISE
    assert sender.get("ResourceTypes/User").json()["schema"] == USER
    named = sender.get(f"Schemas/{USER}").json()
    assert next(each for each in named["attributes"] if each["name"] == "userName")["uniqueness"] == "server"
    assert error(sender.get("Schemas/urn:none"))[0] == 404
    assert error(sender.get('Schemas?filter=id eq "x"'))[0] == 403


def test_a_search_by_post_reads_users_and_groups(sender):
    sender.create()
    sender.create_group("Payroll")
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
        "attributes": ["displayName", "userName"],
    }
    found = sender.send("POST", ".search", body).json()
    assert found["totalResults"] == 2
    found = sender.send("POST", "Users/.search", {"filter": 'userName sw "ann"', "count": 1}).json()
    assert (found["totalResults"], len(found["Resources"])) == (1, 1)
    found = sender.send("POST", ".search", {"filter": 'displayName eq "payroll"'}).json()
    assert [each["displayName"] for each in found["Resources"]] == ["Payroll"]


def test_an_endpoint_or_method_that_is_not_there(sender):
    assert error(sender.get("Printers"))[0] == 404
    assert error(sender.get("Users/one/two"))[0] == 404
    assert error(sender.send("PUT", "Users", {}))[0] == 405
    assert error(sender.get("Bulk"))[0] == 405
    assert error(sender.get("Me"))[0] == 501
