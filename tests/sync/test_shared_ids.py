"""Accounts of two providers of which one keeps the other's immutable id are one user, whatever they are called."""

import base64

import pytest

from cii_project.tools.scripted_sources.entra import ScriptedEntra, entra_user
from cii_project.tools.scripted_sources.okta import ScriptedOkta, okta_user
from cii_project.tools.scripted_sources.server import ScriptedServer
from tests.doubles.aws_identity_store import ScriptedIdentityStore, store_user
from tests.doubles.directory import domain_user, guid_of, small_domain
from tests.sync.test_directories import connect as connect_directory
from tests.sync.test_entra import connect as connect_entra
from tests.sync.test_identitycenter import connect as connect_store
from tests.sync.worlds import account, connect as connect_okta, sync

pytestmark = pytest.mark.django_db(transaction=True)

# As Entra Connect writes it: the sixteen bytes in base64.
ID_OF_ANN = base64.b64encode(guid_of(1)).decode()
OKTA_ID = "00u1ab2cd3EFGHiJ4k5l"


def read_directory(**values: object) -> None:
    with small_domain(domain_user(1, "aames", mail=None, **values)) as directory:
        sync(connect_directory(directory)[0])


def read_entra(user: dict) -> None:
    with ScriptedServer(ScriptedEntra(users={user["id"]: user})) as server:
        sync(connect_entra(server, passes={"sign_ins": False, "factors": False, "groups": False}))


SYNCED = entra_user("u-ann", "ann.ames@contoso.com", onPremisesImmutableId=ID_OF_ANN)


def read_identity_store(external: list[dict[str, str]]) -> None:
    user = store_user(1, "a-ames", ExternalIds=external)
    with ScriptedServer(ScriptedIdentityStore(users=[user])) as server:
        sync(connect_store(server, passes={"groups": False, "roles": False}))


@pytest.mark.parametrize("reads", [1, -1], ids=["directory first", "tenant first"])
def test_an_account_of_entra_is_that_of_the_directory_from_which_it_was_made(reads: int) -> None:
    for read in (read_directory, lambda: read_entra(SYNCED))[::reads]:
        read()
    assert account("ann.ames@contoso.com").user == account("aames@corp.example").user
    reasons = {account(login).join_reason for login in ("ann.ames@contoso.com", "aames@corp.example")}
    assert reasons == {"first", "source_key"}


def test_an_account_that_moved_to_another_forest_keeps_the_id_that_entra_connect_wrote_down() -> None:
    read_directory(objectGUID=guid_of(9), mS_DS_ConsistencyGuid=guid_of(1))
    read_entra(SYNCED)
    assert account("ann.ames@contoso.com").user == account("aames@corp.example").user


def test_an_account_that_was_made_in_the_cloud_has_no_other() -> None:
    read_directory()
    read_entra(entra_user("u-ann", "ann.ames@contoso.com", onPremisesImmutableId=None))
    assert account("ann.ames@contoso.com").source_anchor == ""
    assert account("ann.ames@contoso.com").user != account("aames@corp.example").user


def test_a_user_that_okta_pushed_to_identity_center_is_the_user_of_okta() -> None:
    user = okta_user(OKTA_ID, "ann.ames@example.com")
    with ScriptedServer(ScriptedOkta(users={OKTA_ID: user}, factors={}, roles={}, groups={})) as server:
        sync(connect_okta(server))
    read_identity_store([{"Issuer": "https://scim.aws.com/abc/scim", "Id": OKTA_ID}])
    assert account("a-ames").user == account("ann.ames@example.com").user


def test_a_nickname_in_place_of_an_id_joins_nobody() -> None:
    read_entra(entra_user("ann.ames", "ann.ames@contoso.com", onPremisesImmutableId="ann.ames"))
    read_identity_store([{"Issuer": "https://scim.aws.com/abc/scim", "Id": "ann.ames"}])
    assert account("a-ames").user != account("ann.ames@contoso.com").user
