"""Whole provisioning conversations, with bodies as Okta, Entra and Cisco's collector for Active Directory write them.

Okta: developer.okta.com, “Okta and SCIM version 2.0”. Entra: learn.microsoft.com, “Develop and plan provisioning for a SCIM
endpoint”, and the questions there about its spellings. Cisco: github.com/cisco-open/cisco-cii-adsync, ADSync.ps1.
"""

import base64
from uuid import UUID

import pytest
from django.test import Client

from checks.models import Account
from integrations.models import ScimResource
from tests.scim.worlds import CII_AD, ENTERPRISE, PATCH_OP, USER, Sender, account

pytestmark = pytest.mark.django_db(transaction=True)


def test_okta_provisions_changes_and_deactivates_a_user(sender):
    asked = sender.get('Users?filter=userName eq "ann.ames@example.com"&startIndex=1&count=100')
    assert (asked.status_code, asked.json()["totalResults"]) == (200, 0)
    profile = {
        "schemas": [USER, ENTERPRISE],
        "userName": "ann.ames@example.com",
        "name": {"givenName": "Ann", "familyName": "Ames"},
        "emails": [{"primary": True, "value": "ann.ames@example.com", "type": "work"}],
        "displayName": "Ann Ames",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
        ENTERPRISE: {
            "employeeNumber": "1001",
            "department": "Finance",
            "manager": {"value": "boss@example.com"},
        },
    }
    made = sender.send("POST", "Users", profile, content_type="application/scim+json; charset=utf-8")
    assert made.status_code == 201
    user = made.json()
    assert "password" not in user
    # A profile is pushed by PUT, with the id, and without what Okta does not know.
    changed = {**profile, "id": user["id"], "title": "Chief", "meta": {"resourceType": "User"}}
    del changed["password"]
    assert sender.send("PUT", f"Users/{user['id']}", changed).json()["title"] == "Chief"
    body = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "value": {"active": False}}]}
    assert sender.send("PATCH", f"Users/{user['id']}", body).json()["active"] is False
    sender.imported()
    found = account("ann.ames@example.com")
    assert (found.status, found.title, found.employee_id) == ("disabled", "Chief", "1001")
    assert found.source_anchor == "00ujl29u0le5T6Aj10h7"
    assert "1mz050nq" not in str(ScimResource.objects.get().document)


def test_okta_pushes_a_group(sender):
    ann = sender.create()
    group = sender.send(
        "POST",
        "Groups",
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": "Payroll",
            "members": [{"value": ann["id"], "display": "ann@example.com"}],
        },
    )
    assert group.status_code == 201
    path = f"Groups/{group.json()['id']}"
    body = {
        "schemas": [PATCH_OP],
        "Operations": [{"op": "replace", "value": {"id": group.json()["id"], "displayName": "Salaries"}}],
    }
    assert sender.send("PATCH", path, body).json()["displayName"] == "Salaries"
    found = sender.get('Groups?filter=displayName eq "Salaries"&startIndex=1&count=100').json()
    assert [each["id"] for each in found["Resources"]] == [group.json()["id"]]


def test_entra_provisions_changes_and_deactivates_a_user(sender):
    """As it does without the flag aadOptscim062020: capital operations and booleans as text."""
    assert sender.get('Users?filter=userName eq "8f0b6c2c-not-there"').json()["Resources"] == []
    made = sender.send(
        "POST",
        "Users",
        {
            "schemas": [USER, ENTERPRISE],
            "externalId": "ann.ames",
            "userName": "ann.ames@example.onmicrosoft.com",
            "active": True,
            "displayName": "Ann Ames",
            "emails": [{"primary": True, "type": "work", "value": "ann.ames@example.com"}],
            "meta": {"resourceType": "User"},
            "name": {"formatted": "Ann Ames", "familyName": "Ames", "givenName": "Ann"},
            "roles": [],
            "title": "Clerk",
        },
    )
    assert made.status_code == 201
    user = made.json()
    operations = [
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "ann@example.com"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+15550101"},
        {"op": "Add", "path": "name.familyName", "value": "Adams"},
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "Finance"},
        {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "3d3d1c5d-0000-0000-0000-000000000000"},
        {"op": "Replace", "path": "active", "value": "False"},
    ]
    answer = sender.send("PATCH", f"Users/{user['id']}", {"schemas": [PATCH_OP], "Operations": operations})
    assert answer.status_code == 200
    assert answer.json()["active"] is False
    sender.imported()
    found = account("ann.ames@example.onmicrosoft.com")
    assert (found.email, found.phone, found.last_name) == ("ann@example.com", "+15550101", "Adams")
    assert (found.department, found.status) == ("Finance", "disabled")
    # 30 days after the soft deletion.
    assert sender.send("DELETE", f"Users/{user['id']}").status_code == 204
    sender.imported()
    assert account("ann.ames@example.onmicrosoft.com").status == "deleted"


def test_entra_reads_a_group_without_its_members(sender):
    ann = sender.create()
    group = sender.create_group("Payroll")
    found = sender.get('Groups?excludedAttributes=members&filter=displayName eq "Payroll"').json()
    assert "members" not in found["Resources"][0]
    body = {
        "schemas": [PATCH_OP],
        "Operations": [{"op": "Add", "path": "members", "value": [{"value": ann["id"]}]}],
    }
    assert sender.send("PATCH", f"Groups/{group['id']}", body).status_code == 200
    sender.imported()
    assert account("ann@example.com").groups == ["Payroll"]


GUID = "3f2504e0-4f89-11d3-9a0c-0305e82c3301"


def collected(login: str = "ann@corp.example", guid: str = GUID, **flags: bool) -> dict:
    """One operation of the collector's bulk request: the names of AD attributes are lower case, the values text."""
    return {
        "method": "POST",
        "path": "/Users",
        "bulkId": guid,
        "data": {
            "schemas": [USER, ENTERPRISE, CII_AD],
            "userName": login,
            "externalId": base64.b64encode(UUID(guid).bytes_le).decode(),
            "displayName": "Ann Ames",
            "name": {"givenName": "Ann", "familyName": "Ames", "formatted": "Ann Ames"},
            "active": True,
            "userType": "admin" if flags.get("isAdmin") else "employee",
            "title": "Clerk",
            "emails": [{"type": "work", "value": "ann@corp.example", "primary": True}],
            "groups": [{"value": "S-1-5-21-1-512", "display": "Domain Admins"}],
            ENTERPRISE: {
                "employeeNumber": "1001",
                "department": "Finance",
                "company": "Example",
                "manager": {"displayName": "Boss", "value": "boss@corp.example"},
            },
            CII_AD: {
                "adAttributes": {
                    "objectguid": guid,
                    "samaccountname": "ann",
                    "useraccountcontrol": "66048",
                    "whencreated": "2024-03-01T07:00:00.0000000",
                    "lastlogontimestamp": "133750000000000000",
                    "badpwdcount": "2",
                    "thumbnailphoto": "not declared",
                },
                "ciiAttributes": {
                    "isServiceAccount": False,
                    "isAdmin": False,
                    "isExecutive": False,
                    "isExternalAccount": False,
                    "isoCreated": "2024-03-01T07:00:00.0000000",
                    "isoLastSuccessfulLogin": "2026-11-20T08:30:00.1234567Z",
                    "isoLastPasswordChange": "2026-06-01T00:00:00.0000000Z",
                    **flags,
                },
            },
        },
    }


def bulk(sender: Sender, *operations: dict) -> list[dict]:
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": list(operations)}
    answer = sender.send("POST", "Bulk", body, content_type="application/scim+json; charset=utf-8")
    assert answer.status_code == 200, answer.content
    return answer.json()["Operations"]


def test_the_collector_of_cisco_pushes_a_user_of_active_directory(sender):
    assert [each["status"] for each in bulk(sender, collected(isAdmin=True))] == ["201"]
    sender.imported()
    found = account("ann@corp.example")
    assert (found.status, found.user_type, found.employee_id, found.company) == (
        "active",
        "internal",
        "1001",
        "Example",
    )
    assert (found.manager, found.groups) == ("boss@corp.example", ["Domain Admins"])
    assert found.source_anchor == GUID
    assert (found.admin_roles, found.is_admin) == (["Administrator"], True)
    assert (found.password_never_expires, found.failed_sign_ins) == (True, 2)
    assert found.created_at.isoformat() == "2024-03-01T07:00:00+00:00"
    assert found.last_sign_in_at.isoformat().startswith("2026-11-20T08:30:00")
    assert found.password_changed_at.isoformat() == "2026-06-01T00:00:00+00:00"
    assert "not declared" not in str(ScimResource.objects.get().document)


def test_the_collector_posts_every_user_again_each_day_and_takes_only_201_for_success(sender):
    bulk(sender, collected())
    sender.imported()
    renamed = collected("ann.adams@corp.example")
    assert [each["status"] for each in bulk(sender, renamed)] == ["201"]
    assert [each["status"] for each in bulk(sender, renamed)] == ["201"]
    assert sender.imported() == 1
    assert Account.objects.get().login_key == "ann.adams@corp.example"


@pytest.mark.parametrize(
    ("flags", "user_type"),
    [
        ({"isServiceAccount": True}, "service_account"),
        ({"isExternalAccount": True}, "external"),
        ({"isExecutive": True}, "internal"),
        ({}, "internal"),
    ],
)
def test_the_classes_of_the_collector(sender, flags, user_type):
    bulk(sender, collected(**flags))
    sender.imported()
    found = account("ann@corp.example")
    assert (found.user_type, found.is_admin) == (user_type, False)


def test_a_disabled_and_a_locked_account_of_active_directory(sender):
    disabled, locked = collected(), collected("bob@corp.example", "3f2504e0-4f89-11d3-9a0c-0305e82c3302")
    disabled["data"] |= {"active": False}
    disabled["data"][CII_AD]["adAttributes"]["useraccountcontrol"] = "514"
    locked["data"] |= {"active": False}
    locked["data"][CII_AD]["adAttributes"]["useraccountcontrol"] = "528"
    bulk(sender, disabled, locked)
    sender.imported()
    assert account("ann@corp.example").status == "disabled"
    assert account("bob@corp.example").status == "locked_out"


def test_the_collectors_provision_script_finds_token_and_schemas(sender):
    client = Client(enforce_csrf_checks=True)
    form = {"grant_type": "client_credentials", "client_id": "push", "client_secret": sender.token}
    answer = client.post("/scim/v2/push/token", form)
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    bearer = Sender(sender.connection, answer.json()["access_token"])
    # Provision.ps1 looks for this URN in the listing.
    assert "urn:ietf:params:scim:schemas:core:2.0" in bearer.get("Schemas").json()["schemas"]
    for wrong in ({"client_secret": "guess"}, {"client_id": "other"}):
        refused = client.post("/scim/v2/push/token", form | wrong)
        assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})
    assert client.post("/scim/v2/push/token", form | {"grant_type": "password"}).status_code == 400
    assert client.get("/scim/v2/push/token").status_code == 405
