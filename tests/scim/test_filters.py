"""Filters of RFC 7644, section 3.4.2.2: what they mean, and that they are read within bounds."""

import time

import pytest

from integrations.sources.scim.errors import ScimError
from integrations.sources.scim.filters import equalities, matches, parse_filter
from integrations.sources.scim.schemas import USERS
from tests.scim.worlds import ENTERPRISE, error

ANN = {
    "id": "1",
    "userName": "Ann@Example.com",
    "externalId": "aB==",
    "title": "Clerk",
    "active": True,
    "name": {"familyName": "Ames"},
    "emails": [{"type": "work", "value": "ann@example.com"}, {"type": "home", "value": "home@test.example"}],
    "meta": {"resourceType": "User", "created": "2026-11-01T00:00:00.000Z"},
    ENTERPRISE: {"department": "Finance", "manager": {"value": "boss"}},
}


@pytest.mark.parametrize(
    "text",
    [
        'userName eq "ann@example.com"',
        'USERNAME Eq "ANN@EXAMPLE.COM"',
        'userName co "n@ex"',
        'userName sw "ANN"',
        'userName ew ".com"',
        'externalId eq "aB=="',
        "title pr",
        "active eq true",
        'active eq "True"',
        'title ne "Chief"',
        'nickName ne "x"',
        "not (nickName pr)",
        'name.familyName eq "ames"',
        'emails eq "ann@example.com"',
        'emails.type eq "home"',
        'emails[type eq "work" and value co "example.com"]',
        'emails[type eq "home"] and active eq true',
        'title eq "Chief" or title eq "clerk"',
        'title eq "Chief" or title eq "x" or active eq true and userName sw "a"',
        '(title eq "Chief" or title eq "clerk") and active eq true',
        f'{ENTERPRISE}:department eq "finance"',
        f'{ENTERPRISE}:manager.value eq "boss"',
        f'{ENTERPRISE}:manager eq "boss"',
        'urn:ietf:params:scim:schemas:core:2.0:User:userName sw "ann"',
        'meta.created gt "2026-10-01T00:00:00Z"',
        'meta.created le "2026-12-01T00:00:00Z"',
        'meta.resourceType eq "User"',
        'userName eq "ann\\u0040example.com"',
    ],
)
def test_a_filter_that_the_user_meets(text):
    assert matches(parse_filter(text, USERS), ANN)


@pytest.mark.parametrize(
    "text",
    [
        'externalId eq "AB=="',
        "nickName pr",
        "active eq false",
        'nickName eq "x"',
        'emails[type eq "work" and value co "test.example"]',
        'title eq "clerk" and active eq false',
        'not (title eq "clerk")',
        f'{ENTERPRISE}:department co "sales"',
        "title gt 5",
        "shoeSize eq 38",
    ],
)
def test_a_filter_that_the_user_does_not_meet(text):
    assert not matches(parse_filter(text, USERS), ANN)


@pytest.mark.parametrize(
    "text",
    [
        "userName",
        "userName eq",
        "userName is 5",
        'userName eq "x',
        "userName eq ann",
        'userName eq "x" and',
        '(userName eq "x"',
        'userName eq "x")',
        'emails[type eq "x"',
        'emails[type eq "x"] value',
        'title[value eq "x"]',
        'emails[addresses[type eq "x"]]',
        'not userName eq "x"',
        '"userName" eq "x"',
        "[]",
        "(" * 5_000,
        '(((((((((((((userName eq "x")))))))))))))',
        " or ".join(['userName eq "x"'] * 51),
        'userName eq "' + "x" * 5_000 + '"',
    ],
)
def test_a_filter_that_is_refused(text):
    with pytest.raises(ScimError) as caught:
        parse_filter(text, USERS)
    assert (caught.value.status, caught.value.kind) == (400, "invalidFilter")


@pytest.mark.parametrize(
    "text", ['"' + "\\" * 4_000, " " * 4_000, 'a eq "' + '\\"' * 2_000, "a" * 4_096, "((" * 2_000]
)
def test_reading_takes_time_in_proportion_to_the_text(text):
    started = time.process_time()
    with pytest.raises(ScimError):
        parse_filter(text, USERS)
    assert time.process_time() - started < 0.5


def test_the_equalities_that_every_match_meets():
    found = parse_filter('userName eq "a" and (title eq "b" and active eq true)', USERS)
    assert list(equalities(found)) == [("username", "a"), ("title", "b")]
    assert list(equalities(parse_filter('userName eq "a" or title eq "b"', USERS))) == []


@pytest.mark.django_db
def test_a_filter_over_the_protocol(sender):
    sender.create(title="Clerk", externalId="00u1")
    sender.create(userName="bob@example.com", title="Chief", externalId="00u2")

    def names(text):
        page = sender.get(f"Users?filter={text}").json()
        assert page["totalResults"] == len(page["Resources"])
        return [each["userName"] for each in page["Resources"]]

    assert names('userName eq "ANN@example.com"') == ["ann@example.com"]
    assert names('externalId eq "00u2"') == ["bob@example.com"]
    assert names('userName eq "ann@example.com" and title eq "chief"') == []
    assert names('title sw "c" and not (userName sw "bob")') == ["ann@example.com"]
    assert error(sender.get("Users?filter=userName"))[:2] == (400, "invalidFilter")
