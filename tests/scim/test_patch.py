"""PATCH in the spellings of the RFC, Okta and Entra (RFC 7644, section 3.5.2)."""

import pytest

from tests.scim.worlds import CHECKS, ENTERPRISE, USER, error

pytestmark = pytest.mark.django_db

WORK = {"type": "work", "value": "ann@example.com", "primary": True}
HOME = {"type": "home", "value": "home@example.com"}


@pytest.fixture
def ann(sender):
    return sender.create(
        displayName="Ann",
        title="Clerk",
        active=True,
        name={"givenName": "Ann", "familyName": "Ames"},
        emails=[WORK, HOME],
    )


def patched(sender, ann, *operations):
    answer = sender.patch(f"Users/{ann['id']}", *operations)
    assert answer.status_code == 200, answer.content
    return answer.json()


@pytest.mark.parametrize("op", ["Replace", "replace", "REPLACE", "Add", "add"])
@pytest.mark.parametrize("value", [False, "False", "false"])
def test_a_user_is_deactivated_in_any_spelling(sender, ann, op, value):
    assert patched(sender, ann, {"op": op, "path": "active", "value": value})["active"] is False


@pytest.mark.parametrize(
    ("operation", "name", "expected"),
    [
        # Okta deactivates without a path.
        ({"op": "replace", "value": {"active": False}}, "active", False),
        ({"op": "Replace", "value": {"ACTIVE": "False", "id": "ignored"}}, "active", False),
        # Entra writes paths as keys.
        (
            {"op": "Add", "value": {"name.givenName": "Anna", "title": "Chief"}},
            "name",
            {"givenName": "Anna", "familyName": "Ames"},
        ),
        (
            {"op": "replace", "path": "name", "value": {"givenName": "Anna"}},
            "name",
            {"givenName": "Anna", "familyName": "Ames"},
        ),
        (
            {"op": "replace", "path": "NAME.GIVENNAME", "value": "Anna"},
            "name",
            {"givenName": "Anna", "familyName": "Ames"},
        ),
        ({"op": "remove", "path": "name.givenName"}, "name", {"familyName": "Ames"}),
        ({"op": "replace", "path": f"{USER}:title", "value": "Chief"}, "title", "Chief"),
        (
            {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "a@example.com"},
            "emails",
            [WORK | {"value": "a@example.com"}, HOME],
        ),
        (
            {"op": "Add", "path": 'emails[type eq "other"].value', "value": "o@example.com"},
            "emails",
            [WORK, HOME, {"type": "other", "value": "o@example.com"}],
        ),
        ({"op": "remove", "path": 'emails[type eq "home"]'}, "emails", [WORK]),
        ({"op": "remove", "path": 'emails[type eq "home" and value co "example"]'}, "emails", [WORK]),
        ({"op": "remove", "path": "emails", "value": [HOME]}, "emails", [WORK]),
        ({"op": "replace", "path": "emails", "value": [HOME]}, "emails", [HOME]),
        ({"op": "add", "path": "emails", "value": [HOME]}, "emails", [WORK, HOME]),
        (
            {"op": "add", "path": "emails", "value": HOME | {"primary": True}},
            "emails",
            [WORK | {"primary": False}, HOME, HOME | {"primary": True}],
        ),
        (
            {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "Finance"},
            ENTERPRISE,
            {"department": "Finance"},
        ),
        (
            {"op": "Add", "path": f"{ENTERPRISE}.department", "value": "Finance"},
            ENTERPRISE,
            {"department": "Finance"},
        ),
        (
            {"op": "add", "value": {f"{ENTERPRISE}:department": "Finance"}},
            ENTERPRISE,
            {"department": "Finance"},
        ),
        (
            {"op": "add", "value": {ENTERPRISE: {"department": "Finance"}}},
            ENTERPRISE,
            {"department": "Finance"},
        ),
        (
            {"op": "add", "path": ENTERPRISE, "value": {"department": "Finance"}},
            ENTERPRISE,
            {"department": "Finance"},
        ),
        (
            {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": "boss"},
            ENTERPRISE,
            {"manager": {"value": "boss"}},
        ),
        (
            {"op": "Add", "path": f"{ENTERPRISE}:manager", "value": [{"value": "boss"}]},
            ENTERPRISE,
            {"manager": {"value": "boss"}},
        ),
        (
            {"op": "replace", "path": f"{ENTERPRISE}:manager.value", "value": "boss"},
            ENTERPRISE,
            {"manager": {"value": "boss"}},
        ),
        (
            {"op": "add", "path": f"{CHECKS}:adminRoles", "value": ["Owner"]},
            CHECKS,
            {"adminRoles": ["Owner"]},
        ),
        ({"op": "replace", "path": f"{CHECKS}:mfaFactors", "value": []}, CHECKS, {"mfaFactors": []}),
        ({"op": "replace", "path": "shoeSize", "value": 38}, "title", "Clerk"),
    ],
)
def test_operations(sender, ann, operation, name, expected):
    assert patched(sender, ann, operation)[name] == expected


def test_an_extension_that_is_emptied_goes(sender, ann):
    path = f"{ENTERPRISE}:department"
    patched(sender, ann, {"op": "add", "path": path, "value": "Finance"})
    found = patched(sender, ann, {"op": "Remove", "path": path})
    assert ENTERPRISE not in found
    assert found["schemas"] == [USER]


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ({"op": "remove"}, "noTarget"),
        ({"op": "move", "path": "title"}, "invalidSyntax"),
        ({"path": "title"}, "invalidSyntax"),
        ("replace", "invalidSyntax"),
        ({"op": "replace", "value": "Chief"}, "invalidValue"),
        ({"op": "replace", "path": "id", "value": "7"}, "mutability"),
        ({"op": "replace", "path": "groups", "value": []}, "mutability"),
        ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
        ({"op": "replace", "path": "title", "value": {"a": 1}}, "invalidValue"),
        ({"op": "replace", "path": "emails[type eq", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[type eq "work"]value', "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'title[value eq "x"]', "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 7, "value": "x"}, "invalidPath"),
        (
            {
                "op": "replace",
                "path": 'emails[type ne "work" and value pr and primary eq false].value',
                "value": "x",
            },
            "noTarget",
        ),
    ],
)
def test_an_operation_that_is_refused_changes_nothing(sender, ann, operation, kind):
    sender.patch(f"Users/{ann['id']}", {"op": "remove", "path": 'emails[type eq "home"]'})
    before = sender.get(f"Users/{ann['id']}").json()
    answer = sender.patch(
        f"Users/{ann['id']}", {"op": "replace", "path": "title", "value": "Chief"}, operation
    )
    assert error(answer)[:2] == (400, kind)
    assert sender.get(f"Users/{ann['id']}").json() == before


@pytest.mark.parametrize("body", [[], {}, {"Operations": []}, {"Operations": "x"}, {"Operations": {}}])
def test_a_message_without_operations(sender, ann, body):
    assert error(sender.send("PATCH", f"Users/{ann['id']}", body))[:2] == (400, "invalidSyntax")


def test_members_are_added_and_removed_in_every_spelling(sender, ann):
    bob, cem = sender.create(userName="bob@example.com"), sender.create(userName="cem@example.com")
    group = sender.create_group("Payroll", ann["id"])

    def members(*operations):
        answer = sender.patch(f"Groups/{group['id']}", *operations)
        assert answer.status_code == 200, answer.content
        return [each["value"] for each in answer.json().get("members", [])]

    # Entra
    assert members({"op": "Add", "path": "members", "value": [{"value": bob["id"]}]}) == [
        ann["id"],
        bob["id"],
    ]
    assert members({"op": "Remove", "path": "members", "value": [{"value": ann["id"]}]}) == [bob["id"]]
    # Okta
    assert members({"op": "remove", "path": f'members[value eq "{bob["id"]}"]'}) == []
    replace = {"op": "replace", "path": "members", "value": [{"value": cem["id"], "display": "Cem"}]}
    assert members(replace) == [cem["id"]]
    rename = {"op": "replace", "value": {"id": group["id"], "displayName": "Salaries"}}
    assert members(rename) == [cem["id"]]
    assert members({"op": "add", "value": {"members": [{"value": bob["id"]}]}}) == [cem["id"], bob["id"]]
    assert members({"op": "remove", "path": "members"}) == []
    assert sender.get(f"Groups/{group['id']}").json()["displayName"] == "Salaries"
