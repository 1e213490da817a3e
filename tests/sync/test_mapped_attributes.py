"""A custom attribute of any provider may hold any field of the profile and of the password."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from cii_project.tools.scripted_sources.entra import entra_user
from cii_project.tools.scripted_sources.okta import okta_user
from integrations.sources import API_SOURCES
from integrations.sources.auth0 import kind as auth0
from integrations.sources.awsiam import kind as awsiam
from integrations.sources.duo import kind as duo
from integrations.sources.entra import kind as entra
from integrations.sources.google import kind as google
from integrations.sources.okta import kind as okta
from integrations.sources.salesforce import kind as salesforce
from integrations.sources.shared.attributes import ATTRIBUTES_FIELD, MAPPABLE
from integrations.transport.ldap_messages import LdapEntry
from tests.doubles.aws_iam import iam_user
from tests.doubles.directory import domain_user

Reader = Callable[[str, Mapping[str, str]], dict[str, Any]]


def of_okta(said: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    user = okta_user("00u1", "ann@x.example", transitioningToStatus="ACTIVE")
    user["profile"]["own"] = said
    return dict(okta.user_of(user, attributes))


def of_entra(said: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    user = entra_user("u", "ann@x.example", own=said, userType="Member", manager={"userPrincipalName": "bob"})
    return dict(entra.user_of(user, attributes))


def of_salesforce(said: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    user = {
        "Id": "005",
        "Username": "ann",
        "IsActive": True,
        "CreatedDate": "2020-01-01T00:00:00.000+0000",
        "Profile": {"UserLicense": {"Name": "Guest"}},
        "own": said,
    }
    return dict(salesforce.user_of(user, attributes))


def of_duo(said: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    return dict(
        duo.user_of({"user_id": "D1", "username": "ann", "status": "active", "own": said}, attributes)
    )


def of_auth0(said: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    return dict(auth0.user_of({"user_id": "auth0|1", "name": "Ann", "own": said}, attributes))


def of_google(said: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    user = {"id": "1", "primaryEmail": "ann@x.example", "suspended": False, "isGuestUser": True, "own": said}
    return dict(google.user_of(user, attributes))


def of_awsiam(said: str, attributes: Mapping[str, str]) -> dict[str, Any]:
    user = iam_user(1, "ann") | {"Tags": [{"Key": "own", "Value": said}]}
    return dict(awsiam.user_of(user, {"status": "active"}, (), {}, attributes))


def of_directory(slug: str) -> Reader:
    def read(said: str, attributes: Mapping[str, str]) -> dict[str, Any]:
        stored = domain_user(1, "ann", uid="ann", own=said)
        entry = LdapEntry(stored.dn, {name.lower(): found for name, found in stored.values.items()})
        lines = [f"{field}={name}" for field, name in attributes.items()]
        settings = {"attributes": lines, "login_attribute": "uid", "id_attribute": "objectGUID"}
        return dict(API_SOURCES[slug]._record(entry, settings))

    return read


READERS: dict[str, Reader] = {
    "okta": of_okta,
    "entra": of_entra,
    "salesforce": of_salesforce,
    "duo": of_duo,
    "auth0": of_auth0,
    "google": of_google,
    "awsiam": of_awsiam,
    "ldap": of_directory("ldap"),
    "activedirectory": of_directory("activedirectory"),
}


@pytest.mark.parametrize("field", MAPPABLE)
@pytest.mark.parametrize("slug", READERS)
def test_what_is_mapped_wins_over_what_the_provider_says(slug: str, field: str) -> None:
    assert READERS[slug]("a word", {field: "own"})[field] == "a word"


def test_a_property_that_entra_leaves_out_is_unknown_and_not_what_graph_has_in_the_field() -> None:
    user = entra_user("u", "ann@x.example", employeeId="1001", userType="Member")
    found = entra.user_of(user, {"employee_id": "extension_badge", "user_type": "extension_sort"})
    assert not {"employee_id", "user_type"} & found.keys()


def test_each_kind_with_the_field_is_tested() -> None:
    with_field = {slug for slug, kind in API_SOURCES.items() if ATTRIBUTES_FIELD in kind.form_fields}
    assert with_field == set(READERS)
