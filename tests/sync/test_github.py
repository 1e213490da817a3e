"""GitHub: members, outside collaborators, SAML identities and teams, from the documented answers to accounts."""

import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from checks.models import Account
from checks.services import add_source
from cii_project.tools.scripted_sources.github import Person, ScriptedGitHub, github_error, graphql_error
from cii_project.tools.scripted_sources.server import ScriptedServer
from integrations.models import Sync
from integrations.services import InvalidDocument, probe_connection, save_connection
from integrations.sources import API_SOURCES
from tests.sync.worlds import account, sync

pytestmark = pytest.mark.django_db(transaction=True)

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def organization(**values):
    """Ann is an owner; Bob has no two-factor authentication; Cem and a bot are outside collaborators, Cem without it."""
    return ScriptedGitHub(
        **{
            "members": [
                Person(1, "ann-gh", "Ann Ames", "Example", ("ann.ames@example.com",), role="ADMIN"),
                Person(2, "bob-gh", "Bob Bell", two_factor=False),
                Person(3, "dee-gh"),
            ],
            "collaborators": [Person(7, "cem-gh", two_factor=False), Person(8, "deploy-bot", type="Bot")],
            "teams": {"core": ("Core", [1, 2]), "web-site": ("Web site", [2])},
            "public_key": KEY.public_key(),
        }
        | values
    )


def connect(server, **document):
    add_source(slug="github", name="GitHub", kind="identity", provider="GITHUB")
    settings = {
        "organization": server.provider.organization,
        "authorization": "token",
        "token": server.provider.token,
        "url": server.url,
        "passes": {"groups": True},
    }
    return save_connection(slug="github", kind="github", document=settings | document)[0]


def test_a_sync_brings_members_collaborators_and_teams():
    with ScriptedServer(organization()) as server:
        done = sync(connect(server))

    assert (done.state, done.error) == (Sync.State.SUCCEEDED, "")
    ann, bob, cem, dee, bot = (
        account(name) for name in ("ann-gh", "bob-gh", "cem-gh", "dee-gh", "deploy-bot")
    )
    assert (ann.source_key, ann.display_name, ann.email, ann.company) == (
        "1",
        "Ann Ames",
        "ann.ames@example.com",
        "Example",
    )
    assert (ann.admin_roles, bob.admin_roles, cem.admin_roles) == (["owner"], [], [])
    assert [each.mfa for each in (ann, bob, cem, dee, bot)] == [True, False, False, True, True]
    assert [each.user_type for each in (ann, cem, bot)] == [None, "external", "service_account"]
    assert (ann.groups, bob.groups, cem.groups) == (["Core"], ["Core", "Web site"], [])
    assert {each.last_sign_in_known for each in (ann, bob, cem, dee, bot)} == {False}


def test_kinds_of_factors_are_unknown():
    with ScriptedServer(organization()) as server:
        sync(connect(server))

    ann = account("ann-gh")
    assert (ann.mfa, ann.mfa_factors, ann.assurance) == (True, None, None)


def test_a_second_sync_of_the_same_changes_nothing():
    with ScriptedServer(organization(page=2, saml={1: ("ann.ames@example.com", None)})) as server:
        connection = connect(server, passes={"identities": True, "groups": True})
        sync(connection)
        again = sync(connection)

    assert [(each.slug, each.created, each.changed, each.deleted) for each in again.passes.all()] == [
        (slug, 0, 0, 0) for slug in ("members", "identities", "groups")
    ]


def test_saml_identities_give_members_their_address():
    saml = {
        1: ("ann.ames@example.com", None),
        2: ("b-4711", "bob.bell@example.com"),
        -5: ("left@example.com", None),
    }
    with ScriptedServer(organization(saml=saml, page=2)) as server:
        done = sync(connect(server, passes={"identities": True}))

    assert done.state == Sync.State.SUCCEEDED
    assert [account(name).email for name in ("ann-gh", "bob-gh", "dee-gh")] == [
        "ann.ames@example.com",
        "bob.bell@example.com",
        "",
    ]


def test_an_app_is_given_a_token_for_its_signed_key_and_another_after_its_end():
    with ScriptedServer(organization()) as server:
        provider = server.provider
        app = {"authorization": "app", "app_id": provider.app_id, "installation_id": provider.installation_id}
        connection = connect(server, **app, private_key=PEM, token=None)
        done = sync(connection)
        provider.access_tokens.clear()
        again = sync(connection)

    assert (done.state, again.state) == (Sync.State.SUCCEEDED, Sync.State.SUCCEEDED)
    assert len([path for path in server.paths() if path.endswith("/access_tokens")]) == 2
    assert all(server.provider.token not in each.headers["Authorization"] for each in server.asked)


def test_an_app_with_another_key_is_refused_with_the_reason():
    with ScriptedServer(
        organization(public_key=rsa.generate_private_key(65537, 2048).public_key())
    ) as server:
        app = {"authorization": "app", "app_id": "123456", "installation_id": "12345678"}
        done = sync(connect(server, **app, private_key=PEM, token=None))

    assert done.state == Sync.State.FAILED
    assert "A JSON web token could not be decoded" in done.error


# --- Permissions ----------------------------------------------------------------------------------------


def states(connection):
    return {each.name: str(each.state) for each in probe_connection(connection).permissions}


def test_a_credential_that_is_no_owner_s_leaves_two_factor_authentication_unknown_and_the_test_says_so():
    with ScriptedServer(organization(is_owner=False)) as server:
        connection = connect(server)
        found = states(connection)
        done = sync(connection)

    assert found == {
        "Members": "granted",
        "Two-factor authentication": "missing",
        "Outside collaborators": "granted",
        "Teams": "granted",
    }
    assert done.state == Sync.State.SUCCEEDED
    assert {each.mfa for each in Account.objects.all()} == {None}


def test_teams_that_may_not_be_read_leave_the_sync_partial():
    with ScriptedServer(organization(forbidden=("/orgs/example-inc/teams",))) as server:
        connection = connect(server)
        found = states(connection)
        done = sync(connection)

    assert (found["Teams"], done.state) == ("missing", Sync.State.PARTIAL)
    assert "Resource not accessible by integration" in done.passes.get(slug="groups").error
    assert {each.groups for each in Account.objects.all()} == {None}


def test_collaborators_that_may_not_be_listed_fail_the_listing_rather_than_delete_them():
    github = organization()
    with ScriptedServer(github) as server:
        connection = connect(server)
        sync(connection)
        github.forbidden = ("/orgs/example-inc/outside_collaborators",)
        done = sync(connection)
        github.forbidden = ()
        without = connect_again(server, connection, collaborators=False)
        afterwards = sync(without)

    assert done.state == Sync.State.FAILED
    assert account("cem-gh").status == "active"
    # Two of five are missing now: a member decides.
    assert afterwards.state == Sync.State.HELD


def connect_again(server, connection, **document):
    settings = {**connection.settings, "token": server.provider.token} | document
    return save_connection(slug="github", kind="github", document=settings, connection=connection)[0]


def test_an_organization_without_a_visible_identity_provider_is_partial():
    with ScriptedServer(organization()) as server:
        connection = connect(server, passes={"identities": True})
        found = states(connection)
        done = sync(connection)

    assert (found["SAML identities"], done.state) == ("missing", Sync.State.PARTIAL)
    assert "shows no SAML identity provider" in done.passes.get(slug="identities").error


def test_an_organization_that_is_not_visible_fails_with_its_name():
    with ScriptedServer(organization()) as server:
        connection = connect(server, organization="other-inc")
        tested = probe_connection(connection).permissions[0]
        done = sync(connection)

    assert (str(tested.state), done.state) == ("missing", Sync.State.FAILED)
    assert "login of 'other-inc'" in done.error


def test_a_wrong_token_ends_the_sync_without_a_change():
    with ScriptedServer(organization()) as server:
        done = sync(connect(server, token="github_pat_wrong"))

    assert (done.state, Account.objects.count()) == (Sync.State.FAILED, 0)
    assert "Bad credentials" in done.error


def test_a_field_of_its_own_that_is_refused_does_not_end_the_listing():
    with ScriptedServer(organization()) as server:

        def refuse_a_field(asked):
            answer = server.provider.answer(asked) if asked.path == "/graphql" else None
            if answer and answer.status == 200 and b"membersWithRole" in answer.body:
                text = answer.body.decode().removesuffix("}")
                error = '"errors":[{"type":"FORBIDDEN","path":["organization"],"message":"of one field"}]'
                return type(answer)(200, f"{text},{error}}}".encode(), answer.headers)
            return None

        server.disturb = refuse_a_field
        done = sync(connect(server))

    assert (done.state, Account.objects.count()) == (Sync.State.SUCCEEDED, 5)


# --- Limits, outages, places ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "waits"),
    [
        (github_error(403, "You have exceeded a secondary rate limit.", {"Retry-After": "30"}), (30, 30)),
        (github_error(403, "You have exceeded a secondary rate limit."), (60, 60)),
        (github_error(429, headers={"Retry-After": "5"}), (5, 5)),
        (graphql_error("RATE_LIMITED", "API rate limit exceeded for user ID 1."), (60, 60)),
    ],
    ids=["secondary with a time", "secondary without", "429", "GraphQL with status 200"],
)
def test_a_limit_is_waited_for_however_github_says_it(answer, waits):
    with ScriptedServer(organization()) as server:
        once = iter([True])
        server.disturb = lambda asked: answer if asked.path == "/graphql" and next(once, False) else None
        done = sync(connect(server))

    assert done.state == Sync.State.SUCCEEDED
    assert waits[0] <= done.waited_seconds <= waits[1]


def test_a_limit_that_is_used_up_is_waited_for_until_its_reset():
    headers = {
        "X-RateLimit-Limit": "5000",
        "X-RateLimit-Remaining": "0",
        "X-RateLimit-Reset": str(int(time.time()) + 900),
    }
    answer = github_error(403, "API rate limit exceeded for installation ID 1.", headers)
    with ScriptedServer(organization()) as server:
        once = iter([True])
        server.disturb = lambda asked: answer if asked.path.endswith("/teams") and next(once, False) else None
        done = sync(connect(server))

    assert done.state == Sync.State.SUCCEEDED
    assert 800 <= done.waited_seconds <= 900


@pytest.mark.parametrize("path", ["/graphql", "/orgs/example-inc/outside_collaborators"])
def test_an_outage_in_the_middle_of_the_listing_deletes_nobody(path):
    with ScriptedServer(organization(page=1)) as server:
        connection = connect(server)
        sync(connection)
        before = list(Account.objects.order_by("pk").values())
        first = iter([None])
        server.disturb = lambda asked: github_error(502) if asked.path == path and next(first, True) else None
        done = sync(connection)

    assert done.state == Sync.State.FAILED
    assert list(Account.objects.order_by("pk").values()) == before


def test_a_renamed_member_keeps_the_account_and_one_who_left_goes():
    github = organization()
    github.members += [Person(key, f"user{key}") for key in range(20, 50)]
    with ScriptedServer(github) as server:
        connection = connect(server)
        sync(connection)
        before = account("bob-gh").pk
        github.members[1].login = "bob-renamed"
        del github.members[-1]
        sync(connection)

    assert account("bob-renamed").pk == before
    assert account("user49").status == "deleted"


# --- Addresses ------------------------------------------------------------------------------------------


def cleaned(url):
    document = {"organization": "example-inc", "authorization": "token", "token": "t0ken", "url": url}
    return API_SOURCES["github"].clean(document).settings["url"]


@pytest.mark.parametrize("url", ["https://github.example.com/api/v3", "https://api.example.ghe.com"])
def test_an_enterprise_has_an_address_of_its_own(url):
    assert cleaned(url) == url


def test_an_address_that_is_none_of_an_api_is_refused():
    with pytest.raises(InvalidDocument, match=r"Write https://api\.github\.com"):
        cleaned("https://github.example.com/example-inc")
